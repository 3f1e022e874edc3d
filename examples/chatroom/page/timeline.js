/* timeline.js - what the reader sees of the room's log: pure, no DOM, no client.
 *
 * The list is a contiguous piece of the log. What came as history has the log's
 * id; what came live has none until a reply or the next join tells it. merge()
 * puts a new history behind what is there already: each message once, in the
 * log's order. Where it can't know whether something is missing between two
 * messages, it puts a gap there, which the page shows. */

const LIMIT = 500;
const REMEMBERED = 4096;
const CID_MAX = 64;
const MEETING_TRIES = 8;

/** What a stranger sent, as a message {user, msg, cid?, id?, time?}, or null when
 * it is none. `time` becomes milliseconds. */
export function readMessage(value) {
  if (value === null || typeof value !== "object") return null;
  const { user, msg, cid, id, time } = value;
  if (typeof user !== "string" || typeof msg !== "string") return null;
  const message = { user, msg };
  if (typeof cid === "string" && cid.length > 0 && cid.length <= CID_MAX)
    message.cid = cid;
  if (typeof id === "string") message.id = id;
  const at = typeof time === "string" ? Date.parse(time) : NaN;
  if (!Number.isNaN(at)) message.time = at;
  return message;
}

export class Timeline {
  #entries = [];
  #seen = new Set(); /* in the order of their coming: the oldest goes first */
  #limit;
  #remembered;
  #lastKey = 0;

  /** At most `limit` entries are kept, and the cids of the last `remembered`
   * messages. */
  constructor({ limit = LIMIT, remembered = REMEMBERED } = {}) {
    this.#limit = limit;
    this.#remembered = Math.max(remembered, limit);
  }

  /** Oldest first: {key, user, msg, time, cid?, id?}, or {key, gap: true}. A
   * message keeps its key. Not to be changed by the caller. */
  get entries() {
    return this.#entries;
  }

  has(cid) {
    return this.#seen.has(cid);
  }

  /** A message that came live, at `now`. Returns its entry, or null when it was
   * there already. */
  live(message, now) {
    const [entry = null] = this.#added(message, now);
    this.#trim();
    return entry;
  }

  /** An own message that is in the log, but did not come from there: others may
   * have been said before it. Returns its entry, or null when it is here. */
  apart(message, now) {
    if (this.#seen.has(message.cid)) return null;
    this.#addGap();
    return this.live(message, now);
  }

  /** The log's id and time of a message that came live. False: it is not here
   * (any more). */
  confirm(cid, { id, time }) {
    const at = this.#entries.findLastIndex((entry) => entry.cid === cid);
    if (at < 0) return false;
    this.#entries[at] = adopt(this.#entries[at], { id, time });
    return true;
  }

  /** The newest messages of the log, oldest first, as they were when we joined:
   * everything after them comes live. Returns the entries that are new. */
  merge(history, now) {
    const log = this.#withoutRepeats(history);
    const at = this.#entries.length === 0 ? { kept: 0, rest: log } : this.#align(log);
    const rows = zip(this.#entries.splice(at.kept), at.rest, at.overlap);
    const lastOrphan = rows.findLastIndex(({ message }) => !message);
    const added = [];
    if (at.gap) this.#addGap();
    for (const [i, { entry, message }] of rows.entries()) {
      if (!entry) added.push(...this.#added(message, now));
      else this.#entries.push(message ? adopt(entry, message) : entry);
      if (i === lastOrphan) this.#addGap();
    }
    this.#countRepeats(history.at(-1));
    this.#trim();
    return added;
  }

  #entryOf(message, now) {
    const last = this.#entries.findLast((entry) => !entry.gap);
    const time = message.time ?? Math.max(now, last?.time ?? 0);
    if (message.cid !== undefined) this.#remember(message.cid);
    return { ...message, time, key: ++this.#lastKey };
  }

  /* Into the list, unless it was there once. */
  #added(message, now) {
    if (this.#seen.has(message.cid)) {
      const last = this.#entries.at(-1);
      if (last && !last.gap) last.repeats = (last.repeats ?? 0) + 1;
      return [];
    }
    const entry = this.#entryOf(message, now);
    this.#entries.push(entry);
    return [entry];
  }

  /* Behind the last entry, up to the log's last message. */
  #countRepeats(message) {
    const last = this.#entries.at(-1);
    if (!message || last?.id === undefined) return;
    const behind = offsetOf(message.id) - offsetOf(last.id);
    if (epochOf(last.id) === epochOf(message.id) && behind > 0) last.repeats = behind;
  }

  #addGap() {
    const last = this.#entries.at(-1);
    if (last && !last.gap) this.#entries.push({ key: ++this.#lastKey, gap: true });
  }

  #remember(cid) {
    this.#seen.add(cid);
    if (this.#seen.size <= this.#remembered) return;
    this.#seen.delete(this.#seen.values().next().value);
  }

