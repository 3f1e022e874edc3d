/** webwire-client: the webwire protocol 2.0 for browsers and Node.js.
 * docs/javascript.md has it by example. */

/** Why something failed; the C client (core/wwr_err.h) has the same names.
 *
 * Of a call: "request" (the server's answer, with `code`), "internal",
 * "shutdown", "timeout" (the default), "deadline" (the caller's own),
 * "canceled" (its AbortSignal, or close()), "disconnected" (it was sent, then
 * the connection broke: whether it was carried out is unknown; or autoconnect
 * is off), "protocol" (a wrong name, nothing to send), "buffer-overflow",
 * "limit" (maxPending, maxQueuedBytes), "transmission" (too much is queued at
 * the socket), "invalid" (a wrong argument).
 *
 * Of sessions: "session-not-found", "max-session-conns", "sessions-disabled",
 * "session-active".
 *
 * Of the connection: "dial-timeout", and what ends the retrying:
 * "incompatible-version", "subprotocol-mismatch", "protocol",
 * "buffer-overflow" (the server's is over `messageBuffer`), "refused" (this
 * environment has no WebSocket, or allows none to the URL). */
export type ErrorName =
  | "invalid"
  | "limit"
  | "canceled"
  | "deadline"
  | "timeout"
  | "disconnected"
  | "dial-timeout"
  | "incompatible-version"
  | "subprotocol-mismatch"
  | "internal"
  | "max-session-conns"
  | "protocol"
  | "request"
  | "shutdown"
  | "session-not-found"
  | "sessions-disabled"
  | "transmission"
  | "buffer-overflow"
  | "session-active"
  | "refused";

/** All that this library throws or rejects with. */
export class WebwireError extends Error {
  constructor(kind: ErrorName, message?: string, options?: { code?: string; cause?: unknown });
  readonly name: "WebwireError";
  readonly kind: ErrorName;
  /** Kind "request": the server's code; `message` is the server's then. */
  readonly code?: string;
  /** True for "timeout", "deadline" and "dial-timeout". */
  readonly isTimeout: boolean;
}

export type Encoding = "binary" | "utf8" | "utf16";

/** What arrives, and what may be sent on as it is. */
export class Payload {
  constructor(encoding: Encoding, bytes: Uint8Array);
  readonly encoding: Encoding;
  /** As on the wire; a view into the message. */
  readonly bytes: Uint8Array;
  /** Decoded by its encoding, binary as UTF-8. What is no text in it becomes
   * U+FFFD. */
  readonly text: string;
  /** The text as JSON; throws a SyntaxError when it is none. */
  json(): unknown;
}

/** `text` to be sent as UTF-16; a string is sent as UTF-8. */
export function utf16(text: string): Payload;

/** A string goes as UTF-8, a Uint8Array as binary, nothing as an empty text. */
export type Sendable = string | Uint8Array | Payload | null | undefined;

export interface Signal {
  /** "" when it has none. Any byte is one character. */
  readonly name: string;
  readonly payload: Payload;
}

export interface Session {
  readonly key: string;
  readonly creation: Date;
  readonly lastLookup: Date;
  readonly info: Readonly<Record<string, unknown>>;
}

/** Where the session's key is kept: localStorage, sessionStorage, or one's own.
 * What it throws counts as "not kept". */
export interface SessionStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** "disabled": new, closed, or ended by a server that can't be ours; idle until
 * used. "connected": the session is restored, or could not be. */
export type Status = "disabled" | "disconnected" | "connected";

