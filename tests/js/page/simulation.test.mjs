/** The page's Room against a room where everything may happen: breaks, outcomes
 * that nobody knows, a log that forgets. Whatever happens, the list shows each
 * message once and in the log's order, with a gap only where nobody could know
 * better; and what one says is in the log, under the name that one saw.
 *
 * SEED=n runs that seed alone. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { World, randomOf } from "./world.mjs";

const SEEDS = 80;
const STEPS = 500;
const BEGIN = Date.parse("2026-01-01T12:00:00Z");

function isSame({ message, ids }, entry) {
  return entry.user === message.user && entry.msg === message.msg &&
    entry.cid === message.cid && (entry.id === undefined || ids.includes(entry.id));
}

/* Where in the log goes on what begins at one of the places `from` and shows `run`
 * without a hole. What somebody repeated may be left out, and nobody can tell one
 * copy of it from another. */
function follow(log, from, run) {
  for (const entry of run) {
    const next = new Set();
    for (let at of from) {
      while (log[at]?.isRepeat && !isSame(log[at], entry)) at++;
      if (at < log.length && isSame(log[at], entry)) addPlaces(next, log, at);
    }
    from = next;
  }
  return from;
}

function addPlaces(places, log, at) {
  const { cid } = log[at].message;
  places.add(at + 1);
  if (cid === undefined) return;
  for (let copy = at + 1; copy < log.length; copy++) {
    if (log[copy].message.cid === cid) places.add(copy + 1);
  }
}

function textsOf(entries) {
  return entries.map(({ gap, msg, id }) => (gap ? "(gap)" : `${msg} ${id ?? ""}`)).join(", ");
}

function logOf(log) {
  const mark = (isRepeat) => (isRepeat ? " (again)" : "");
  return log.map(({ message, isRepeat }) => message.msg + mark(isRepeat)).join(", ");
}

function runsOf(entries) {
  const runs = [[]];
  for (const entry of entries) {
    if (entry.gap) runs.push([]);
    else runs.at(-1).push(entry);
  }
  return runs;
}

function placesFrom({ length }, begin) {
  return new Set(Array.from({ length: length + 1 - begin }, (_, i) => begin + i));
}

/* The list is made of pieces of the log, in its order, and has nothing twice.
 * Returns where its last piece may end. */
function assertPieces({ log }, { room, name }) {
  const cids = [...room.entries, ...room.unsaid].map(({ cid }) => cid).filter(Boolean);
  assert.equal(new Set(cids).size, cids.length, "shown twice");
  let ends = new Set([0]);
  for (const run of runsOf(room.entries)) {
    ends = follow(log, placesFrom(log, Math.min(...ends)), run);
    assert.ok(ends.size > 0, `${name} shows ${textsOf(room.entries)}; log: ${logOf(log)}`);
  }
  return ends;
}

/* Who has heard everything shows everything, up to the log's end. */
function assertUpToDate({ log }, { room, client, name, begin }, ends) {
  if (room.status !== "online" || client.link.toClient.length > 0) return;
  if (runsOf(room.entries).at(-1).length === 0) ends = new Set([begin]);
  const isEnd = (at) => log.slice(at).every(({ isRepeat }) => isRepeat);
  assert.ok([...ends].some(isEnd), `${name} shows ${textsOf(room.entries)}; log: ${logOf(log)}`);
}

/* A gap is no excuse: where the log and the list have a message in common, the
 * list goes on without one; but for what is in the log twice. */
function assertGap({ log }, { gaps, lastJoin, name }) {
  if (!lastJoin || gaps <= lastJoin.gaps) return;
  const { entries, history, cids } = lastJoin;
  const repeated = new Set(log.filter(({ isRepeat }) => isRepeat).map(({ message }) => message.cid));
  if (cids.some((cid) => repeated.has(cid))) return;
  const met = entries.find((entry) =>
    history.some(({ id, cid }) => id === entry.id || (cid !== undefined && cid === entry.cid)));
  const was = `${textsOf(entries)} and ${textsOf(history)}`;
  assert.equal(met, undefined, `${name}: a gap between ${was}`);
}

function assertAll(world, tab) {
  if (tab.lastJoin) tab.begin = tab.lastJoin.begin;
  assertUpToDate(world, tab, assertPieces(world, tab));
  assertGap(world, tab);
  tab.lastJoin = null;
  tab.watch();
}

/* All that was said and not given up, once where one said it, and in that order. */
function assertSaid({ log }, { said, room }) {
  const order = [];
  for (const [cid, { text, sinceReload, mayMove, isGone }] of said) {
    if (isGone) continue;
    const at = log.findIndex(({ message }) => message.cid === cid);
    assert.equal(log[at]?.message.msg, text, `${cid} was never said`);
    if (!mayMove) order.push(at);
    const shown = room.entries.filter((entry) => entry.msg === text);
    if (sinceReload) assert.equal(shown.length, 1, `${cid} is shown ${shown.length} times`);
  }
  assert.deepEqual(order, order.toSorted((a, b) => a - b), "said in another order");
}

async function simulate(seed) {
  const random = randomOf(seed);
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: BEGIN });
  mock.method(Math, "random", random.next);
  try {
    const world = new World(random, mock.timers);
    for (let i = 0; i < STEPS; i++) {
      const tab = world.step();
      await world.settle();
      assertAll(world, tab);
    }
    await world.calm((tab) => assertAll(world, tab));
    for (const tab of world.tabs) assertSaid(world, tab);
    return world;
  } finally {
    mock.reset();
  }
}

test("whatever happens, each message once, and each own one said", async (t) => {
  const only = process.env.SEED;
  const first = Number(only ?? 1);
  for (let seed = first; seed < first + (only ? 1 : SEEDS); seed++) {
    try {
      await simulate(seed);
    } catch (error) {
      t.diagnostic(`run again with SEED=${seed}`);
      throw error;
    }
  }
});
