/** Requests and everything else that waits for the connection or for a reply.
 *
 * A call waits in the order it was made, is sent, and stays open under its id
 * until the reply. Each gets exactly one result: finish() and fail() are the
 * only ways to it. A session call that was sent may change the session although
 * its caller waits no more: it stays open, so that its late reply is
 * understood. */
import { WebwireError } from "./webwire-codec.js";
import { TIMER_MAX } from "./webwire-link.js";

const isSessionCall = (call) => call.kind === "restore" || call.kind === "close";

/** An AbortSignal's reason, in our words. */
function abortError({ reason }) {
  const kind = reason?.name === "TimeoutError" ? "deadline" : "canceled";
  return new WebwireError(kind, reason?.message, { cause: reason });
}

function checkTimeout(timeout) {
  if (timeout === undefined || timeout >= 0) return;
  throw new WebwireError(timeout < 0 ? "deadline" : "invalid", "timeout: milliseconds are needed");
}

export class Calls {
  #options;
  #waiting = new Set(); // a Set keeps the order
  #open = new Map(); // by id
  #queuedBytes = 0; // of those that wait
  #nextId = 1;

  /** Number of requests without an answer. */
  pending = 0;

  /** `onGivenUp(call)` is told of calls that nobody waits for any more. */
  constructor(options, onGivenUp) {
    this.#options = options;
    this.#onGivenUp = onGivenUp;
  }
  #onGivenUp;

  newId() {
    return this.#nextId++;
  }

  /** A new call of `kind` with its encoded message (null: none), which the
   * limits have room for; it does not wait for anything yet. */
  make(kind, id, bytes, { timeout, signal } = {}, settle) {
    const { messageBuffer, maxPending, maxQueuedBytes, requestTimeout } = this.#options;
    const size = bytes?.length ?? 0;
    checkTimeout(timeout);
    if (signal?.aborted) throw abortError(signal);
    if (size > messageBuffer) throw new WebwireError("buffer-overflow", "larger than any server takes");
    if (this.#waiting.size + this.#open.size >= maxPending) {
      throw new WebwireError("limit", "too many are open");
    }
    if (this.#queuedBytes && this.#queuedBytes + size > maxQueuedBytes) {
      throw new WebwireError("limit", "too much waits to be sent");
    }
    const call = { kind, id, bytes, size, signal, settle };
    const late = timeout === undefined ? "timeout" : "deadline";
    const ms = Math.min(timeout ?? requestTimeout, TIMER_MAX);
    call.timer = setTimeout(() => this.#giveUp(call, new WebwireError(late)), ms);
    call.onAbort = () => this.#giveUp(call, abortError(signal));
    signal?.addEventListener("abort", call.onAbort);
    if (kind === "request") this.pending++;
    return call;
  }

  wait(call) {
    this.#waiting.add(call);
    this.#queuedBytes += call.size;
  }

  /** It was sent: from here on it waits for its reply. */
  sent(call) {
    this.#leave(call);
    call.bytes = null;
    call.isSent = true;
    this.#open.set(call.id, call);
  }

  /** The one that waits longest. */
  first() {
    return this.#waiting.values().next().value;
  }

  answered(id) {
    return this.#open.get(id);
  }

  get isConnectAwaited() {
    return [...this.#waiting].some((call) => call.kind === "connect");
  }

  #leave(call) {
    if (this.#waiting.delete(call)) this.#queuedBytes -= call.size;
    this.#open.delete(call.id);
  }

  #tell(call, error, value) {
    if (!call.settle) return;
    clearTimeout(call.timer);
    call.signal?.removeEventListener("abort", call.onAbort);
    if (call.kind === "request") this.pending--;
    call.settle(error, value);
    call.settle = null;
  }

  finish(call, value) {
    this.#leave(call);
    this.#tell(call, null, value);
  }

  fail(call, error) {
    this.#leave(call);
    this.#tell(call, error);
  }

  #giveUp(call, error) {
    if (!call.isSent || !isSessionCall(call)) this.#leave(call);
    this.#tell(call, error);
    this.#onGivenUp(call);
  }

  failWaiting(error) {
    for (const call of [...this.#waiting]) this.fail(call, error);
  }

  failOpen(error) {
    for (const call of [...this.#open.values()]) this.fail(call, error);
  }
}
