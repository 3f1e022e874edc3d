/** webwire-client: the webwire protocol 2.0 for browsers and Node.js. The types
 * in webwire.d.ts say what everything does. */
import {
  CLOSE_SESSION,
  CONNECT,
  DISCONNECTED,
  REPLY,
  REQUEST,
  RESTORE_SESSION,
  RESUME,
  SESSION_CLOSED,
  SESSION_CREATED,
  SIGNAL,
  WebwireError,
  encodeClose,
  encodeNamed,
  encodeRestore,
  fail,
  parseSession,
} from "./webwire-codec.js";
import { createCalls } from "./webwire-calls.js";
import { TIMER_MAX, createLink } from "./webwire-link.js";

export { Payload, WebwireError, utf16 } from "./webwire-codec.js";

const DEFAULTS = {
  subprotocol: "",
  autoconnect: true,
  requestTimeout: 60000,
  dialTimeout: 5000,
  reconnectInterval: 2000,
  reconnectMax: 30000,
  messageBuffer: 1 << 20,
  maxPending: 65536,
  maxQueuedBytes: 1 << 24,
};

/** What the replies of type 0, 1, 2 ... mean. */
const FAILURES = [
  "request",
  "shutdown",
  "internal",
  "session-not-found",
  "max-session-conns",
  "sessions-disabled",
];