/** All times in milliseconds, all sizes in bytes. */
export interface Options {
  /** What the server has to call its sub-protocol; default: it has none. */
  subprotocol?: string;
  /** Lost connections come back by themselves, and calls wait for them. Off:
   * calls fail with "disconnected" at once; only connect() connects. Default
   * true. */
  autoconnect?: boolean;
  /** Of calls without a timeout of their own. Default 60000. */
  requestTimeout?: number;
  /** Until the server has accepted. Default 5000. */
  dialTimeout?: number;
  /** The first wait before another attempt. Default 2000. */
  reconnectInterval?: number;
  /** The ceiling of the waits, which double, each chosen at random below
   * that. Default 30000. */
  reconnectMax?: number;
  /** The largest message buffer size accepted from a server. Default 1 MiB. */
  messageBuffer?: number;
  /** Calls open or waiting at once. Default 65536. */
  maxPending?: number;
  /** Bytes of calls that wait for the connection ("limit"), and of those that
   * the socket did not send yet ("transmission"). Default 16 MiB. */
  maxQueuedBytes?: number;
  /** Default: the page's localStorage, elsewhere null: then the session lives
   * as long as the client. */
  storage?: SessionStorage | null;
  /** The name of the session's key there. Default "webwire:" and the URL
   * without its query. */
  storageKey?: string;
  /** The constructor, such as `ws` has it. Default: the global one. */
  WebSocket?: new (url: string) => unknown;
}

export interface CallOptions {
  /** The caller's deadline in milliseconds, from now; none are left at 0 and
   * below. */
  timeout?: number;
  /** Gives the call up: "canceled", with the signal's reason as `cause`. */
  signal?: AbortSignal;
}

export interface Retry {
  /** Milliseconds until the next attempt. */
  readonly in: number;
  /** 1 for the first one since the last success. */
  readonly attempt: number;
}

export interface Events {
  /** `reason`: how the connection ended, null for a normal close by either
   * side. With "disabled" and a reason the retrying has ended for good. */
  status: (status: Status, reason: WebwireError | null) => void;
  signal: (signal: Signal) => void;
  /** What `client.session` is from now on. Created and restored sessions have
   * no `reason`, nor have closed ones, whoever closed them. With a `reason` the
   * session could not be restored: "session-not-found": it is forgotten;
   * anything else: the next connect tries again. */
  session: (session: Session | null, reason: WebwireError | null) => void;
  retry: (retry: Retry) => void;
}

/** Idle until first used, and again after close().
 *
 * Every call's promise is settled by the result, a timeout, an AbortSignal or
 * the connection's end. Calls are sent in the order they were made. Methods are
 * bound: they may be passed around. */
export class Client {
  /** `url`: ws, wss, http or https; in a page it may be relative. Throws kind
   * "invalid". */
  constructor(url: string | URL, options?: Options);

  readonly status: Status;
  /** Of the connection, or while there is none of the last one. Null also when
   * it could not be restored yet. */
  readonly session: Session | null;
  /** Number of requests without an answer. */
  readonly pending: number;
  /** What the server said about itself; null while there is no connection. */
  readonly serverLimits: { readonly readTimeout: number; readonly messageBuffer: number } | null;

  /** Until connected, the session restored. With autoconnect it retries until
   * the timeout, otherwise it tries once. It does not sit out a wait between
   * attempts. */
  connect(options?: CallOptions): Promise<void>;

  /** The reply's payload. */
  request(name: string, payload?: Sendable, options?: CallOptions): Promise<Payload>;

  /** Fulfilled when it is handed to the connection. */
  signal(name: string, payload?: Sendable, options?: CallOptions): Promise<void>;

  /** Take the session of a key that was kept elsewhere. */
  restoreSession(key: string, options?: CallOptions): Promise<Session>;

  /** Close the session on the server and forget it. Offline it is only
   * forgotten. */
  closeSession(options?: CallOptions): Promise<void>;

  /** Close the connection; idle until used again. What waits fails with
   * "canceled", what was sent with "disconnected". The session is kept. */
  close(): void;

  /** Returns the function that removes the listener. Listeners run soon after
   * what they are about, in order, and never inside a call of this library.
   * What they throw, or reject with, is printed with console.error(). */
  on<Type extends keyof Events>(type: Type, listener: Events[Type]): () => void;
}
