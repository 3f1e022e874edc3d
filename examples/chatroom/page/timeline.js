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
    if (message.cid !== undefined && this.#seen.has(message.cid)) return null;
    const entry = this.#entryOf(message, now);
    this.#entries.push(entry);
    this.#trim();
    return entry;
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
    const log = withoutRepeats(history);
    const at = this.#entries.length === 0 ? { kept: 0, from: 0 } : this.#align(log);
    const loose = this.#entries.slice(at.kept);
    const kept = this.#entries.slice(0, at.kept);
    const found = matches(loose, log.slice(at.from), at.overlap);
    const gap = at.gap === true || found.orphans.length > 0;
    this.#entries = [...kept, ...found.orphans];
    if (gap) this.#addGap();
    const added = [];
    for (const { message, entry } of found.pairs) {
      if (entry) this.#entries.push(adopt(entry, message));
      else if (!this.#seen.has(message.cid)) added.push(this.#add(message, now));
    }
    this.#trim();
    return added;
  }

  #entryOf(message, now) {
    const last = this.#entries.findLast((entry) => !entry.gap);
    const time = message.time ?? Math.max(now, last?.time ?? 0);
    if (message.cid !== undefined) this.#remember(message.cid);
    return { ...message, time, key: ++this.#lastKey };
  }

  #add(message, now) {
    const entry = this.#entryOf(message, now);
    this.#entries.push(entry);
    return entry;
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

  /* Where the list and the log meet: what is kept of the list as it is, and where
   * in the log goes on what comes behind it. The newest message that both have
   * decides, if what surrounds it fits; else the next older one. */
  #align(log) {
    const where = indexOf(log);
    let doubtful = null;
    let tries = MEETING_TRIES;
    for (let i = this.#entries.length - 1; i >= 0 && tries > 0; i--) {
      const entry = this.#entries[i];
      const at = entry.gap ? undefined : where.find(entry);
      if (at === undefined || !this.#neighboursFit(i, log, at)) continue;
      tries--;
      const met = { kept: i + 1, from: at + 1 };
      const { orphans } = matches(this.#entries.slice(i + 1), log.slice(at + 1));
      if (orphans.length === 0) return met;
      doubtful ??= met;
    }
    return doubtful ?? this.#overlap(log);
  }

  /* A cid that somebody used twice must not be taken for a meeting point. */
  #neighboursFit(i, log, at) {
    const [mine, theirs] = [this.#entries[i - 1], log[at - 1]];
    if (this.#entries[i].id === log[at].id) return true;
    return !mine || mine.gap || !theirs || isSame(mine, theirs);
  }

  /* Nothing that both surely have: what looks the same at the list's end and at
   * the log's beginning is shown once, behind the gap. */
  #overlap(log) {
    const entries = this.#entries;
    const begin = entries.findLastIndex((entry) => entry.gap) + 1;
    let length = Math.min(entries.length - begin, log.length);
    while (length > 0 && !sameRun(entries, entries.length - length, log, length))
      length--;
    return { kept: entries.length - length, from: 0, overlap: length, gap: true };
  }
}

/* --- Comparing ------------------------------------------------------------- */

function epochOf(id) {
  return id.slice(0, id.indexOf("-"));
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

function withoutRepeats(history) {
  const cids = new Set();
  return history.filter(({ cid }) => {
    if (cid === undefined) return true;
    if (cids.has(cid)) return false;
    cids.add(cid);
    return true;
  });
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

/* Find the entries in the log, in its order: pairs for the whole log, and the
 * entries that are not in it. With `only`, just the first ones are looked for. */
function matches(entries, log, only = log.length) {
  const pairs = log.map((message) => ({ message, entry: null }));
  const orphans = [];
  let from = 0;
  for (const entry of entries) {
    if (entry.gap) continue;
    let at = from;
    while (at < only && !isSame(entry, log[at])) at++;
    if (at < only) {
      pairs[at].entry = entry;
      from = at + 1;
    } else {
      orphans.push(entry);
    }
  }
  return { pairs, orphans };
}

/* The log knows better when it was said, and what it is called. */
function adopt(entry, { id, time }) {
  return { ...entry, id: id ?? entry.id, time: time ?? entry.time };
}
