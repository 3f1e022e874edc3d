/* room.js - being in the room: joins on every connection, says what the outbox
 * holds, asks who is here. Knows the client, but no DOM.
 *
 * Happy path: connected -> "join" gives the history and from then on everything
 * live -> own messages are said one by one, and leave the outbox when they come
 * back from the log.
 *
 * Failure modes: the connection breaks (the client comes back by itself, and we
 * join again); the room can't be joined now (tried again with longer waits); an
 * answer to "join" that doesn't come (it may have been carried out, so only a new
 * connection is a clean start). */

import { Outbox, Reason } from "./outbox.js";
import { Timeline, readMessage } from "./timeline.js";
import { tidy } from "./text.js";

const FIRST_HISTORY = "100";
const NEXT_HISTORY = "256";
const JOIN_TIMEOUT = 20000;
const SAY_TIMEOUT = 30000;
const ASK_TIMEOUT = 20000;
const DOUBT_TIMEOUT = 5000;
const JOIN_WAIT = 1000;
const JOIN_WAIT_MAX = 10000;
const WHO_WAIT = 300;
const STRANGER_WAIT = 1000;
const HELD_MAX = 1000;
const CERTAIN = new Set(["shutdown", "limit"]);
const HOPELESS = new Set(["buffer-overflow", "invalid"]);

export class Room {
  #client;
  #storage;
  #changed;
  #news;
  #tab;
  #random;
  #timeline = new Timeline();
  #outbox = new Outbox();
  #turn = 0; /* an answer to an earlier connection's question counts no more */
  #joined = false;
  #wasJoined = false;
  #wasConnected = false;
  #fatal = null;
  #held = [];
  #saved = "[]";
  #checking = false;
  #nameless = 0;
  #joinFailures = 0;
  #timers = new Map();
  #elsewhere = Promise.resolve();
  #node = null;
  #people = null;

  /** `client` is of webwire-client; `storage` keeps what is unsaid over a reload
   * (like sessionStorage, or null); `tab` begins the cids of this tab, `random`
   * gives their rest, which nobody may guess. changed() is called when there is
   * something else to be seen, news(entries) when messages have come. */
  constructor({ client, storage, tab, random, changed, news }) {
    this.#client = client;
    this.#storage = storage;
    this.#tab = tab;
    this.#random = random;
    this.#changed = changed;
    this.#news = news;
  }

  /* --- What is to be seen --------------------------------------------------- */

  get entries() {
    return this.#timeline.entries;
  }

  get unsaid() {
    return this.#outbox.items;
  }

