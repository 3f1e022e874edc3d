/** A room as it may be, for the page's Room: a log that repeats itself, forgets
 * and moves, a server that answers or not, and connections that break. All that
 * happens is drawn from `random`, one step at a time. */
import assert from "node:assert/strict";
import { setImmediate as drained } from "node:timers/promises";

import { Room } from "../../../examples/chatroom/page/room.js";

const ANONYMOUS = "Anonymous";

/** By seed: mulberry32. */
export function randomOf(seed) {
  const next = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    below: (n) => Math.floor(next() * n),
    chance: (probability) => next() < probability,
    /** One of the keys; the values are how likely they are. */
    pick(weights) {
      let at = next() * Object.values(weights).reduce((sum, weight) => sum + weight, 0);
      return Object.keys(weights).find((key) => (at -= weights[key]) < 0);
    },
  };
}

const payloadOf = (value) => ({ json: () => JSON.parse(value) });

/** What the page uses of webwire-client, with a connection to a World. */
class FakeClient {
  status = "disabled";
  session = null;
  serverLimits = { readTimeout: 3000, messageBuffer: 8192 };
  wants = false;
  link = null;
  #tab;
  #listeners = [];
  #open = new Map();
  #waiting = [];
  #lastId = 0;

  constructor(tab) {
    this.#tab = tab;
  }

  on(type, listener) {
    this.#listeners.push({ type, listener });
  }

