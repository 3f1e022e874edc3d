/** The way to the server: one connection, and the link that brings it back.
 *
 *   idle ─► dialing ─► up ─► closing ─► idle
 *    ▲ │       │                ▲
 *    │ ▼       └────────────────┘
 *   backoff
 *
 * Neither knows requests or sessions: those are the owner's. */
import {
  BUFFER_OVERFLOW,
  CONNECT,
  DISCONNECTED,
  HEARTBEAT,
  WebwireError,
  checkConf,
  decode,
  fail,
  violation,
} from "./webwire-codec.js";

const HEART_MIN = 10; // a nonsensical read timeout must not make us flood
const LINGER = 1000; // for the server to confirm a close
const OPEN = 1;
const CLOSE_NORMAL = 1000;
const CLOSE_ERROR = 4000; // 4000 to 4999 are for private use

/* States of the link. */
const IDLE = 0;
const BACKOFF = 1;
const DIALING = 2;
const UP = 3;
const CLOSING = 4;

/** The longest that timers can wait; more would make them fire at once. */
export const TIMER_MAX = 2 ** 31 - 1;

/** How long the n-th wait (from 0) is: the first exactly the interval, the others
 * anything up to the doubled and doubled again, by `random` in [0, 1). */
export const backoff = (n, { reconnectInterval: first, reconnectMax: max }, random) =>
  n ? Math.round(random * Math.min(first * 2 ** n, max)) : first;

/** How long to be silent before a heartbeat; 0 means as good as never. */
export const heartbeatInterval = (readTimeout) =>
  Math.min(Math.max((readTimeout || Infinity) * 0.75, HEART_MIN), TIMER_MAX);

/** One connection, from the dial to its end. on.accepted() comes first, then
 * on.message(message); on.wrong(error, isFinal) asks to be closed; on.closed
 * (error, if any) is the last. Throws what the WebSocket's constructor does. */
const openConnection = (url, options, on) => {
  const socket = new options.WebSocket(url);
  let limits, reason, closing, timer;

  const wait = (ms, todo, value) => {
    clearTimeout(timer);
    timer = setTimeout(todo, ms, value);
  };

  /** A heartbeat follows when nothing else does. */
  const write = (bytes) => {
    socket.send(bytes);
    rest();
  };
  const rest = () => wait(heartbeatInterval(limits.readTimeout), write, HEARTBEAT);

  const accept = (message) => {
    limits = checkConf(message, options);
    rest();
    on.accepted();
  };

  const end = ({ wasClean }) => {
    clearTimeout(timer);
    socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // where nobody listens, some throw (ws)
    socket.terminate?.(); // where there is such a thing (ws)
    on.closed(closing || wasClean ? reason : new WebwireError(DISCONNECTED));
  };

  wait(options.dialTimeout, on.wrong, new WebwireError("dial-timeout"));
  socket.binaryType = "arraybuffer";
  socket.onclose = socket.onerror = end; // not everywhere a close follows an error
  socket.onmessage = ({ data }) => {
    if (closing) return;
    try {
      // Not `>`: a text has no length in bytes.
      if (!(data.byteLength <= (limits ?? options).messageBuffer)) violation("message");
      const message = decode(new Uint8Array(data));
      (limits ? on.message : accept)(message);
    } catch (error) {
      on.wrong(error, !limits);
    }
  };
  return {
    isOpen: () => socket.readyState === OPEN,
    limits: () => limits,

    /** Throws "buffer-overflow", "transmission", and "disconnected" when its
     * end is about to come. */
    send(bytes) {
      if (bytes.length > limits.messageBuffer) fail(BUFFER_OVERFLOW);
      if (socket.readyState !== OPEN) fail(DISCONNECTED);
      if (socket.bufferedAmount + bytes.length > options.maxQueuedBytes) fail("transmission");
      write(bytes);
    },

    close(error) {
      closing = true;
      limits = undefined;
      reason = error;
      wait(LINGER, end, {});
      socket.close(error ? CLOSE_ERROR : CLOSE_NORMAL);
    },
  };
};

