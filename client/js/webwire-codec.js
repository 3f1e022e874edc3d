/** The client's side of the webwire protocol 2.0 as pure functions: messages to
 * a server into bytes, and a server's bytes into messages. All that they throw
 * is a WebwireError, of kind "protocol" unless something else is said. */

export class WebwireError extends Error {
  constructor(kind, message = kind, options = {}) {
    super(message, options);
    this.name = "WebwireError";
    this.kind = kind;
    this.code = options.code;
  }

  get isTimeout() {
    return /time|dead/.test(this.kind); // timeout, deadline, dial-timeout
  }
}

export const fail = (kind, message) => {
  throw new WebwireError(kind, message);
};

export const violation = (what) => fail("protocol", `wrong ${what}`);

/* Kinds of errors, and a status, that are used more than once. */
export const DISCONNECTED = "disconnected";
export const BUFFER_OVERFLOW = "buffer-overflow";

/* Kinds of calls besides the types of messages: connect(), which sends nothing,
 * and the restore of the session of before. */
export const CONNECT = 1;
export const RESUME = 2;

/* Message types. Signals, requests and replies have three each: binary, UTF-8,
 * UTF-16. The binary one is 63 more than a multiple of 64. */
export const REPLY_ERROR = 0;
const LAST_FAILURE = 5;
export const SESSION_CREATED = 21;
export const SESSION_CLOSED = 22;
const ACCEPT_CONF = 23;
export const CLOSE_SESSION = 31;
export const RESTORE_SESSION = 32;
export const SIGNAL = 63;
export const REQUEST = 127;
export const REPLY = 191;

export const HEARTBEAT = Uint8Array.of(33);

/** The least length of what a server sends, where more than an id is certain. */
const LEAST = { 21: 2, 22: 1, 23: 11, 63: 3, 191: 9 };

const ENCODINGS = ["binary", "utf8", "utf16"];
const UTF16 = 2;
const AFTER_ID = 9;
const VERSION_MAJOR = 2;
const MESSAGE_BUFFER_MIN = 32;

/* Payloads */

export class Payload {
  constructor(encoding, bytes) {
    this.encoding = encoding;
    this.bytes = bytes;
  }

  get text() {
    const label = this.encoding === "utf16" ? "utf-16" : "utf8";
    // A byte order mark is text like any other.
    return new TextDecoder(label, { ignoreBOM: true }).decode(this.bytes);
  }

  json() {
    return JSON.parse(this.text);
  }
}

const toUtf8 = (text) => new TextEncoder().encode(text);

/** `text` to be sent as UTF-16, little-endian. */
export const utf16 = (text) => {
  const byteAt = (_, i) => text.charCodeAt(i >> 1) >> ((i % 2) * 8);
  return new Payload("utf16", Uint8Array.from({ length: 2 * text.length }, byteAt));
};

/** What a caller may send, as a Payload. */
const toPayload = (value) => {
  if (value instanceof Payload) return value;
  if (value instanceof Uint8Array) return new Payload("binary", value);
  return typeof value === "string" ? new Payload("utf8", toUtf8(value)) : violation("payload");
};

/* To the server */

/** `id` 0: none; `name` undefined: the layout has no name. */
const encode = (type, id, payload, name) => {
  const head = [type];
  for (let i = 0; id && i < 8; i++) head.push((id / 256 ** i) & 255);
  if (name !== undefined) head.push(name.length, ...toUtf8(name));
  if ((type + 1) % 64 === UTF16 && head.length % 2) head.push(0);
  const message = new Uint8Array(head.length + payload.length);
  message.set(head);
  message.set(payload, head.length);
  return message;
};

/** A request, or with `id` 0 a signal. */
export const encodeNamed = (id, name, value) => {
  const payload = toPayload(value ?? "");
  const size = payload.bytes.length;
  const encoding = ENCODINGS.indexOf(payload.encoding);
  if (typeof name !== "string" || !/^[ -~]{0,255}$/.test(name)) violation("name");
  const isOdd = encoding === UTF16 && (size % 2 || !(size || id));
  if (encoding < 0 || isOdd || !(name || size)) violation("payload");
  return encode((id ? REQUEST : SIGNAL) + encoding, id, payload.bytes, name);
};

export const encodeRestore = (id, key) =>
  encode(RESTORE_SESSION, id, key ? toUtf8(key) : violation("key"));

export const encodeClose = (id) => encode(CLOSE_SESSION, id, []);

/* From the server */

const numberAt = (bytes, at, length) =>
  bytes.subarray(at, at + length).reduceRight((sum, byte) => sum * 256 + byte, 0);

/** One whole message: {type, id, name, payload}. `type` is the binary one of
 * its three; what follows the id and the name is the payload, whatever the
 * protocol calls it; the id of a type that has none means nothing. */
export const decode = (bytes) => {
  const size = bytes.length;
  const encoding = bytes[0] < SIGNAL ? 0 : (bytes[0] + 1) % 64;
  const type = bytes[0] - encoding;
  const least = type <= LAST_FAILURE ? AFTER_ID : LEAST[type];
  let at = least === AFTER_ID ? AFTER_ID : 1;
  let name;
  if (type === REPLY_ERROR || type === SIGNAL) {
    const start = at + 1;
    at = start + bytes[at];
    name = String.fromCharCode(...bytes.subarray(start, at)); // any byte is a character
  }
  if (encoding === UTF16) at += at % 2;
  const isWrong =
    !(encoding <= UTF16 && size >= least && size >= at) || // what is undefined is neither
    (encoding === UTF16 && (size % 2 || (type === SIGNAL && size === at))) ||
    (type === REPLY_ERROR && !name) ||
    (type === SESSION_CLOSED && size > at);
  if (isWrong) violation("message");
  const payload = new Payload(type < SIGNAL ? "utf8" : ENCODINGS[encoding], bytes.subarray(at));
  return { type, id: numberAt(bytes, 1, 8), name, payload };
};

/** The limits in a server's first message. Throws what makes it none of ours. */
export const checkConf = ({ type, payload: { bytes } }, options) => {
  const messageBuffer = numberAt(bytes, 6, 4);
  const subprotocol = new Payload("utf8", bytes.subarray(10)).text;
  if (type !== ACCEPT_CONF || messageBuffer < MESSAGE_BUFFER_MIN) violation("accept-conf");
  if (bytes[0] !== VERSION_MAJOR) fail("incompatible-version");
  if (subprotocol !== options.subprotocol) fail("subprotocol-mismatch");
  if (messageBuffer > options.messageBuffer) fail(BUFFER_OVERFLOW);
  return { readTimeout: numberAt(bytes, 2, 4), messageBuffer };
};

/** The session object in `payload`. */
export const parseSession = (payload) => {
  try {
    const { k: key, c, l, i } = payload.json();
    const creation = new Date(c);
    const lastLookup = new Date(l ?? c);
    const info = i ?? {};
    const isTimed = isFinite(creation - lastLookup);
    if (key && typeof key === "string" && typeof info === "object" && isTimed) {
      return { key, creation, lastLookup, info };
    }
  } catch {}
  return violation("session");
};
