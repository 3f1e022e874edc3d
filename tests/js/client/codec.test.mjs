/** The codec, by the rows of the protocol's byte table and its fine print. */
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  HEARTBEAT,
  Payload,
  WebwireError,
  checkConf,
  decode,
  encodeClose,
  encodeNamed,
  encodeRestore,
  parseSession,
  utf16,
} from "../../../client/js/webwire-codec.js";

const ID = 0x0102030405; // five of the eight bytes
const ID_BYTES = [5, 4, 3, 2, 1, 0, 0, 0];
const latin1 = (text) => [...text].map((character) => character.charCodeAt(0));
const utf8 = (text) => [...Buffer.from(text)];
const utf16le = (text) => [...Buffer.from(text, "utf16le")];
const isViolation = (error) => error instanceof WebwireError && error.kind === "protocol";

/** By seed: mulberry32. */
function randomOf(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("what a client sends, byte for byte", () => {
  const rows = [
    ["close", encodeClose(ID), [31, ...ID_BYTES]],
    ["restore", encodeRestore(ID, "key"), [32, ...ID_BYTES, ...latin1("key")]],
    ["heartbeat", HEARTBEAT, [33]],
    ["signal, binary", encodeNamed(0, "ab", Uint8Array.of(0, 255)), [63, 2, ...latin1("ab"), 0, 255]],
    ["signal, UTF-8", encodeNamed(0, "", "é"), [64, 0, 0xc3, 0xa9]],
    ["signal, name only", encodeNamed(0, "a"), [64, 1, 97]],
    ["signal, UTF-16, even name", encodeNamed(0, "ab", utf16("é")), [65, 2, 97, 98, 0xe9, 0]],
    ["signal, UTF-16, odd name", encodeNamed(0, "a", utf16("é")), [65, 1, 97, 0, 0xe9, 0]],
    ["signal, UTF-16, no name", encodeNamed(0, "", utf16("é")), [65, 0, 0xe9, 0]],
    ["request, binary", encodeNamed(ID, "", Uint8Array.of(7)), [127, ...ID_BYTES, 0, 7]],
    ["request, empty binary", encodeNamed(ID, "a", new Uint8Array()), [127, ...ID_BYTES, 1, 97]],
    ["request, UTF-8", encodeNamed(ID, "a", "x"), [128, ...ID_BYTES, 1, 97, 120]],
    ["request, name only", encodeNamed(ID, "a", null), [128, ...ID_BYTES, 1, 97]],
    ["request, UTF-16, odd name", encodeNamed(ID, "a", utf16("x")), [129, ...ID_BYTES, 1, 97, 0, 120, 0]],
    ["request, UTF-16, even name", encodeNamed(ID, "ab", utf16("x")), [129, ...ID_BYTES, 2, 97, 98, 120, 0]],
    ["request, UTF-16, no name", encodeNamed(ID, "", utf16("x")), [129, ...ID_BYTES, 0, 120, 0]],
    ["request, UTF-16, odd name only: padded", encodeNamed(ID, "a", utf16("")), [129, ...ID_BYTES, 1, 97, 0]],
    ["request, UTF-16, even name only", encodeNamed(ID, "ab", utf16("")), [129, ...ID_BYTES, 2, 97, 98]],
    ["every printable character", encodeNamed(0, " ~"), [64, 2, 32, 126]],
    ["a name of 255", encodeNamed(0, "n".repeat(255)).subarray(0, 3), [64, 255, 110]],
    ["the largest id", encodeClose(2 ** 53 - 1), [31, 255, 255, 255, 255, 255, 255, 31, 0]],
  ];
  for (const [what, bytes, expected] of rows) assert.deepEqual([...bytes], expected, what);
});

test("text on the wire: surrogates, byte order marks", () => {
  const text = "a\u0000é\u{1f600}\ufeff";
  assert.deepEqual([...encodeNamed(0, "", text)].slice(2), utf8(text));
  assert.deepEqual([...encodeNamed(0, "", utf16(text))].slice(2), utf16le(text));
  // A lone surrogate: replaced in UTF-8, as it is in UTF-16.
  assert.deepEqual([...encodeNamed(0, "", "\ud800x")].slice(2), utf8("\ufffdx"));
  assert.deepEqual([...encodeNamed(0, "", utf16("\udc00"))].slice(2), [0x00, 0xdc]);
});

test("what can't be sent", () => {
  const rows = [
    ["nothing", [1, "", ""]],
    ["nothing, UTF-16", [1, "", utf16("")]],
    ["a signal of nothing", [0, ""]],
    ["a UTF-16 signal without payload", [0, "name", utf16("")]],
    ["a name of 256", [1, "n".repeat(256), "x"]],
    ["a name with a control character", [1, "a\n", "x"]],
    ["a name with DEL", [1, "\x7f", "x"]],
    ["a name beyond ASCII", [1, "é", "x"]],
    ["no name", [1, undefined, "x"]],
    ["a name of another type", [1, 5, "x"]],
    ["a payload of another type", [1, "a", 5]],
    ["a payload that is an object", [1, "a", { text: "x" }]],
    ["an array", [1, "a", [1, 2]]],
    ["odd UTF-16", [1, "a", new Payload("utf16", Uint8Array.of(1))]],
    ["an unknown encoding", [1, "a", new Payload("utf32", Uint8Array.of(1))]],
  ];
  for (const [what, args] of rows) assert.throws(() => encodeNamed(...args), isViolation, what);
  for (const key of ["", null, undefined]) assert.throws(() => encodeRestore(1, key), isViolation);
});

/** type bytes -> [type, name, payload's encoding, payload's bytes] */
const RECEIVED = [
  ["error", [0, ...ID_BYTES, 2, ...latin1("NO"), ...utf8("é")], [0, "NO", "utf8", utf8("é")]],
  ["error without a message", [0, ...ID_BYTES, 1, 65], [0, "A", "utf8", []]],
  ["error, any byte as code", [0, ...ID_BYTES, 1, 0xe9], [0, "é", "utf8", []]],
  ...[1, 2, 3, 4, 5].map((type) => [`failure ${type}`, [type, ...ID_BYTES], [type, undefined, "utf8", []]]),
  ["failure, longer", [1, ...ID_BYTES, 9, 9], [1, undefined, "utf8", [9, 9]]],
  ["session created", [21, ...latin1("{}")], [21, undefined, "utf8", latin1("{}")]],
  ["session closed", [22], [22, undefined, "utf8", []]],
  ["signal, binary", [63, 1, 97, 0], [63, "a", "binary", [0]]],
  ["signal, name only", [63, 1, 97], [63, "a", "binary", []]],
  ["signal, UTF-8, no name", [64, 0, 120], [63, "", "utf8", [120]]],
  ["signal, UTF-16, odd name", [65, 1, 97, 9, 120, 0], [63, "a", "utf16", [120, 0]]],
  ["signal, UTF-16, even name", [65, 2, 97, 98, 120, 0], [63, "ab", "utf16", [120, 0]]],
  ["signal, UTF-16, no name", [65, 0, 120, 0], [63, "", "utf16", [120, 0]]],
  ["signal, any byte as name", [63, 2, 0, 255], [63, "\x00\xff", "binary", []]],
  ["signal, the longest name", [63, 255, ...Array(255).fill(97)], [63, "a".repeat(255), "binary", []]],
  ["reply, binary", [191, ...ID_BYTES, 1, 2], [191, undefined, "binary", [1, 2]]],
  ["reply, empty", [191, ...ID_BYTES], [191, undefined, "binary", []]],
  ["reply, UTF-8", [192, ...ID_BYTES, 120], [191, undefined, "utf8", [120]]],
  ["reply, UTF-8, empty", [192, ...ID_BYTES], [191, undefined, "utf8", []]],
  ["reply, UTF-16", [193, ...ID_BYTES, 9, 120, 0], [191, undefined, "utf16", [120, 0]]],
  ["reply, UTF-16, empty", [193, ...ID_BYTES, 0], [191, undefined, "utf16", []]],
];

test("what a server sends, byte for byte", () => {
  for (const [what, bytes, [type, name, encoding, payload]] of RECEIVED) {
    const message = decode(Uint8Array.from(bytes));
    assert.equal(message.type, type, what);
    assert.equal(message.name, name, what);
    assert.equal(message.payload.encoding, encoding, what);
    assert.deepEqual([...message.payload.bytes], payload, what);
    if (type <= 5 || type === 191) assert.equal(message.id, ID, what);
  }
});

test("a message may lie anywhere in its buffer", () => {
  for (const [what, bytes, [, , , payload]] of RECEIVED) {
    const buffer = Uint8Array.from([9, 9, 9, ...bytes, 9, 9]);
    const message = decode(buffer.subarray(3, 3 + bytes.length));
    assert.deepEqual([...message.payload.bytes], payload, what);
  }
});

test("ids beyond what we give out are other ids", () => {
  const reply = (...id) => decode(Uint8Array.of(191, ...id)).id;
  assert.equal(reply(1, 0, 0, 0, 0, 0, 0, 0), 1);
  assert.notEqual(reply(1, 0, 0, 0, 0, 0, 0, 128), 1);
  assert.equal(reply(...Array(8).fill(255)) > Number.MAX_SAFE_INTEGER, true);
});

test("accept-conf", () => {
  const options = { subprotocol: "chat", messageBuffer: 8192 };
  const check = (...bytes) => checkConf(decode(Uint8Array.from(bytes)), options);
  const limits = [0x60, 0xea, 0, 0, 0, 0x20, 0, 0];
  const chat = latin1("chat");
  assert.deepEqual(check(23, 2, 0, ...limits, ...chat), { readTimeout: 60_000, messageBuffer: 8192 });
  assert.equal(check(23, 2, 9, ...limits, ...chat).messageBuffer, 8192); // a minor version
  const most = [255, 255, 255, 255, 0, 0x20, 0, 0];
  assert.equal(check(23, 2, 0, ...most, ...chat).readTimeout, 2 ** 32 - 1);
  const rows = [
    ["another version", "incompatible-version", [23, 3, 0, ...limits, ...chat]],
    ["an older version", "incompatible-version", [23, 1, 4, ...limits, ...chat]],
    ["another sub-protocol", "subprotocol-mismatch", [23, 2, 0, ...limits, ...latin1("chat2")]],
    ["no sub-protocol", "subprotocol-mismatch", [23, 2, 0, ...limits]],
    ["a larger buffer", "buffer-overflow", [23, 2, 0, 0, 0, 0, 0, 1, 0x20, 0, 0, ...chat]],
    ["the largest buffer", "buffer-overflow", [23, 2, 0, ...Array(8).fill(255), ...chat]],
    ["a buffer for nothing", "protocol", [23, 2, 0, 0, 0, 0, 0, 31, 0, 0, 0, ...chat]],
    ["another message", "protocol", [63, 0, 0, ...limits, ...chat]],
  ];
  for (const [what, kind, bytes] of rows) {
    assert.throws(() => check(...bytes), (error) => error instanceof WebwireError && error.kind === kind, what);
  }
});

test("malformed messages", () => {
  const rows = [
    ["empty", []],
    ["error, too short", [0, ...ID_BYTES, 1]],
    ["error, no code", [0, ...ID_BYTES, 0, 65]],
    ["error, code longer than the message", [0, ...ID_BYTES, 3, 65, 65]],
    ...[1, 2, 3, 4, 5].map((type) => [`failure ${type}, too short`, [type, ...ID_BYTES.slice(1)]]),
    ["session created, empty", [21]],
    ["session closed, longer", [22, 0]],
    ["accept-conf, too short", [23, 2, 0, 0, 0, 0, 0, 0, 0, 0]],
    ["signal, too short", [63, 0]],
    ["signal, name longer than the message", [63, 2, 97]],
    ["signal, UTF-16, odd length", [65, 0, 120, 0, 1]],
    ["signal, UTF-16, odd name without pad", [65, 1, 97, 120, 0]],
    ["signal, UTF-16, no payload", [65, 2, 97, 98]],
    ["signal, UTF-16, pad but no payload", [65, 1, 97, 0]],
    ["signal, UTF-16, too short", [65, 0]],
    ["signal, UTF-16, name longer than the message", [65, 9, 97, 97]],
    ["reply, too short", [191, ...ID_BYTES.slice(1)]],
    ["reply, UTF-8, too short", [192, 0]],
    ["reply, UTF-16, too short", [193, ...ID_BYTES]],
    ["reply, UTF-16, odd length", [193, ...ID_BYTES, 0, 120]],
    ["what only clients send: close", [31, ...ID_BYTES]],
    ["what only clients send: restore", [32, ...ID_BYTES, 65]],
    ["what only clients send: heartbeat", [33]],
    ["what only clients send: request", [127, ...ID_BYTES, 0, 65]],
  ];
  const known = [0, 1, 2, 3, 4, 5, 21, 22, 23, 63, 64, 65, 191, 192, 193];
  for (let type = 0; type < 256; type++) {
    const length = type === 22 ? 2 : 40;
    if (!known.includes(type)) rows.push([`type ${type}`, [type, ...Array(length).fill(0)]]);
  }
  for (const [what, bytes] of rows) {
    assert.throws(() => decode(Uint8Array.from(bytes)), isViolation, what);
  }
});

test("text of payloads", () => {
  const text = (encoding, ...bytes) => new Payload(encoding, Uint8Array.from(bytes)).text;
  assert.equal(text("utf8", ...utf8("\ufeffé\u{1f600}")), "\ufeffé\u{1f600}");
  assert.equal(text("utf16", ...utf16le("\ufeffé\u{1f600}")), "\ufeffé\u{1f600}");
  assert.equal(text("binary", ...utf8("é")), "é");
  assert.equal(text("utf8", 0xff, 97), "\ufffda");
  assert.equal(text("utf16", 0x00, 0xd8, 97, 0), "\ufffda"); // a lone surrogate
  assert.equal(text("utf16", 97, 0, 98), "a\ufffd"); // an odd number of bytes
  assert.equal(new Payload("utf8", Uint8Array.of()).text, "");
  assert.deepEqual(new Payload("utf8", Buffer.from('{"a":1}')).json(), { a: 1 });
  assert.throws(() => new Payload("utf8", Buffer.from("{")).json(), SyntaxError);
});

test("session objects", () => {
  const parse = (value) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return parseSession(new Payload("utf8", Buffer.from(text)));
  };
  const time = "2026-11-22T15:04:05.123456789Z";
  assert.deepEqual(parse({ k: "key", c: time, l: "2026-11-22T17:04:06+02:00", i: { a: 1 } }), {
    key: "key",
    creation: new Date("2026-11-22T15:04:05.123Z"),
    lastLookup: new Date("2026-11-22T15:04:06Z"),
    info: { a: 1 },
  });
  assert.deepEqual(parse({ k: "key", c: time }).lastLookup, new Date(time));
  assert.deepEqual(parse({ k: "key", c: time, i: null }).info, {});
  const wrong = [
    "", "null", "5", "[]", "{", '"text"', {}, { c: time }, { k: "", c: time }, { k: 5, c: time },
    { k: "key" }, { k: "key", c: "yesterday" }, { k: "key", c: time, l: "" },
    { k: "key", c: time, i: "text" }, { k: "key", c: time, i: 5 },
  ]; // prettier-ignore
  for (const value of wrong) assert.throws(() => parse(value), isViolation, JSON.stringify(value));
});

