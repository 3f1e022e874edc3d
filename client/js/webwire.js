/** webwire-client: the webwire protocol 2.0 for browsers and Node.js. The types
 * in webwire.d.ts say what everything does. */
import {
  TYPE,
  WebwireError,
  encodeCloseSession,
  encodeRequest,
  encodeRestoreSession,
  encodeSignal,
  parseSession,
  toPayload,
} from "./webwire-codec.js";
import { Calls } from "./webwire-calls.js";
import { Link } from "./webwire-link.js";

export { Payload, WebwireError, utf16 } from "./webwire-codec.js";

const DEFAULTS = {
  subprotocol: "",
  autoconnect: true,
  requestTimeout: 60_000,
  dialTimeout: 5_000,
  reconnectInterval: 2_000,
  reconnectMax: 30_000,
  messageBuffer: 1 << 20,
  maxPending: 65_536,
  maxQueuedBytes: 16 << 20,
};

/** What replies without a payload mean. */
const FAILURES = {
  [TYPE.replyShutdown]: "shutdown",
  [TYPE.replyInternalError]: "internal",
  [TYPE.replySessionNotFound]: "session-not-found",
  [TYPE.replyMaxSessionConns]: "max-session-conns",
  [TYPE.replySessionsDisabled]: "sessions-disabled",
};

const EVENTS = ["status", "signal", "session", "retry"];

function invalid(message, cause) {
  return new WebwireError("invalid", message, { cause });
}

/** As WebSocket wants it: absolute, ws or wss, without a fragment. */
function socketUrl(url) {
  let parsed;
  try {
    parsed = new URL(url, globalThis.location?.href);
  } catch (cause) {
    throw invalid(`url: ${url}`, cause);
  }
  parsed.protocol = parsed.protocol.replace(/^http/, "ws");
  parsed.hash = "";
  if (!/^wss?:$/.test(parsed.protocol)) throw invalid(`url: ${url}`);
  return parsed;
}

function checkOptions(options) {
  for (const [name, standard] of Object.entries(DEFAULTS)) {
    const value = options[name];
    const good = typeof value === typeof standard && (typeof value !== "number" || value > 0);
    if (!good) throw invalid(`option ${name}: ${value}`);
  }
  if (typeof options.WebSocket !== "function") {
    throw invalid("option WebSocket: none is given, and there is no global one");
  }
}

/** The page's own storage, where it may be used. Not Node's. */
function pageStorage() {
  try {
    return globalThis.window?.localStorage ?? null;
  } catch {
    return null;
  }
}

/** The session key in the storage. A storage that fails keeps nothing. */
class Keeper {
  constructor(storage, name) {
    this.storage = storage;
    this.name = name;
  }
  #try(use) {
    try {
      return use(this.storage);
    } catch {
      return null;
    }
  }
  get() {
    return this.#try((storage) => storage?.getItem(this.name)) || null;
  }
  set(key) {
    this.#try((storage) => storage?.setItem(this.name, key));
  }
  /** Another tab may have put its own session there meanwhile. */
  remove(key) {
    if (this.get() === key) this.#try((storage) => storage.removeItem(this.name));
  }
}

function report(error) {
  if (globalThis.reportError) globalThis.reportError(error);
  else console.error(error);
}

export class Client {
  #options;
  #listeners = new Map(EVENTS.map((type) => [type, new Set()]));
  #calls;
  #link;
  #keeper;
  #session = null; // what the application sees
  #kept = null; // the key to restore at the next connect
  #restoreId = 0;

  constructor(url, options = {}) {
    const parsed = socketUrl(url);
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const storageKey = `webwire:${parsed.origin}${parsed.pathname}`;
    const standard = { ...DEFAULTS, WebSocket: globalThis.WebSocket, storageKey };
    this.#options = { ...standard, ...Object.fromEntries(given) };
    checkOptions(this.#options);
    const { storage = pageStorage() } = this.#options;
    this.#keeper = new Keeper(storage, this.#options.storageKey);
    this.#calls = new Calls(this.#options, (call) => this.#givenUp(call));
    this.#link = new Link(parsed.href, this.#options, this.#linkOwner());
  }

  get status() {
    return this.#link.status;
  }
  get session() {
    return this.#session;
  }
  get pending() {
    return this.#calls.pending;
  }
  get serverLimits() {
    return this.#link.limits;
  }

  /* Calls */

  connect(options) {
    return this.#call("connect", () => null, options);
  }

  request(name, payload, options) {
    return this.#call("request", (id) => encodeRequest(id, name, toPayload(payload)), options);
  }

  signal(name, payload, options) {
    return this.#call("signal", () => encodeSignal(name, toPayload(payload)), options);
  }

  restoreSession(key, options) {
    return this.#call("restore", (id) => encodeRestoreSession(id, key), options);
  }

  closeSession(options) {
    return this.#call("close", encodeCloseSession, options);
  }

  close() {
    this.#link.close();
    this.#calls.failWaiting(new WebwireError("canceled", "the client was closed"));
  }

  on(type, listener) {
    const listeners = this.#listeners.get(type);
    if (!listeners || typeof listener !== "function") throw invalid(`on: ${type}`);
    const entry = { listener };
    listeners.add(entry);
    return () => void listeners.delete(entry);
  }

  #call(kind, encode, options) {
    return new Promise((resolve, reject) => {
      const id = this.#calls.newId();
      const settle = (error, value) => (error ? reject(error) : resolve(value));
      this.#arrive(this.#calls.make(kind, id, encode(id), options, settle));
    });
  }