  /** "connecting", "online", "reconnecting", or "failed" for good. */
  get status() {
    if (this.#fatal) return "failed";
    if (this.#joined) return "online";
    return this.#wasJoined ? "reconnecting" : "connecting";
  }

  /** Of the node that one is on, or was on last; null before. */
  get node() {
    return this.#node;
  }

  /** [{user, connections}], or null before it is known. */
  get people() {
    return this.#people;
  }

  /** Name, null for an anonymous, undefined while it isn't known. */
  get user() {
    const name = this.#client.session?.info?.username;
    if (typeof name === "string") return name;
    return this.#wasConnected ? null : undefined;
  }

  get tab() {
    return this.#tab;
  }

  get messageBuffer() {
    return this.#client.serverLimits?.messageBuffer;
  }

  /** No more can be said until something of it has arrived. */
  get full() {
    return this.#outbox.full;
  }

  /* --- What can be done ----------------------------------------------------- */

  start() {
    this.#outbox.load(this.#storage?.getItem("chatroom:outbox") ?? "");
    this.#client.on("status", (status, reason) => this.#onStatus(status, reason));
    this.#client.on("signal", (signal) => this.#onSignal(signal));
    this.#client.on("session", () => this.#onSession());
    this.connect();
  }

  connect() {
    this.#client.connect().catch(() => {}); /* it goes on trying, and says so */
  }

  /** False: there is nothing in it, or too much waits already. */
  say(text) {
    const cid = `${this.#tab}.${this.#random()}`;
    const item = { cid, text: tidy(text), user: this.user };
    if (item.text === "" || !this.#outbox.add(item, Date.now())) return false;
    this.#update();
    return true;
  }

  retry(cid) {
    if (this.#outbox.retry(cid, this.user)) this.#update();
  }

  discard(cid) {
    if (this.#outbox.remove(cid)) this.#update();
  }

  /** Rejects as a request does. */
  async signIn(name, pass) {
    const auth = JSON.stringify({ name, pass });
    await this.#whileNameless(() => this.#ask("auth", auth));
  }

  /** Everywhere; without a connection only here. */
  async signOut() {
    const isConnected = this.#client.status === "connected";
    await this.#whileNameless(
      () => (isConnected ? this.#ask("signout") : this.#client.closeSession()),
    );
  }

  /** Another tab of this browser signed in (`key`) or out (null). False: this tab
   * stays as it is, and may be told again: a client learns of its new session
   * before the server has stored it, and until then nobody can restore it. */
  sessionElsewhere(key) {
    this.#elsewhere = this.#elsewhere
      .then(() => this.#whileNameless(() => this.#follow(key)))
      .then(() => true, () => false);
    return this.#elsewhere;
  }

  look() {
    if (this.#joined) this.#who();
  }

  /** The network has gone: is the connection still good? If nothing answers, it is
   * made anew. */
  async doubt() {
    const turn = this.#turn;
    if (!this.#joined) return;
    try {
      await this.#client.request("who", null, { timeout: DOUBT_TIMEOUT });
    } catch (error) {
      if (turn === this.#turn && error.isTimeout) this.#connectAnew();
    }
  }

  /* --- Coming and going ----------------------------------------------------- */

  #onStatus(status, reason) {
    this.#turn++;
    this.#joined = false;
    this.#checking = false;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#outbox.disconnected();
    this.#fatal = status === "disabled" ? reason : null;
    if (status === "connected") {
      this.#wasConnected = true;
      this.#joinFailures = 0;
      this.#join();
    }
    this.#update();
  }

  #join() {
    const turn = ++this.#turn;
    const count = this.#wasJoined ? NEXT_HISTORY : FIRST_HISTORY;
    this.#held = [];
    this.#client
      .request("join", count, { timeout: JOIN_TIMEOUT })
      .then((reply) => reply.json())
      .then(
        (answer) => turn === this.#turn && this.#onJoined(answer),
        (error) => turn === this.#turn && this.#onNotJoined(error),
      );
  }

  #onJoined(answer) {
    const history = messagesOf(answer?.history);
    const news = [];
    const returns = this.#wasJoined;
    const beyond = this.#outbox.joined(cidsOf(history));
    for (const item of beyond) this.#timeline.apart(asMessage(item), Date.now());
    news.push(...this.#timeline.merge(history, Date.now()));
    this.#node = typeof answer?.node === "string" ? answer.node : null;
    this.#joined = this.#wasJoined = true;
    for (const message of this.#held.splice(0)) news.push(...this.#arrived(message));
    this.#who();
    this.#update();
    if (returns && news.length > 0) this.#news(news);
  }

  #onNotJoined(error) {
    if (error.kind === "request" || error.kind === "internal") {
      const wait = Math.min(JOIN_WAIT * 2 ** this.#joinFailures++, JOIN_WAIT_MAX);
      this.#later("join", wait, () => this.#join());
    } else if (error.kind !== "disconnected" && error.kind !== "shutdown") {
      this.#connectAnew();
    }
  }

  #connectAnew() {
    this.#client.close();
    this.connect();
  }

  /* Nothing is said while it isn't certain under which name it would be. */
  async #whileNameless(change) {
    this.#nameless++;
    try {
      return await change();
    } catch (error) {
      if (error.isTimeout) this.#connectAnew(); /* it may still be carried out */
      throw error;
    } finally {
      this.#nameless--;
      this.#update();
    }
  }

  #onSession() {
    this.#later("who", WHO_WAIT, () => this.look());
    this.#update();
  }

  async #follow(key) {
    const { session } = this.#client;
    if (key === session?.key || (key === null && !session)) return;
    if (session) await this.#client.closeSession();
    if (key !== null) await this.#client.restoreSession(key);
  }

  /* --- Hearing -------------------------------------------------------------- */

  #onSignal(signal) {
    const message = signal.name === "" ? messageOf(signal.payload) : null;
    if (!message) return;
    if (!this.#joined) {
      if (this.#held.length < HELD_MAX) this.#held.push(message);
      return;
    }
    const news = this.#arrived(message);
    if (news.length > 0) this.#news(news);
    this.#update();
  }

  /* The entry that it makes, if it is new. */
  #arrived(message) {
    const entry = this.#timeline.live(message, Date.now());
    const own = message.cid === undefined ? null : this.#outbox.remove(message.cid);
    if (own?.id !== undefined) this.#timeline.confirm(own.cid, own);
    if (!this.#people?.some(({ user }) => user === message.user))
      this.#soon("who", STRANGER_WAIT, () => this.look());
    return entry ? [entry] : [];
  }

  #who() {
    const turn = this.#turn;
    this.#ask("who").then(
      (reply) => {
        if (turn !== this.#turn) return;
        this.#people = peopleOf(reply.json());
        this.#changed();
      },
      () => {}, /* who was here is still the best that we know */
    );
  }

  /* --- Saying --------------------------------------------------------------- */

  /* After every change: what is unsaid is kept and said, what is seen is new. */
  #update() {
    const mayAct = this.#joined && !this.#checking && this.#nameless === 0;
    if (mayAct) this.#act(this.#outbox.next(this.user, Date.now()));
    this.#save();
    this.#changed();
  }

  #save() {
    const text = this.#outbox.save();
    if (text === this.#saved) return;
    this.#saved = text;
    try {
      this.#storage?.setItem("chatroom:outbox", text);
    } catch {
      /* Full or forbidden: then it doesn't outlive the page. */
    }
  }

  #act(action) {
    if (action?.say) this.#sayItem(action.say);
    else if (action?.check) this.#check(action.check);
    else if (action?.wait) this.#later("say", action.wait, () => this.#update());
  }

  #sayItem({ cid, text }) {
    this.#client
      .request("say", JSON.stringify({ msg: text, cid }), { timeout: SAY_TIMEOUT })
      .then(
        (reply) => this.#said(cid, reply),
        (error) => this.#unsaid(cid, error),
      )
      .then(() => this.#update());
  }

  #said(cid, reply) {
    const known = knownOf(reply);
    if (!this.#timeline.confirm(cid, known)) this.#outbox.acknowledge(cid, known);
  }

  #unsaid(cid, error) {
    const now = Date.now();
    if (error.kind === "disconnected") this.#outbox.disconnected();
    else if (HOPELESS.has(error.kind)) this.#outbox.refuse(cid, Reason.TOO_LONG);
    else if (CERTAIN.has(error.kind)) this.#outbox.unavailable(cid, now);
    else if (error.kind !== "request") this.#outbox.uncertain(cid, now);
    else if (error.code === "UNAVAILABLE") this.#outbox.unavailable(cid, now);
    else if (error.code === "UNKNOWN_OUTCOME") this.#outbox.uncertain(cid, now);
    else if (error.code === "TOO_LARGE") this.#outbox.refuse(cid, Reason.TOO_LONG);
    else this.#outbox.refuse(cid);
  }

