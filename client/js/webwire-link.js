/** The way to the server: dial, handshake, restore, up, lost, and again.
 *
 *   idle ─► dialing ─► handshake ─► (restoring) ─► up
 *    ▲ │        │          │             │          │
 *    │ ▼        ▼          ▼             ▼          ▼
 *   backoff    closing ◄───┴─────────────┴──────────┘ ─► idle
 *
 * It knows no requests and no sessions: those are its owner's. What an owner
 * is told: accepted(), message(message), cut() when what was sent is lost,
 * failed(reason, final) when an attempt is over in vain, changed(status,
 * reason), retry({in, attempt}); and it is asked isAwaited(). */
import { HEARTBEAT, TYPE, WebwireError, decode } from "./webwire-codec.js";

const VERSION_MAJOR = 2;
const MESSAGE_BUFFER_MIN = 32;
const HEART_MIN = 10; // a nonsensical read timeout must not make us flood
const LINGER = 1000; // for the server to confirm a close
const OPEN = 1;

/** Close codes: a page may only send 1000 and those from 3000 on. */
const CLOSE_NORMAL = 1000;
const CLOSE_PROTOCOL = 4002;

/** The longest that timers can wait; more would make them fire at once. */
export const TIMER_MAX = 2 ** 31 - 1;

const now = () => performance.now();

/** How long the n-th wait (from 0) is: the first exactly `first`, the others
 * anything up to the doubled and doubled again, by `random` in [0, 1). */
export function backoff(n, first, max, random) {
  return n === 0 ? first : Math.round(random * Math.min(first * 2 ** n, max));
}

/** How long to be silent before a heartbeat; 0: never send one. */
export function heartbeatInterval(readTimeout) {
  if (readTimeout === 0) return 0;
  return Math.min(Math.max(Math.floor((readTimeout * 3) / 4), HEART_MIN), TIMER_MAX);
}

/** What is wrong with a server's first message, or null. */
export function mismatchOf(message, { subprotocol, messageBuffer }) {
  if (message.type !== TYPE.acceptConf || message.messageBuffer < MESSAGE_BUFFER_MIN) {
    return new WebwireError("protocol", "the first message is no accept-conf");
  }
  if (message.major !== VERSION_MAJOR) {
    return new WebwireError("incompatible-version", `the server speaks ${message.major}`);
  }
  if (message.subprotocol !== subprotocol) {
    return new WebwireError("subprotocol-mismatch", `the server's is "${message.subprotocol}"`);
  }
  if (message.messageBuffer > messageBuffer) {
    return new WebwireError("buffer-overflow", "the server's message buffer is over ours");
  }
  return null;
}

export class Link {
  #url;
  #options;
  #owner;
  #state = "idle";
  #enabled = false;
  #status = "disabled";
  #socket = null;
  #timer; // what the state waits for: back-off, handshake, restore, close
  #heart;
  #lastSent = 0;
  #waits = 0; // since the last success
  #reason = null; // why we dropped the connection
  #wasUp = false;
  #abandoned = false; // nobody wants this attempt or connection any more
  #again = false; // a connect joined it: if it fails, dial at once
  #online = () => this.#backOnline();

  /** {readTimeout, messageBuffer} of this connection's server. */
  limits = null;

  constructor(url, options, owner) {
    this.#url = url;
    this.#options = options;
    this.#owner = owner;
  }

  get status() {
    return this.#status;
  }

  /** True when a message can be sent right now. */
  get isReady() {
    return this.#state === "up" && this.#socket.readyState === OPEN;
  }

  get isRestoring() {
    return this.#state === "restoring";
  }

  #move(state) {
    this.#state = state;
    clearTimeout(this.#timer);
    this.#show();
  }