/** As WebSocket wants it: absolute, ws or wss, without a fragment. */
const toUrl = (text) => {
  try {
    const url = new URL(text, globalThis.location?.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    return url.href;
  } catch {
    return fail("invalid", `URL ${text}`);
  }
};

/** The page's own storage, where it may be used. Not Node's. */
const pageStorage = () => {
  try {
    return window.localStorage;
  } catch {}
};

const complete = (options, url) => {
  const all = { storageKey: `webwire:${url.split("?")[0]}`, ...options };
  all.WebSocket ??= globalThis.WebSocket;
  for (const name in DEFAULTS) {
    const standard = DEFAULTS[name];
    const value = all[name] ?? standard;
    const isWrongNumber = standard > 1 && !(value > 0);
    if (typeof value !== typeof standard || isWrongNumber) fail("invalid", `option ${name}`);
    all[name] = value > TIMER_MAX ? TIMER_MAX : value;
  }
  return all;
};

/** The session that the application sees, and the key of the one to restore at
 * the next connect: the same, unless a restore failed for another reason than
 * "not found". A storage that fails keeps nothing. */
const createSessions = ({ storage = pageStorage(), storageKey }, emit) => {
  let shown = null;
  let kept = null;

  const stored = (method, ...values) => {
    try {
      return storage?.[method](storageKey, ...values);
    } catch {}
  };

  const show = (session, reason = null) => {
    shown = session;
    emit("session", session, reason);
  };

  return {
    show,
    shown: () => shown,
    key: () => (kept ||= stored("getItem")),

    /** The session object in `payload`. One that comes back is in the storage
     * already, unless another tab has put its own there. */
    adopt(payload) {
      const session = parseSession(payload);
      if (session.key !== kept) stored("setItem", (kept = session.key));
      show(session);
      return session;
    },

    forget(reason) {
      if (!kept) return;
      if (stored("getItem") === kept) stored("removeItem");
      kept = null;
      show(null, reason);
    },
  };
};

/** Listeners run soon, in order, never inside a call of the application or in
 * the middle of a change. */
const createEvents = () => {
  const entries = new Set();
  return {
    on(type, listener) {
      const entry = { type, listener };
      entries.add(entry);
      return () => entries.delete(entry);
    },

    emit(type, ...values) {
      for (const entry of entries) {
        const run = () => entries.has(entry) && entry.listener(...values);
        if (entry.type === type) Promise.resolve().then(run).catch(console.error);
      }
    },
  };
};

/** Calls, sessions and the link, put together. */
const createEngine = (href, options, emit) => {
  const sessions = createSessions(options, emit);
  const calls = createCalls(options, () => link.free());

  /** Send what waits, as long as the connection takes it. */
  const flush = () => {
    for (let call; link.ready() && (call = calls.first()); ) send(call);
  };

  const send = (call) => {
    const { kind, id, bytes } = call;
    try {
      if (kind === RESTORE_SESSION && sessions.shown()) fail("session-active");
      if (kind !== CONNECT) link.send(bytes);
      if (id) calls.sent(call);
      else calls.end(call);
    } catch (error) {
      calls.end(call, error);
    }
  };

  /** A call by the application. `toBytes(id)` makes the message; `id` 0: there
   * is no reply. */
  const call = (kind, toBytes, limits = {}) =>
    new Promise((resolve, reject) => {
      const id = kind === CONNECT || kind === SIGNAL ? 0 : calls.newId();
      const bytes = toBytes(id);
      const settle = (error, value) => (error ? reject(error) : resolve(value));
      calls.check(bytes.length, limits.signal);
      if (kind === CLOSE_SESSION && !link.limits()) return resolve(sessions.forget());
      const mayWait = options.autoconnect || kind === CONNECT;
      if (!link.ready() && !mayWait) fail(DISCONNECTED);
      calls.wait(calls.make(kind, id, bytes, settle, limits));
      flush();
      if (!link.ready()) link.use(kind === CONNECT);
    });

  /** After accept-conf: ask for the session of before, if there is one. */
  const accepted = () => {
    const key = sessions.key();
    if (!key) return goOn();
    const id = calls.newId();
    send(calls.make(RESUME, id, encodeRestore(id, key), goOn, {}));
  };

  /** Connected, whatever became of the session, unless that is unknown. */
  const goOn = (error) => {
    const kind = error?.kind;
    if (kind === DISCONNECTED) return; // it is being closed
    if (kind === "timeout") return link.drop(error);
    link.up();
    if (kind === "session-not-found") sessions.forget(error);
    else if (error) sessions.show(null, error);
    flush();
  };

  const message = ({ type, id, name, payload }) => {
    const kind = FAILURES[type];
    if (type === SIGNAL) emit("signal", { name, payload });
    if (type === SESSION_CREATED) sessions.adopt(payload);
    if (type === SESSION_CLOSED) sessions.forget();
    const call = (kind || type === REPLY) && calls.find(id);
    if (!call) return; // no reply, a late one, or never asked for
    if (kind) calls.end(call, new WebwireError(kind, name && payload.text, { code: name }));
    else calls.end(call, null, take(call.kind, payload));
  };

  /** What the reply means for the session, and to the caller. */
  const take = (kind, payload) => {
    if (kind === REQUEST) return payload;
    return kind === CLOSE_SESSION ? sessions.forget() : sessions.adopt(payload);
  };

  const link = createLink(href, options, { ...calls, accepted, message, emit });

  return { call, calls, sessions, link };
};

export class Client {
  constructor(url, given = {}) {
    const href = toUrl(url);
    const { on, emit } = createEvents();
    const { call, calls, sessions, link } = createEngine(href, complete(given, href), emit);
    const named = (kind) => (name, payload, limits) =>
      call(kind, (id) => encodeNamed(id, name, payload), limits);
    const api = {
      on,
      get status() {
        return link.status();
      },
      get session() {
        return sessions.shown();
      },
      get pending() {
        return calls.count(REQUEST);
      },
      get serverLimits() {
        return link.limits() ?? null;
      },
      signal: named(SIGNAL),
      request: named(REQUEST),
      connect: (limits) => call(CONNECT, () => [], limits),
      restoreSession: (key, limits) => call(RESTORE_SESSION, (id) => encodeRestore(id, key), limits),
      closeSession: (limits) => call(CLOSE_SESSION, encodeClose, limits),
      close() {
        link.close();
        calls.failed(new WebwireError("canceled"));
      },
    };
    return Object.setPrototypeOf(api, new.target.prototype);
  }
}