  #trim() {
    const over = this.#entries.length - this.#limit;
    if (over > 0) this.#entries.splice(0, over);
    if (this.#entries[0]?.gap) this.#entries.shift();
  }

  /* Where the list and the log meet: how much of the list is kept as it is, and
   * the rest of the log, which comes behind it. The newest message that both have
   * decides, if what surrounds it fits; else the next older one. */
  #align(log) {
    const where = indexOf(log);
    let doubtful = null;
    let tries = MEETING_TRIES;
    for (let i = this.#entries.length - 1; i >= 0 && tries > 0; i--) {
      const entry = this.#entries[i];
      const at = entry.gap ? undefined : where.find(entry);
      if (at === undefined || !this.#fits(i, log, at)) continue;
      tries--;
      const met = { kept: i, rest: log.slice(at) };
      const rows = zip(this.#entries.slice(i), met.rest);
      if (rows.every(({ message }) => message)) return met;
      if (entry.id === log[at].id) doubtful ??= met;
    }
    return doubtful ?? this.#overlap(log);
  }

  /* A cid that is in the log twice must not be taken for a meeting point. Counting
   * tells; where that isn't possible, what stands before must be the same too. */
  #fits(i, log, at) {
    const mine = this.#entries[i - 1];
    const place = this.#placeOf(i);
    if (place && epochOf(place.id) === epochOf(log[at].id))
      return offsetOf(log[at].id) - offsetOf(place.id) === place.behind;
    return !mine || mine.gap || at === 0 || isSame(mine, log[at - 1]);
  }

  /* How far it is behind a message whose id is known, or null. */
  #placeOf(i) {
    let behind = 0;
    for (let k = i; k >= 0 && !this.#entries[k].gap; k--) {
      const { id, repeats = 0 } = this.#entries[k];
      if (k < i) behind += 1 + repeats;
      if (id !== undefined) return { id, behind };
    }
    return null;
  }

  /* Of a cid that is in the log more than once: the one that is listed here, else
   * the first. */
  #withoutRepeats(history) {
    const listed = new Map(this.#entries.map(({ cid, id }) => [cid, id]));
    const ids = new Set(history.map(({ id }) => id));
    const cids = new Set();
    return history.filter(({ cid, id }) => {
      const own = listed.get(cid);
      if (cid === undefined) return true;
      if (own !== undefined && ids.has(own)) return own === id;
      return !cids.has(cid) && cids.add(cid);
    });
  }

  /* Nothing that both surely have: what looks the same at the list's end and at
   * the log's beginning is shown once, behind the gap. Repeats are left out. */
  #overlap(log) {
    const entries = this.#entries;
    const fresh = log.filter(({ cid }) => !this.#seen.has(cid));
    const begin = entries.findLastIndex((entry) => entry.gap) + 1;
    let length = Math.min(entries.length - begin, fresh.length);
    while (length > 0 && !sameRun(entries, entries.length - length, fresh, length))
      length--;
    return { kept: entries.length - length, rest: fresh, overlap: length, gap: true };
  }
}

/* --- Comparing ------------------------------------------------------------- */

function epochOf(id) {
  return id.slice(0, id.indexOf("-"));
}

function offsetOf(id) {
  return Number(id.slice(id.indexOf("-") + 1));
}

/* The same message? A log that was restored elsewhere has other ids for it. */
function isSame(a, b) {
  if (a.gap || b.gap) return false;
  if (a.id !== undefined && b.id !== undefined) {
    if (a.id === b.id) return true;
    if (epochOf(a.id) === epochOf(b.id)) return false;
  }
  return a.cid === b.cid && a.user === b.user && a.msg === b.msg;
}

function sameRun(entries, from, log, length) {
  for (let i = 0; i < length; i++) {
    if (!isSame(entries[from + i], log[i])) return false;
  }
  return true;
}

function indexOf(log) {
  const ids = new Map(log.map((message, at) => [message.id, at]));
  const cids = new Map(log.map((message, at) => [message.cid, at]));
  return {
    find: ({ id, cid }) =>
      (id === undefined ? undefined : ids.get(id)) ??
      (cid === undefined ? undefined : cids.get(cid)),
  };
}

/* Entries and log as one: rows {entry, message} in an order that is both's. A row
 * without entry is only in the log; one without message is an orphan, not there.
 * With `only`, entries are looked for among the first ones of the log. */
function zip(entries, log, only = log.length) {
  const rows = [];
  let from = 0;
  const upTo = (end) => {
    while (from < end) rows.push({ entry: null, message: log[from++] });
  };
  for (const entry of entries) {
    if (entry.gap) continue;
    let at = from;
    while (at < only && !isSame(entry, log[at])) at++;
    if (at < only) upTo(at);
    rows.push({ entry, message: at < only ? log[from++] : null });
  }
  upTo(log.length);
  return rows;
}

/* The log knows better when it was said, and what it is called. */
function adopt(entry, { id, time }) {
  return { ...entry, id: id ?? entry.id, time: time ?? entry.time };
}