  #enable(enabled) {
    if (enabled === this.#enabled) return;
    this.#enabled = enabled;
    if (enabled) this.#reason = null;
    globalThis[enabled ? "addEventListener" : "removeEventListener"]?.("online", this.#online);
    this.#show();
  }

  #show() {
    let status = this.#state === "up" ? "connected" : "disconnected";
    if (!this.#enabled) status = "disabled";
    if (status === this.#status) return;
    this.#status = status;
    this.#owner.changed(status, this.#reason);
  }

  /* To the server */

  /** Somebody needs the connection. An explicit connect does not sit out a
   * back-off: nor the one that would follow if what is under way fails. */
  use(explicitly) {
    this.#enable(true);
    if (this.#state === "backoff" && explicitly) this.#move("idle");
    if (this.#state === "idle") this.#dial();
    else if (explicitly) this.#again = true;
  }

  #backOnline() {
    if (this.#state === "backoff") this.use(true);
  }

  #dial() {
    this.#reason = null;
    this.#wasUp = this.#abandoned = this.#again = false;
    this.#move("dialing");
    try {
      this.#socket = new this.#options.WebSocket(this.#url);
    } catch (cause) {
      this.#mismatch(new WebwireError("refused", `no WebSocket to ${this.#url}`, { cause }));
      return;
    }
    this.#timer = setTimeout(() => this.break("dial-timeout"), this.#options.dialTimeout);
    this.#listen(this.#socket);
  }

  #listen(socket) {
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#state === "dialing" && (this.#state = "handshake");
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event.wasClean);
    socket.onerror = () => {}; // the close event follows; without a listener some throw
  }

  #backOff() {
    const { reconnectInterval, reconnectMax } = this.#options;
    const wait = backoff(this.#waits++, reconnectInterval, reconnectMax, Math.random());
    this.#move("backoff");
    this.#timer = setTimeout(() => this.#dial(), wait);
    this.#owner.retry({ in: wait, attempt: this.#waits });
  }

  /** Nothing is under way any more: what next? */
  #settle(failed) {
    this.#move("idle");
    if (!this.#enabled) return;
    if (!this.#options.autoconnect) {
      if (this.#owner.isAwaited()) this.#dial();
    } else if (failed && !this.#again) {
      this.#backOff();
    } else {
      this.#dial();
    }
  }

  /* Away from it */

  #closeSocket(code, text) {
    clearTimeout(this.#heart);
    this.#owner.cut();
    this.#move("closing");
    this.#timer = setTimeout(() => this.#closed(false), LINGER);
    this.#socket.close(code, text);
  }

  /** Whatever is under way ends, and nobody minds. */
  #abandon() {
    if (this.#state === "idle" || this.#state === "closing") return;
    this.#abandoned = true;
    if (this.#state === "backoff") this.#move("idle");
    else this.#closeSocket(CLOSE_NORMAL);
  }

  /** The last one who wanted this attempt gave up. */
  release() {
    if (!this.#options.autoconnect && this.#state !== "up") this.#abandon();
  }

  /** Disable; use() enables again. */
  close() {
    this.#owner.cut();
    this.#enable(false);
    this.#abandon();
  }

  /** Drop the connection; autoconnect brings it back. */
  break(kind, message) {
    this.#reason = new WebwireError(kind, message);
    this.#closeSocket(kind === "protocol" ? CLOSE_PROTOCOL : CLOSE_NORMAL, kind);
  }

  /** No server that we can talk to: end the retrying. */
  #mismatch(reason) {
    this.#reason = reason;
    this.#abandoned = true;
    this.#enable(false);
    if (this.#socket) this.#closeSocket(CLOSE_PROTOCOL, reason.kind);
    else this.#move("idle");
    this.#owner.failed(reason, true);
  }

  #closed(wasClean) {
    this.#drop();
    this.#owner.cut();
    if (!wasClean) this.#reason ??= new WebwireError("disconnected");
    if (this.#wasUp || this.#abandoned) {
      this.#settle(!this.#abandoned);
      return;
    }
    this.#owner.failed(this.#reason ?? new WebwireError("disconnected"), false);
    this.#settle(true);
  }

  /** The socket is of no further interest, whether or not it is closed. */
  #drop() {
    const socket = this.#socket;
    clearTimeout(this.#heart);
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.terminate?.(); // where there is such a thing (ws)
    this.#socket = this.limits = null;
  }

  /* Connected */

  #receive(data) {
    if (this.#state === "closing") return;
    const limit = (this.limits ?? this.#options).messageBuffer;
    let message;
    try {
      if (!(data instanceof ArrayBuffer)) throw new WebwireError("protocol", "a text message");
      if (data.byteLength > limit) throw new WebwireError("protocol", "a message over the buffer");
      message = decode(new Uint8Array(data));
    } catch (error) {
      if (this.#state === "handshake") this.#mismatch(error);
      else this.break("protocol", error.message);
      return;
    }
    if (this.#state === "handshake") this.#handshake(message);
    else this.#owner.message(message);
  }

  #handshake(message) {
    const mismatch = mismatchOf(message, this.#options);
    if (mismatch) {
      this.#mismatch(mismatch);
      return;
    }
    const { readTimeout, messageBuffer } = message;
    this.limits = Object.freeze({ readTimeout, messageBuffer });
    this.#lastSent = now();
    this.#beat(heartbeatInterval(readTimeout));
    this.#owner.accepted();
  }

  /** A heartbeat, if nothing else was sent for the interval; and again. */
  #beat(interval) {
    if (!interval) return;
    const silent = now() - this.#lastSent;
    const due = silent >= interval;
    if (due && this.#socket.readyState === OPEN) this.#write(HEARTBEAT);
    this.#heart = setTimeout(() => this.#beat(interval), due ? interval : interval - silent);
  }

  #write(bytes) {
    this.#socket.send(bytes);
    this.#lastSent = now();
  }

  /** Throws kinds "buffer-overflow", "transmission" and "disconnected" (it is
   * about to end). */
  send(bytes) {
    if (bytes.length > this.limits.messageBuffer) {
      throw new WebwireError("buffer-overflow", "larger than the server takes");
    }
    if (this.#socket.readyState !== OPEN) throw new WebwireError("disconnected");
    const queued = this.#socket.bufferedAmount;
    if (queued && queued + bytes.length > this.#options.maxQueuedBytes) {
      throw new WebwireError("transmission", "too much is still to be sent");
    }
    this.#write(bytes);
  }

  /** The session was asked for; up() follows when that is answered. */
  restoring() {
    this.#move("restoring");
    this.#timer = setTimeout(() => this.break("timeout"), this.#options.requestTimeout);
  }

  /** The client counts as connected. */
  up() {
    this.#waits = 0;
    this.#wasUp = true;
    this.#move("up");
  }
}