  #emit(type, ...values) {
    for (const entry of this.#listeners) {
      if (entry.type === type) queueMicrotask(() => entry.listener(...values));
    }
  }

  #become(status) {
    this.status = status;
    this.#emit("status", status, null);
  }

  async connect() {
    this.wants = true;
  }

  close() {
    this.wants = false;
    this.lost("disabled");
  }

  show(session) {
    this.session = session;
    this.#emit("session", session, null);
  }

  /** The connection is there, its session restored or not. */
  connected(link) {
    this.link = link;
    this.#become("connected");
    link.toServer.push(...this.#waiting.splice(0));
  }

  lost(status = "disconnected") {
    if (!this.link) return;
    const waits = new Set(this.#waiting.map(({ id }) => id));
    this.link = null;
    this.#become(status);
    for (const id of [...this.#open.keys()]) {
      if (!waits.has(id)) this.#settle(id, { kind: "disconnected" });
    }
  }

  request(name, payload = "", { timeout }) {
    const id = ++this.#lastId;
    const cid = name === "say" ? JSON.parse(payload).cid : null;
    if (cid) this.#tab.maySay(cid);
    (this.link?.toServer ?? this.#waiting).push({ id, name, payload });
    return new Promise((resolve, reject) => {
      const late = { kind: "deadline", isTimeout: true };
      const timer = setTimeout(() => this.#settle(id, late), timeout);
      this.#open.set(id, { resolve, reject, timer, cid });
    });
  }

  #settle(id, error, reply) {
    const call = this.#open.get(id);
    if (!call) return false; /* it was given up */
    this.#open.delete(id);
    this.#waiting = this.#waiting.filter((request) => request.id !== id);
    clearTimeout(call.timer);
    if (call.cid && error && error.code !== "UNAVAILABLE") this.#tab.doubts.add(call.cid);
    if (error) call.reject(error);
    else call.resolve(payloadOf(reply));
    return true;
  }

  /** False: it comes too late. */
  receive({ id, error, reply, signal, session }) {
    if (signal !== undefined)
      this.#emit("signal", { name: "", payload: payloadOf(signal) });
    else if (session !== undefined) this.show(session);
    else return this.#settle(id, error, reply);
    return true;
  }
}

/** A browser tab: what its people did, and what it was told. */
class Tab {
  told = new Set(); /* cids that are in the log for sure */
  doubts = new Set(); /* cids that may be in the log, which was not looked at since */
  said = new Map(); /* cid -> {text, user, sinceReload, mayMove, isGone} */
  stored = new Map();
  #lastCid = 0;

  constructor(world, name) {
    this.world = world;
    this.name = name;
    this.open();
  }

  /** A new page in this tab. */
  open() {
    this.client?.close();
    for (const one of this.said.values()) one.sinceReload = false;
    const { session } = this.client ?? {};
    this.client = new FakeClient(this);
    this.client.session = session ?? null;
    this.room = new Room({
      client: this.client,
      storage: {
        getItem: (key) => this.stored.get(key) ?? null,
        setItem: (key, value) => this.stored.set(key, value),
      },
      tab: this.name,
      random: () => String(++this.#lastCid),
      changed: () => {},
      news: () => {},
    });
    this.room.start();
  }

  say(text) {
    const { user } = this.room;
    if (!this.room.say(text)) return;
    const cid = `${this.name}.${this.#lastCid}`;
    this.said.set(cid, { text, user, sinceReload: true, mayMove: false, isGone: false });
  }

  /** Its people try again what failed, or give it up. */
  mend(isGivenUp) {
    for (const { cid } of this.room.unsaid.filter(({ state }) => state === "failed")) {
      const one = this.said.get(cid);
      one.isGone = isGivenUp;
      one.user = this.room.user;
      if (isGivenUp) this.room.discard(cid);
      else this.room.retry(cid);
    }
  }

  /** What has failed once may come behind what was said later. */
  watch() {
    for (const { cid, state } of this.room.unsaid)
      if (state === "failed") this.said.get(cid).mayMove = true;
  }

  maySay(cid) {
    assert.ok(!this.told.has(cid), `${cid} is said again though it is in the log`);
    assert.ok(!this.doubts.has(cid), `${cid} is said again without a look at the log`);
  }

  get gaps() {
    return this.room.entries.filter(({ gap }) => gap).length;
  }
}

const CALM = { ok: 1 };
const SAY = { ok: 12, unavailable: 1, done: 1, notDone: 1, late: 1, mute: 1 };
const ASK = { ok: 12, unavailable: 1, mute: 0.3 };

export class World {
  /** {message, id, ids, time, isRepeat}; `ids`: all that it and the copies under
   * its cid have ever had. */
  log = [];
  isCalm = false;
  tabs;
  #random;
  #clock;
  #window;
  #begin = 0; /* what is older is forgotten */
  #epoch = 1;
  #late = [];
  #lastText = 0;

  /** `clock` is node:test's mock.timers. */
  constructor(random, clock, tabs = 3) {
    this.#random = random;
    this.#clock = clock;
    this.#window = 2 + random.below(12);
    this.tabs = Array.from({ length: tabs }, (_, i) => new Tab(this, `tab${i}`));
  }

  /* --- The log ---------------------------------------------------------------- */

  publish({ user, msg, cid }) {
    const message = { user, msg, ...(cid !== undefined && { cid }) };
    const first = this.log.find((other) => cid !== undefined && other.message.cid === cid);
    const id = `${this.#epoch}-${this.log.length}`;
    const ids = first?.ids ?? [];
    ids.push(id);
    const time = new Date().toISOString();
    const entry = { message, id, ids, time, isRepeat: first !== undefined };
    this.log.push(entry);
    for (const { client } of this.tabs) {
      if (!client.link?.isSubscribed) continue;
      client.link.toClient.push({ signal: JSON.stringify(message), cids: [cid] });
    }
    return entry;
  }

  #history(count) {
    const begin = Math.max(this.#begin, this.log.length - Math.min(count, this.#window));
    return this.log.slice(begin).map(({ message, id, time }) => ({ ...message, id, time }));
  }

  #move() {
    this.#epoch++;
    for (const [at, entry] of this.log.entries()) {
      entry.id = `${this.#epoch}-${at}`;
      entry.ids.push(entry.id);
    }
  }

  /* --- The server ------------------------------------------------------------- */

  #serve(link) {
    const request = link.toServer.shift();
    const does = { join: "ask", history: "ask", who: "ask" }[request.name] ?? request.name;
    const how = this.isCalm ? CALM : does === "say" ? SAY : does === "ask" ? ASK : CALM;
    const outcome = this.#random.pick(how);
    if (outcome === "unavailable") {
      const error = { kind: "request", code: "UNAVAILABLE" };
      link.toClient.push({ id: request.id, error });
    } else if (does === "say") this.#say(link, request, outcome);
    else if (does === "ask") this.#answer(link, request, outcome);
    else this.#signs(link, request);
  }

  #answer(link, { id, name, payload }, outcome) {
    const history = this.#history(Number(payload || 0));
    if (outcome === "mute") return;
    if (name === "join") link.isSubscribed = true;
    const cids = history.map(({ cid }) => cid);
    const replies = { join: { node: "n", history }, history, who: [] };
    const begin = this.log.length - history.length;
    link.toClient.push({ id, reply: JSON.stringify(replies[name]), cids, name, history, begin });
  }

  #say(link, { id, payload }, outcome) {
    const { msg, cid } = JSON.parse(payload);
    const say = () => this.publish({ user: link.user ?? ANONYMOUS, msg, cid });
    this.#assertIdentity(link, cid);
    if (outcome === "late") this.#late.push(say);
    if (outcome === "ok" || outcome === "done" || outcome === "mute") {
      const { id: itsId, time } = say();
      if (outcome === "mute") return;
      const reply = JSON.stringify({ id: itsId, time });
      const at = link.toClient.length - (link.isSubscribed && this.#random.chance(0.5) ? 1 : 0);
      if (outcome === "ok") link.toClient.splice(at, 0, { id, reply, cids: [cid] });
    }
    const error = { kind: "request", code: "UNKNOWN_OUTCOME" };
    if (outcome !== "ok") link.toClient.push({ id, error });
  }

  /* Nobody says anything under another name than the one that they saw; only who
   * was signed out by the server may not have known it. */
  #assertIdentity(link, cid) {
    const one = link.tab.said.get(cid);
    if (!one || one.user === undefined || link.wasExpired) return;
    assert.equal(link.user, one.user, `${cid} is said as ${link.user}`);
  }

  #signs(link, { id, name }) {
    const key = `key${this.#random.below(1e9)}`;
    link.user = name === "auth" ? link.tab.name.toUpperCase() : null;
    const session = link.user ? { key, info: { username: link.user } } : null;
    link.toClient.push({ session }, { id, reply: "null" });
  }

  /* --- What may happen -------------------------------------------------------- */

  /** One step of somebody. */
  step() {
    const tab = this.tabs[this.#random.below(this.tabs.length)];
    const what = this.#random.pick({
      serve: 30, deliver: 40, connect: 12, break: 3, say: 8, stranger: 8, wait: 8,
      mend: 1, sign: 1, expire: 0.4, reload: 0.3, late: 2, forget: 0.3, move: 0.2,
    });
    this[`_${what}`](tab);
    return tab;
  }

  _serve({ client: { link } }) {
    if (link?.toServer.length > 0) this.#serve(link);
  }

  _deliver(tab) {
    const item = tab.client.link?.toClient.shift();
    if (!item) return;
    if (!tab.client.receive(item)) return;
    for (const cid of item.cids ?? []) tab.told.add(cid);
    if (item.history && item.name !== "who") tab.doubts.clear();
    if (item.name === "join")
      tab.lastJoin = { ...item, gaps: tab.gaps, entries: [...tab.room.entries] };
  }

  _connect(tab) {
    const { client } = tab;
    if (client.link || !client.wants) return;
    if (client.session && !this.isCalm && this.#random.chance(0.1)) client.show(null);
    const user = client.session?.info.username ?? null;
    const link = { tab, user, toServer: [], toClient: [], isSubscribed: false };
    client.connected(link);
  }

  /* What was sent is carried out or not; nobody will know from an answer. */
  _break({ client }) {
    const { link } = client;
    client.lost();
    while (link?.toServer.length > 0 && this.#random.chance(0.5)) this.#serve(link);
  }

  _say(tab) {
    tab.say(`${tab.name} says ${++this.#lastText}`);
  }

  _stranger() {
    const { message } = this.log[this.#random.below(this.log.length)] ?? {};
    const what = this.#random.pick({ plain: 3, signed: 3, same: 2, again: 1 });
    const msg = `stranger ${++this.#lastText}`;
    if (what === "plain") this.publish({ user: "Gollum", msg });
    if (what === "signed") this.publish({ user: "Gollum", msg, cid: `g.${msg}` });
    if (what === "same") this.publish({ user: "Gollum", msg: "my precious" });
    if (what === "again" && message?.cid !== undefined) this.publish(message);
  }

  _wait() {
    this.#clock.tick(this.#random.chance(0.05) ? 30000 : this.#random.below(2000));
  }

  _mend(tab) {
    tab.mend(this.#random.chance(0.2));
  }

  _sign({ room }) {
    const act = this.#random.chance(0.6) ? room.signIn("X", "y") : room.signOut();
    act.catch(() => {});
  }

  _expire({ client: { link } }) {
    if (!link?.user) return;
    link.user = null;
    link.wasExpired = true;
    link.toClient.push({ session: null });
  }

  _reload(tab) {
    tab.open();
  }

  _late() {
    this.#late.shift()?.();
  }

  _forget() {
    const begin = this.log.length - this.#random.below(this.#window);
    this.#begin = Math.max(this.#begin, begin);
  }

  _move() {
    this.#move();
  }

  /* --- Time ------------------------------------------------------------------- */

  /** Until everyone has reacted. */
  settle() {
    return drained();
  }

  /** Nothing goes wrong any more: until all is said, heard and answered. */
  async calm(check) {
    this.isCalm = true;
    this.#late.splice(0).forEach((say) => say());
    for (let round = 0; round < 300; round++) {
      if (await this.#exchange(check)) return;
      for (const tab of this.tabs) tab.mend(false);
      this.#clock.tick(1000);
      await this.settle();
    }
    const left = this.tabs.map(({ room }) => [room.status, room.unsaid]);
    assert.fail(`it doesn't come to rest: ${JSON.stringify(left)}`);
  }

  async #exchange(check) {
    let isQuiet = true;
    for (const tab of this.tabs) {
      this._connect(tab);
      await this.settle();
      const { link } = tab.client;
      while (link.toServer.length + link.toClient.length > 0) {
        isQuiet = false;
        this._serve(tab);
        this._deliver(tab);
        await this.settle();
        check(tab);
      }
      isQuiet &&= tab.room.status === "online" && tab.room.unsaid.length === 0;
    }
    return isQuiet;
  }
}
