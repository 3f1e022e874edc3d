/* rows.js - timeline and outbox as what is to be seen: one row per day, gap and
 * message, in order. Pure: the DOM is list.js. */

import { voiceOf } from "./text.js";

export const ANONYMOUS = "Anonymous";
const TOGETHER = 5 * 60 * 1000;

/** Is it what this tab said, or what the same person said elsewhere? */
function isOwn({ user, cid }, me) {
  if (cid !== undefined && cid.startsWith(`${me.tab}.`)) return true;
  return typeof me.user === "string" && user === me.user;
}

function fromLog(entry, me) {
  const { key, cid, id, user, msg, time } = entry;
  return {
    kind: "message", key: cid === undefined ? `k${key}` : `c${cid}`,
    cid, id, user, text: msg, time, state: "acknowledged", own: isOwn(entry, me),
    voice: voiceOf(entry, user === ANONYMOUS),
  };
}

function fromOutbox(item, me) {
  const { cid, text, time, reason } = item;
  const user = item.user === undefined ? me.user : item.user;
  const name = user ?? ANONYMOUS;
  const state = item.state === "sending" ? "pending" : item.state;
  return {
    kind: "message", key: `c${cid}`, cid, user: name, text, time, state, reason,
    own: true, voice: voiceOf({ user: name, cid }, name === ANONYMOUS),
  };
}

function dayOf(time) {
  return new Date(time).setHours(0, 0, 0, 0);
}

function belongTogether(row, before) {
  return before?.kind === "message" && before.voice === row.voice &&
    before.own === row.own && row.time - before.time < TOGETHER;
}

/** `me` is {user, tab}: the name that one is signed in with, if any, and the
 * first part of this tab's cids. */
export function rowsOf(entries, items, me) {
  const rows = [];
  let day = null;
  const add = (row) => {
    const itsDay = dayOf(row.time);
    if (day === null || itsDay > day) {
      day = itsDay;
      rows.push({ kind: "day", key: `d${day}`, time: day });
    }
    const before = rows.at(-1);
    row.first = !belongTogether(row, before);
    row.last = true;
    if (!row.first) before.last = false;
    rows.push(row);
  };
  for (const entry of entries) {
    if (entry.gap) rows.push({ kind: "gap", key: `g${entry.key}` });
    else add(fromLog(entry, me));
  }
  for (const item of items) add(fromOutbox(item, me));
  return rows;
}