/** The waits between attempts. */
const createWaits = (options, emit) => {
  let count = 0; // since the last success
  let timer;
  return {
    reset: () => (count = 0),
    end: () => clearTimeout(timer),
    begin(dial) {
      const ms = backoff(count++, options, Math.random());
      timer = setTimeout(dial, ms);
      emit("retry", { in: ms, attempt: count });
    },
  };
};

/** Brings the connection up when it is used and back when it was lost. Tells
 * its owner: on.accepted(), on.message(message); on.cut() when what was sent is
 * lost; on.failed(error) when there will be no other attempt; on.emit() the
 * events "status" and "retry". Asks on.count(CONNECT): is there a connect()? */
export const createLink = (url, options, on) => {
  const { autoconnect } = options;
  const waits = createWaits(options, on.emit);
  let state = IDLE;
  let status = "disabled";
  let enabled, connection;
  let told; // nobody waits to hear that this attempt fails
  let again; // after it there is another at once

  const show = (error = null) => {
    const up = state === UP ? "connected" : DISCONNECTED;
    const next = enabled ? up : "disabled";
    if (next !== status) on.emit("status", (status = next), error);
  };

  const move = (next, error) => {
    state = next;
    waits.end();
    show(error);
  };

  const enable = (wanted, error) => {
    enabled = wanted;
    globalThis[wanted ? "addEventListener" : "removeEventListener"]?.("online", hurry);
    show(error);
  };

  /** The network is back: there is no point in waiting, and what was connected
   * before may be dead without a sign of it. */
  const hurry = () => {
    again = true;
    if (state === UP) drop(new WebwireError(DISCONNECTED));
    if (state === BACKOFF) dial();
  };

  const dial = () => {
    told = again = false;
    move(DIALING);
    try {
      connection = openConnection(url, options, { ...on, wrong, closed });
    } catch (cause) {
      wrong(new WebwireError("refused", cause.message, { cause }), true);
    }
  };

  /** Close the connection because of `error`; autoconnect brings it back. */
  const drop = (error) => {
    on.cut();
    move(CLOSING, error);
    connection.close(error);
  };

  /** Whatever is under way ends, and nobody minds. */
  const abandon = (error) => {
    told = again = true;
    if (!connection) move(IDLE, error);
    else if (state !== CLOSING) drop(error);
  };

  /** Final: no server for us, which ends the retrying. */
  const wrong = (error, isFinal) => {
    if (!isFinal) return drop(error);
    enable(false, error);
    abandon(error);
    on.failed(error);
  };

  const closed = (error) => {
    connection = null;
    on.cut();
    if (!told && !autoconnect) on.failed(error ?? new WebwireError(DISCONNECTED));
    move(IDLE, error);
    if (!enabled) return;
    if (autoconnect ? again : on.count(CONNECT)) return dial();
    if (!autoconnect) return;
    move(BACKOFF);
    waits.begin(dial);
  };

  return {
    drop,
    status: () => status,
    limits: () => connection?.limits(),
    ready: () => state === UP && connection.isOpen(),
    send: (bytes) => connection.send(bytes),

    /** An explicit connect does not sit out a back-off: nor the one that would
     * follow if what is under way fails. */
    use(explicitly) {
      enable(true);
      if (state === IDLE || (state === BACKOFF && explicitly)) dial();
      else again ||= explicitly;
    },

    /** The client counts as connected. */
    up() {
      waits.reset();
      told = true;
      move(UP);
    },

    /** Disable; use() enables again. */
    close() {
      on.cut();
      enable(false);
      abandon();
    },

    /** The last one who wanted this attempt (autoconnect off) gave up. */
    free: () => autoconnect || state === UP || on.count(CONNECT) || abandon(),
  };
};