  /* Is it in the log? */
  #check({ cid }) {
    const turn = this.#turn;
    this.#checking = true;
    this.#ask("history", NEXT_HISTORY)
      .then((reply) => cidsOf(messagesOf(reply.json())))
      .then(
        (cids) => turn === this.#turn && this.#outbox.looked(cids),
        () => turn === this.#turn && this.#outbox.uncertain(cid, Date.now()),
      )
      .then(() => {
        if (turn !== this.#turn) return;
        this.#checking = false;
        this.#update();
      });
  }

  #ask(name, payload) {
    return this.#client.request(name, payload, { timeout: ASK_TIMEOUT });
  }

  /* One timer of each kind. */
  #later(kind, wait, what) {
    clearTimeout(this.#timers.get(kind));
    const act = () => {
      this.#timers.delete(kind);
      what();
    };
    this.#timers.set(kind, setTimeout(act, wait));
  }

  /* Not put off by what comes again and again. */
  #soon(kind, wait, what) {
    if (!this.#timers.has(kind)) this.#later(kind, wait, what);
  }
}

/* --- What the server says ---------------------------------------------------- */

function messageOf(payload) {
  try {
    return readMessage(payload.json());
  } catch {
    return null; /* somebody else's program said it */
  }
}

function messagesOf(list) {
  return Array.isArray(list) ? list.map(readMessage).filter(Boolean) : [];
}

function cidsOf(messages) {
  return new Set(messages.map(({ cid }) => cid).filter((cid) => cid !== undefined));
}

function peopleOf(list) {
  if (!Array.isArray(list)) return [];
  return list.filter(
    (person) => typeof person?.user === "string" &&
      Number.isInteger(person.connections),
  );
}

/* {id, time?} of a reply; what can't be read is only not known. */
function knownOf(reply) {
  const { id, time } = readMessage({ user: "", msg: "", ...asObject(reply) }) ?? {};
  return { ...(id !== undefined && { id }), ...(time !== undefined && { time }) };
}

function asObject(reply) {
  try {
    return reply.json();
  } catch {
    return {};
  }
}

function asMessage({ cid, text, user, id, time }) {
  return { user: user ?? "Anonymous", msg: text, cid, id, time };
}
