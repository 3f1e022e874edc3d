/** Requests and everything else that waits for the connection or for a reply.
 *
 * A call waits in the order it was made, is sent, and stays open under its id
 * until the reply. Each gets exactly one result. A session call that was sent
 * may change the session although its caller waits no more: it stays open, so
 * that its late reply is understood. */
import { BUFFER_OVERFLOW, DISCONNECTED, REQUEST, WebwireError, fail } from "./webwire-codec.js";
import { TIMER_MAX } from "./webwire-link.js";

const abortError = ({ reason: cause }) => new WebwireError("canceled", cause?.message, { cause });

/** `onGivenUp()` is told when somebody waits no more. */
export const createCalls = (options, onGivenUp) => {
  const waiting = new Set(); // keeps the order
  const open = new Map(); // by id
  const counts = {}; // of calls without a result, by kind
  let lastId = 0;
  let queued = 0; // bytes of those that wait

  const count = (kind) => counts[kind] ?? 0;

  const leave = (call) => {
    if (waiting.delete(call)) queued -= call.bytes.length;
    open.delete(call.id);
  };

  /** The result of a call, and its end. */
  const end = (call, error, value) => {
    leave(call);
    call.tell(error, value);
  };

  const giveUp = (call, error) => {
    if (call.kind === REQUEST || !open.has(call.id)) leave(call);
    call.tell(error);
    onGivenUp();
  };

  /** Throws what is wrong with a call before it is made. */
  const check = (size, signal) => {
    if (signal?.aborted) throw abortError(signal);
    if (size > options.messageBuffer) fail(BUFFER_OVERFLOW);
    const isFull = waiting.size + open.size >= options.maxPending;
    if (isFull || queued + size > options.maxQueuedBytes) fail("limit");
  };

  return {
    check,
    count,
    end,
    newId: () => ++lastId,
    first: () => waiting.values().next().value,
    find: (id) => open.get(id),

    /** Nobody needs to wait any more. */
    failed: (error) => waiting.forEach((call) => end(call, error)),

    /** What was sent is lost. */
    cut: () => open.forEach((call) => end(call, new WebwireError(DISCONNECTED))),

    /** Its time begins; settle(error, value) is called once, when it is over. */
    make(kind, id, bytes, settle, { timeout, signal }) {
      const late = timeout == null ? "timeout" : "deadline";
      const ms = Math.min(timeout ?? options.requestTimeout, TIMER_MAX);
      const timer = setTimeout(() => giveUp(call, new WebwireError(late)), ms);
      const abort = () => giveUp(call, abortError(signal));
      const tell = (error, value) => {
        if (!settle) return;
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        counts[kind]--;
        settle(error, value);
        settle = null;
      };
      const call = { kind, id, bytes, tell };
      counts[kind] = count(kind) + 1;
      signal?.addEventListener("abort", abort);
      return call;
    },

    wait(call) {
      waiting.add(call);
      queued += call.bytes.length;
    },

    /** It was sent: from here on it waits for its reply. */
    sent(call) {
      leave(call);
      call.bytes = null;
      open.set(call.id, call);
    },
  };
};