  /** To the end of those who wait, which is often the beginning. */
  #arrive(call) {
    const { kind } = call;
    if (kind === "close" && !this.#link.isReady && !this.#link.isRestoring) {
      this.#forget(null);
      this.#calls.finish(call);
    } else if (kind === "restore" && this.#session) {
      this.#calls.fail(call, new WebwireError("session-active"));
    } else if (!this.#options.autoconnect && !this.#link.isReady && kind !== "connect") {
      this.#calls.fail(call, new WebwireError("disconnected"));
    } else {
      this.#calls.wait(call);
      this.#flush();
      if (!this.#link.isReady) this.#link.use(kind === "connect");
    }
  }

  /** Send what waits, as long as the connection takes it. */
  #flush() {
    for (let call; this.#link.isReady && (call = this.#calls.first()); ) this.#send(call);
  }

  #send(call) {
    const { kind } = call;
    if (kind === "close" && !this.#session) {
      this.#forget(null); // there is none on this connection
      this.#calls.finish(call);
      return;
    }
    try {
      if (kind === "restore" && this.#session) throw new WebwireError("session-active");
      if (kind !== "connect") this.#link.send(call.bytes);
      if (kind === "connect" || kind === "signal") this.#calls.finish(call);
      else this.#calls.sent(call);
    } catch (error) {
      this.#calls.fail(call, error);
    }
  }

  #givenUp(call) {
    if (call.kind === "connect" && !this.#calls.isConnectAwaited) this.#link.release();
  }

  /* What the link tells */

  #linkOwner() {
    return {
      accepted: () => this.#restoreOrGoOn(),
      message: (message) => this.#receive(message),
      cut: () => this.#calls.failOpen(new WebwireError("disconnected")),
      failed: (reason, final) => {
        if (final || !this.#options.autoconnect) this.#calls.failWaiting(reason);
      },
      changed: (status, reason) => this.#emit("status", status, reason),
      retry: (wait) => this.#emit("retry", wait),
      isAwaited: () => this.#calls.isConnectAwaited,
    };
  }

  #receive(message) {
    switch (message.type) {
      case TYPE.signal:
        this.#emit("signal", Object.freeze({ name: message.name, payload: message.payload }));
        break;
      case TYPE.sessionCreated:
        this.#takeSession(message.payload);
        break;
      case TYPE.sessionClosed:
        this.#forget(null);
        break;
      default: // a reply, or what only clients send
        if ("id" in message) this.#reply(message);
    }
  }

  #reply({ type, id, name, payload }) {
    let error = null;
    if (type === TYPE.replyError) {
      error = new WebwireError("request", payload.text, { code: name });
    } else if (type !== TYPE.reply) {
      if (!(type in FAILURES)) return;
      error = new WebwireError(FAILURES[type]);
    }
    if (this.#link.isRestoring && id === this.#restoreId) this.#restored(error, payload);
    else this.#answer(this.#calls.answered(id), error, payload);
  }

  #answer(call, error, payload) {
    if (!call) return; // late, or never asked
    if (error) {
      this.#calls.fail(call, error);
    } else if (call.kind === "restore") {
      if (this.#takeSession(payload)) this.#calls.finish(call, this.#session);
    } else if (call.kind === "close") {
      this.#forget(null);
      this.#calls.finish(call);
    } else {
      this.#calls.finish(call, payload);
    }
  }

  /* Sessions */

  /** After accept-conf: ask for the session of before, if there is one. */
  #restoreOrGoOn() {
    this.#kept ??= this.#keeper.get();
    if (!this.#kept) {
      this.#goOn();
      return;
    }
    this.#restoreId = this.#calls.newId();
    try {
      this.#link.send(encodeRestoreSession(this.#restoreId, this.#kept));
      this.#link.restoring();
    } catch (error) {
      if (error.kind === "disconnected") return; // its close event follows
      this.#restored(error); // this server can't even be asked
    }
  }

  #goOn() {
    this.#link.up();
    this.#flush();
  }

  /** Connected, whatever became of the session. */
  #restored(error, payload) {
    const session = error ? null : this.#parse(payload);
    if (!error && !session) return;
    this.#link.up();
    if (session) this.#adopt(session);
    else if (error.kind === "session-not-found") this.#forget(error);
    else this.#show(null, error); // the next connect tries again
    this.#flush();
  }

  /** Null: no session object, which was the connection's end. */
  #parse(payload) {
    try {
      return parseSession(payload.text);
    } catch (error) {
      this.#link.break("protocol", error.message);
      return null;
    }
  }

  /** A new one, or one that was asked for by its key: kept from here on. */
  #takeSession(payload) {
    const session = this.#parse(payload);
    if (!session) return false;
    this.#adopt(session);
    this.#keeper.set(session.key);
    return true;
  }

  #adopt(session) {
    this.#kept = session.key;
    this.#show(session, null);
  }

  #forget(reason) {
    const key = this.#kept;
    if (!key) return;
    this.#kept = null;
    this.#keeper.remove(key);
    this.#show(null, reason);
  }

  #show(session, reason) {
    this.#session = session;
    this.#emit("session", session, reason);
  }

  /** Listeners run soon, one after the other, and never inside a call of the
   * application or in the middle of a change. */
  #emit(type, ...args) {
    queueMicrotask(() => {
      for (const { listener } of [...this.#listeners.get(type)]) {
        try {
          listener(...args);
        } catch (error) {
          report(error);
        }
      }
    });
  }
}