test("round trip: what a client sends is what a server could send back", () => {
  const random = randomOf(2);
  const below = (n) => Math.floor(random() * n);
  const names = Array.from({ length: 256 }, (_, length) =>
    String.fromCharCode(...Array.from({ length }, () => 32 + below(95))),
  );
  for (let i = 0; i < 3000; i++) {
    const name = names[below(256)];
    const units = Array.from({ length: below(40) + 1 }, () => below(65_536));
    const text = String.fromCharCode(...units).toWellFormed();
    const bytes = Uint8Array.from(units);
    const sent = [text, bytes, utf16(text)][below(3)];
    const message = decode(encodeNamed(0, name, sent));
    assert.equal(message.name, name);
    if (sent === bytes) assert.deepEqual(message.payload.bytes, bytes);
    else assert.equal(message.payload.text, text);
  }
});

test("whatever comes is decoded or a violation, and nothing else", () => {
  const random = randomOf(4);
  const below = (n) => Math.floor(random() * n);
  const seeds = RECEIVED.map(([, bytes]) => bytes);
  let decoded = 0;
  for (let i = 0; i < 60_000; i++) {
    const bytes = [...seeds[below(seeds.length)]];
    for (let edits = below(4); edits > 0; edits--) bytes[below(bytes.length + 1)] = below(256);
    bytes.length = Math.max(0, bytes.length - (below(3) ? 0 : below(bytes.length + 1)));
    const message = Uint8Array.from(bytes, (byte) => byte ?? 0);
    try {
      const { payload, name = "" } = decode(message);
      decoded++;
      assert.ok(payload.bytes.length + name.length < message.length);
      assert.equal(typeof payload.text, "string");
      parseSession(payload);
    } catch (error) {
      assert.ok(isViolation(error), `${error} for ${message}`);
    }
  }
  assert.ok(decoded > 5000, `${decoded}`);
});
