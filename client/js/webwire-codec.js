/** Messages of the webwire protocol 2.0 to and from bytes, as pure functions.
 * The only thing they throw is a WebwireError. */

export class WebwireError extends Error {
  constructor(kind, message, options = {}) {
    super(message ?? kind.replaceAll("-", " "), options);
    this.name = "WebwireError";
    this.kind = kind;
    this.code = options.code;
  }

  get isTimeout() {
    return ["timeout", "deadline", "dial-timeout"].includes(this.kind);
  }
}

export const TYPE = {
  replyError: 0,
  replyShutdown: 1,
  replyInternalError: 2,
  replySessionNotFound: 3,
  replyMaxSessionConns: 4,
  replySessionsDisabled: 5,
  sessionCreated: 21,
  sessionClosed: 22,
  acceptConf: 23,
  closeSession: 31,
  restoreSession: 32,
  heartbeat: 33,
  signal: 63, // and the two after it: UTF-8, UTF-16
  request: 127,
  reply: 191,
};

export const HEARTBEAT = Uint8Array.of(TYPE.heartbeat);

const ENCODINGS = ["binary", "utf8", "utf16"];
const UTF16 = 2;
const AFTER_ID = 9;
const CONF_LENGTH = 11;
const UINT32 = 2 ** 32;

const encoder = new TextEncoder();
// A byte order mark is text like any other.
const decoders = {
  utf8: new TextDecoder("utf-8", { ignoreBOM: true }),
  utf16: new TextDecoder("utf-16le", { ignoreBOM: true }),
};

export class Payload {
  constructor(encoding, bytes) {
    this.encoding = encoding;
    this.bytes = bytes;
  }

  get text() {
    return (decoders[this.encoding] ?? decoders.utf8).decode(this.bytes);
  }

  json() {
    return JSON.parse(this.text);
  }
}

const NOTHING = new Payload("binary", new Uint8Array());

function fail(message) {
  throw new WebwireError("protocol", message);
}

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** `text` to be sent as UTF-16, little-endian. */
export function utf16(text) {
  const bytes = new Uint8Array(2 * text.length);
  const view = viewOf(bytes);
  for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i), true);
  return new Payload("utf16", bytes);
}

/** What a caller may send, as a Payload. */
export function toPayload(value) {
  if (value instanceof Payload) return value;
  if (typeof value === "string") return new Payload("utf8", encoder.encode(value));
  if (value instanceof Uint8Array) return new Payload("binary", value);
  if (value == null) return NOTHING;
  throw new WebwireError("invalid", "payload: a string, Uint8Array or Payload is needed");
}

/* To the server */

/** Type, id (null: none) and `length` bytes more, and where those begin. */
function begin(type, id, length) {
  const start = id === null ? 1 : AFTER_ID;
  const bytes = new Uint8Array(start + length);
  bytes[0] = type;
  if (id !== null) {
    viewOf(bytes).setUint32(1, id % UINT32, true);
    viewOf(bytes).setUint32(5, id / UINT32, true);
  }
  return [bytes, start];
}

/** A UTF-16 payload is put on an even offset; type and id are an odd number. */
const padOf = (encoding, nameLength) => (encoding === UTF16 ? nameLength % 2 : 0);

function encodeNamed(type, id, name, payload) {
  const encoding = ENCODINGS.indexOf(payload.encoding);
  const size = payload.bytes.length;
  if (typeof name !== "string" || !/^[ -~]{0,255}$/.test(name)) {
    fail("name: 0 to 255 printable ASCII characters are needed");
  }
  if (!name && !size) fail("a name or a payload is needed");
  if (encoding < 0 || (encoding === UTF16 && size % 2)) fail("payload: wrong encoding");
  if (encoding === UTF16 && !size && id === null) fail("a UTF-16 signal needs a payload");
  const rest = 1 + name.length + padOf(encoding, name.length) + size;
  const [bytes, at] = begin(type + encoding, id, rest);
  bytes[at] = name.length;
  encoder.encodeInto(name, bytes.subarray(at + 1));
  bytes.set(payload.bytes, bytes.length - size);
  return bytes;
}

export const encodeRequest = (id, name, payload) => encodeNamed(TYPE.request, id, name, payload);
export const encodeSignal = (name, payload) => encodeNamed(TYPE.signal, null, name, payload);
export const encodeCloseSession = (id) => begin(TYPE.closeSession, id, 0)[0];

export function encodeRestoreSession(id, key) {
  if (typeof key !== "string" || !key) fail("session key: a text is needed");
  const utf8 = encoder.encode(key);
  const [bytes, at] = begin(TYPE.restoreSession, id, utf8.length);
  bytes.set(utf8, at);
  return bytes;
}

