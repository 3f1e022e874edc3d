/* outbox.js - own messages on their way: pure, no DOM, no client, no clock.
 *
 * A message is said under a cid that nobody can guess. It stays here until the
 * room has acknowledged it. After anything uncertain its cid is looked for in the
 * log first, and it is said again, with the same cid, only when it isn't there.
 * One message is on its way at a time, so that they stay in their order. */

const LIMIT = 100;
const ATTEMPTS = 8;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 10000;

/** Why a message failed; the page has the words. */
export const Reason = Object.freeze({
  REFUSED: "refused",
  TOO_LONG: "too-long",
  UNREACHABLE: "unreachable",
  IDENTITY: "identity",
});

/* State of an item:
 *   pending       waits for its turn, `notBefore` it
 *   sending       is on its way
 *   acknowledged  is in the log, and will come from there
 *   failed        `reason`; waits for its author
 * `uncertain`: it may be in the log. */
export class Outbox {
  #items = [];
  #limit;
  #attempts;
  #random;

  constructor({ limit = LIMIT, attempts = ATTEMPTS, random = Math.random } = {}) {
    this.#limit = limit;
    this.#attempts = attempts;
    this.#random = random;
  }

  /** Oldest first: {cid, text, user, time, state, reason?}. Not to be changed by
   * the caller. */
  get items() {
    return this.#items;
  }

  get full() {
    return this.#items.length >= this.#limit;
  }

  /** A new message. `user` is who says it: a name, null for an anonymous, or
   * undefined when that isn't known yet. Null when too many wait already. */
  add({ cid, text, user }, now) {
    if (this.full) return null;
    const item = fresh({ cid, text, user, time: now });
    this.#items.push(item);
    return item;
  }

  /** What to do next, as `user`: {say: item}, {check: item} (ask for the log, and
   * call looked()), {wait: ms}, or null when there is nothing to do. An item to
   * say counts as being on its way from now on. */
  next(user, now) {
    if (this.#items.some(({ state }) => state === "sending")) return null;
    const item = this.#firstPending(user);
    if (!item) return null;
    if (item.notBefore > now) return { wait: item.notBefore - now };
    if (item.uncertain) return { check: item };
    item.state = "sending";
    return { say: item };
  }

  /** It is in the log, as `known` {id, time?}, but has not come from there yet.
   * False: it is none of ours (any more). */
  acknowledge(cid, known = {}) {
    const item = this.#find(cid);
    if (!item) return false;
    Object.assign(item, known, { state: "acknowledged" });
    return true;
  }

  /** It came from the log, or the author gives it up. Returns what was kept of it,
   * or null when it was none of ours. */
  remove(cid) {
    const at = this.#items.findIndex((item) => item.cid === cid);
    return at < 0 ? null : this.#items.splice(at, 1)[0];
  }

  /** It will certainly not be said, now or later. */
  refuse(cid, reason = Reason.REFUSED) {
    const item = this.#find(cid);
    if (item) fail(item, reason);
  }

  /** It was certainly not said, but may be another time. */
  unavailable(cid, now) {
    this.#later(cid, now, false);
  }

  /** It may have been said. */
  uncertain(cid, now) {
    this.#later(cid, now, true);
  }

  /** The connection broke. That is nobody's fault, so it is no attempt. */
  disconnected() {
    for (const item of this.#items) {
      if (item.state !== "sending") continue;
      item.state = "pending";
      item.uncertain = true;
      item.notBefore = 0;
    }
  }

  /** The log has been looked at while connected: `cids` are those in it. They
   * come from there by themselves; the others may be said again. */
  looked(cids) {
    for (const item of this.#items) {
      const isThere = cids.has(item.cid);
      if (isThere) item.state = "acknowledged";
      else if (item.state === "pending") item.uncertain = false;
    }
  }

  /** As looked(), but with the log that the list of messages goes on with, so that
   * what is in it is done. Returns the items that were acknowledged before and are
   * not in it: the log has moved on beyond them. */
  joined(cids) {
    this.looked(cids);
    const isDone = ({ state }) => state === "acknowledged";
    const beyond = this.#items.filter((item) => isDone(item) && !cids.has(item.cid));
    this.#items = this.#items.filter((item) => !isDone(item));
    return beyond;
  }

  /** The author wants it tried again, as `user`, behind what else waits. */
  retry(cid, user) {
    const item = this.#find(cid);
    if (!item || item.state !== "failed") return false;
    this.#items = this.#items.filter((other) => other !== item);
    this.#items.push({ ...fresh(item), user, uncertain: item.uncertain });
    return true;
  }

  /** What outlives the page. */
  save() {
    const kept = this.#items.filter(({ state }) => state !== "acknowledged");
    return JSON.stringify(kept);
  }

  /** What save() gave once, or anything. */
  load(text) {
    for (const item of readItems(text)) {
      if (this.full || this.#find(item.cid)) continue;
      const state = item.state === "failed" ? "failed" : "pending";
      const reason = state === "failed" ? item.reason : undefined;
      this.#items.push({ ...fresh(item), state, reason, uncertain: true });
    }
  }

  #find(cid) {
    return this.#items.find((item) => item.cid === cid);
  }

  /* Nobody's words are said under another name than the one they saw. */
  #firstPending(user) {
    for (const item of this.#items) {
      if (item.state !== "pending") continue;
      if (item.user === undefined) item.user = user;
      if (item.user === user) return item;
      fail(item, Reason.IDENTITY);
    }
    return null;
  }

  #later(cid, now, uncertain) {
    const item = this.#find(cid);
    if (!item || item.state === "acknowledged") return;
    item.uncertain ||= uncertain;
    item.attempts++;
    if (item.attempts >= this.#attempts) {
      fail(item, Reason.UNREACHABLE);
      return;
    }
    const ceiling = Math.min(FIRST_WAIT * 2 ** (item.attempts - 1), LONGEST_WAIT);
    item.state = "pending";
    item.notBefore = now + ceiling / 2 + (this.#random() * ceiling) / 2;
  }
}

function fresh({ cid, text, user, time }) {
  return {
    cid, text, user, time,
    state: "pending", uncertain: false, attempts: 0, notBefore: 0,
  };
}

function fail(item, reason) {
  item.state = "failed";
  item.reason = reason;
}

function isItem(value) {
  return value !== null && typeof value === "object" &&
    typeof value.cid === "string" && typeof value.text === "string" &&
    typeof value.time === "number" &&
    (value.user === undefined || value.user === null ||
     typeof value.user === "string");
}

function readItems(text) {
  try {
    const items = JSON.parse(text);
    return Array.isArray(items) ? items.filter(isItem) : [];
  } catch {
    return [];
  }
}