/* From the server */

function idOf(bytes) {
  const view = viewOf(bytes);
  return view.getUint32(1, true) + view.getUint32(5, true) * UINT32;
}

/** At `at` stand the name's length and the name, a pad, and the payload. */
function takeNamed(bytes, at, encoding) {
  const end = at + 1 + bytes[at];
  const start = end + padOf(encoding, bytes[at]);
  if (start > bytes.length) fail("message: shorter than its name");
  return {
    name: String.fromCharCode(...bytes.subarray(at + 1, end)), // any byte is a character
    payload: new Payload(ENCODINGS[encoding], bytes.subarray(start)),
  };
}

function decodeConf(bytes) {
  const view = viewOf(bytes);
  return {
    major: bytes[1],
    minor: bytes[2],
    readTimeout: view.getUint32(3, true),
    messageBuffer: view.getUint32(7, true),
    subprotocol: decoders.utf8.decode(bytes.subarray(CONF_LENGTH)),
  };
}

function decodeReply(bytes, encoding) {
  const start = encoding === UTF16 ? AFTER_ID + 1 : AFTER_ID;
  return { id: idOf(bytes), payload: new Payload(ENCODINGS[encoding], bytes.subarray(start)) };
}

/** The group of a type: signals, requests and replies are of three encodings. */
function baseOf(type) {
  const { signal, request, reply } = TYPE;
  return [signal, request, reply].find((base) => type >= base && type <= base + UTF16) ?? type;
}

/** The least and the greatest length of each type, UTF-16 apart. */
const LENGTHS = {
  0: [11], 1: [9], 2: [9], 3: [9], 4: [9], 5: [9],
  21: [2], 22: [1, 1], 23: [CONF_LENGTH],
  31: [9, 9], 32: [10], 33: [1, 1],
  63: [3], 127: [11], 191: [9],
}; // prettier-ignore

function checkLength(base, encoding, length) {
  const [least, most = Infinity] = LENGTHS[base] ?? fail("message: unknown type");
  const shortest = encoding === UTF16 ? least + (least % 2) : least;
  const odd = encoding === UTF16 && length % 2;
  if (length < shortest || length > most || odd) fail("message: wrong length");
}

/** One whole message of any type, from either side: `type` is the binary one of
 * its group, with the fields its layout has. Throws kind "protocol". */
export function decode(bytes) {
  const type = baseOf(bytes[0]);
  const encoding = bytes[0] - type;
  checkLength(type, encoding, bytes.length);
  switch (type) {
    case TYPE.replyError:
      if (bytes[AFTER_ID] === 0) fail("message: error without a code");
      return { type, id: idOf(bytes), ...takeNamed(bytes, AFTER_ID, 1) };
    case TYPE.request:
      return { type, id: idOf(bytes), ...takeNamed(bytes, AFTER_ID, encoding) };
    case TYPE.reply:
      return { type, ...decodeReply(bytes, encoding) };
    case TYPE.signal: {
      const named = takeNamed(bytes, 1, encoding);
      if (encoding === UTF16 && !named.payload.bytes.length) fail("message: no payload");
      return { type, ...named };
    }
    case TYPE.sessionCreated:
      return { type, payload: new Payload("utf8", bytes.subarray(1)) };
    case TYPE.acceptConf:
      return { type, ...decodeConf(bytes) };
    case TYPE.restoreSession:
      return { type, id: idOf(bytes), key: decoders.utf8.decode(bytes.subarray(AFTER_ID)) };
    default:
      return bytes.length < AFTER_ID ? { type } : { type, id: idOf(bytes) };
  }
}

/* Sessions */

// Dates know milliseconds, the server nanoseconds.
const RFC3339 = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d{1,3})?\d*(Z|[+-]\d\d:\d\d)$/i;

function toDate(text) {
  const [, day, time, fraction = "", zone] = RFC3339.exec(text) ?? [];
  const date = new Date(`${day}T${time}${fraction}${zone}`.toUpperCase());
  return Number.isNaN(date.getTime()) ? fail("session: wrong time") : date;
}

function parseObject(text) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WebwireError("protocol", "session: no JSON", { cause });
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** A session object, as it stands in a message. Throws kind "protocol". */
export function parseSession(text) {
  const object = parseObject(text);
  const { k: key, c: creation, l: lastLookup, i } = isObject(object) ? object : {};
  const info = i ?? {};
  if (typeof key !== "string" || !key || !isObject(info)) fail("session: wrong fields");
  return Object.freeze({
    key,
    creation: toDate(creation),
    lastLookup: toDate(lastLookup ?? creation),
    info: Object.freeze(info),
  });
}
