/** The client against a server that does what real ones don't, or not at will. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, Payload, WebwireError, utf16 } from "../../../client/js/webwire.js";
import { backoff, heartbeatInterval } from "../../../client/js/webwire-link.js";
import { pause, until } from "../lib/until.mjs";
import { acceptConf, startFake } from "./fake.mjs";
import { WebSocket, connected, makeClient, rejects } from "./kit.mjs";

/* Options and arguments */

test("wrong options are named", () => {
  const make = (options, url = "ws://localhost") => new Client(url, { WebSocket, ...options });
  const isInvalid = (error) => error instanceof WebwireError && error.kind === "invalid";
  for (const name of ["requestTimeout", "dialTimeout", "reconnectInterval", "reconnectMax",
    "messageBuffer", "maxPending", "maxQueuedBytes"]) {
    for (const value of [0, -1, NaN, "5", true]) {
      assert.throws(() => make({ [name]: value }), (error) => isInvalid(error) && error.message.includes(name));
    }
    assert.equal(make({ [name]: undefined }).status, "disabled");
  } // prettier-ignore
  assert.throws(() => make({ autoconnect: 1 }), isInvalid);
  assert.throws(() => make({ subprotocol: 1 }), isInvalid);
  for (const url of ["", "example", "/path", null]) assert.throws(() => make({}, url), isInvalid);
  for (const url of ["ws://a", "wss://a/b?c#d", "http://a", new URL("https://a")]) {
    assert.equal(make({}, url).status, "disabled");
  }
});

test("calls with wrong arguments reject and send nothing", async (t) => {
  const { client, peer } = await connected(t);
  await rejects(client.request("", ""), "protocol");
  await rejects(client.request("é", "x"), "protocol");
  await rejects(client.request("a", 5), "protocol");
  await rejects(client.signal("a", new Payload("utf16", Uint8Array.of(1))), "protocol");
  await rejects(client.signal("a", utf16("")), "protocol");
  await rejects(client.restoreSession(""), "protocol");
  await rejects(client.request("a", "x".repeat(1 << 20)), "buffer-overflow");
  await client.signal("end");
  assert.equal((await peer.receive()).type, 64);
  assert.equal(peer.unread, 0);
});

test("an environment without WebSockets, or one that forbids them", async (t) => {
  class Forbidden {
    constructor() {
      throw new DOMException("insecure", "SecurityError");
    }
  }
  const { client, seen } = makeClient(t, "ws://localhost", { WebSocket: Forbidden });
  const error = await rejects(client.connect(), "refused");
  assert.match(error.message, /insecure/);
  assert.equal((await seen("status", "disabled"))[2].kind, "refused");
  assert.equal(client.status, "disabled");
  await rejects(client.request("a"), "refused"); // used again, and again in vain
  await rejects(new Client("ws://localhost", { WebSocket: "none" }).connect(), "refused");
});

test("URLs: http becomes ws, the fragment is cut off", async (t) => {
  const fake = await startFake(t);
  const { client } = makeClient(t, `http://127.0.0.1:${fake.port}/room?a=1#top`);
  const done = client.connect();
  assert.equal((await fake.accepted()).path, "/room?a=1");
  await done;
});

/* The handshake */

for (const [what, first, kind] of [
  ["another version", acceptConf({ major: 3 }), "incompatible-version"],
  ["another sub-protocol", acceptConf({ subprotocol: "other" }), "subprotocol-mismatch"],
  ["a sub-protocol with a byte order mark", acceptConf({ subprotocol: "\ufeffmine" }), "subprotocol-mismatch"],
  ["no sub-protocol", acceptConf(), "subprotocol-mismatch"],
  ["a larger message buffer", acceptConf({ subprotocol: "mine", messageBuffer: 1 << 21 }), "buffer-overflow"],
  ["a message buffer for nothing", acceptConf({ subprotocol: "mine", messageBuffer: 31 }), "protocol"],
  ["a signal", Buffer.from([63, 1, 97]), "protocol"],
  ["an unknown type", Buffer.from([99, 1, 97]), "protocol"],
  ["nothing", Buffer.alloc(0), "protocol"],
]) {
  test(`the first message is ${what}: no more attempts`, async (t) => {
    const fake = await startFake(t);
    const { client, seen } = makeClient(t, fake.url, { subprotocol: "mine" });
    const calls = [client.connect(), client.request("a"), client.signal("a")];
    const peer = await fake.peer();
    peer.send(first);
    for (const call of calls) await rejects(call, kind);
    assert.equal((await seen("status", "disabled"))[2].kind, kind);
    assert.equal(await peer.closed, 4000);
    await pause(100); // longer than the first wait
    assert.equal(fake.count, 1);
    // Used again it tries again.
    const again = client.connect();
    await fake.accepted({ subprotocol: "mine" });
    await again;
    assert.equal(client.status, "connected");
  });
}

test("the first message is a text: no more attempts", async (t) => {
  const fake = await startFake(t);
  const { client } = makeClient(t, fake.url);
  const done = client.connect();
  (await fake.peer()).sendText("hello");
  await rejects(done, "protocol");
});

test("a server that never accepts is given up and tried again", async (t) => {
  const fake = await startFake(t);
  const { client, seen } = makeClient(t, fake.url, { dialTimeout: 500 });
  const done = client.connect();
  await fake.peer();
  await seen("retry");
  fake.welcome = true; // an attempt, or the one behind it
  await done;
});

test("accepted only when accept-conf has come", async (t) => {
  const fake = await startFake(t);
  const { client } = makeClient(t, fake.url);
  const done = client.request("a");
  const peer = await fake.peer();
  await pause(20);
  assert.equal(client.status, "disconnected");
  assert.equal(peer.unread, 0);
  peer.accept({ readTimeout: 1234, messageBuffer: 99 });
  peer.reply(await peer.receive(), "x");
  assert.equal((await done).text, "x");
  assert.deepEqual(client.serverLimits, { readTimeout: 1234, messageBuffer: 99 });
  client.close();
  assert.equal(client.serverLimits, null);
});

/* Requests */

test("replies in any order find their requests; strange ones are ignored", async (t) => {
  const { client, peer } = await connected(t);
  const calls = [1, 2, 3].map((n) => client.request("n", `${n}`));
  const [one, two, three] = [await peer.receive(), await peer.receive(), await peer.receive()];
  assert.equal(client.pending, 3);
  peer.send([192], Buffer.from([99, 0, 0, 0, 0, 0, 0, 0]), "never asked for");
  peer.send([192], Buffer.from([...one.id.subarray(0, 7), 128]), "nearly");
  for (const request of [three, one, two]) peer.reply(request, request.rest.subarray(2));
  peer.reply(two, "twice");
  assert.deepEqual(await Promise.all(calls.map(async (call) => (await call).text)), ["1", "2", "3"]);
  assert.equal(client.pending, 0);
  assert.equal(client.status, "connected");
});

test("every failure has its name", async (t) => {
  const { client, peer } = await connected(t);
  const kinds = ["shutdown", "internal", "session-not-found", "max-session-conns", "sessions-disabled"];
  for (const [i, kind] of kinds.entries()) {
    const call = client.request("a");
    peer.fail(await peer.receive(), i + 1);
    await rejects(call, kind);
  }
  const call = client.request("a");
  peer.send([0], (await peer.receive()).id, [3, 78, 79, 33], "Grüße");
  await rejects(call, "request", { code: "NO!", message: "Grüße", name: "WebwireError", isTimeout: false });
  const bare = client.request("a");
  peer.send([0], (await peer.receive()).id, [1, 65]);
  await rejects(bare, "request", { code: "A", message: "" });
});

test("payloads of every encoding, both ways", async (t) => {
  const { client, peer, seen } = await connected(t);
  const text = "é\u{1f600}";
  const wide = Buffer.from(text, "utf16le");
  const call = client.request("abc", utf16(text));
  const request = await peer.receive();
  assert.deepEqual([...request.bytes], [129, ...request.id, 3, 97, 98, 99, 0, ...wide]);
  peer.send([193], request.id, [7], wide);
  const reply = await call;
  assert.equal(reply.encoding, "utf16");
  assert.equal(reply.text, text);
  peer.send([65, 1, 97, 7], wide);
  const { name, payload } = (await seen("signal"))[1];
  assert.deepEqual([name, payload.text, payload.encoding], ["a", text, "utf16"]);
  peer.send([63, 0, 1, 2]);
  assert.deepEqual((await seen("signal"))[1].payload.bytes, Uint8Array.of(1, 2));
  await client.signal("back", payload); // what came may be sent on
  assert.deepEqual([...(await peer.receive()).bytes], [65, 4, ...Buffer.from("back"), ...wide]);
});

test("time-outs: the default, the caller's, an AbortSignal's", async (t) => {
  const { client, peer } = await connected(t, { requestTimeout: 30 });
  await rejects(client.request("a"), "timeout", { isTimeout: true });
  await rejects(client.request("a", null, { timeout: 20 }), "deadline", { isTimeout: true });
  await rejects(client.request("a", null, { timeout: 0 }), "deadline");
  await rejects(client.request("a", null, { timeout: -5 }), "deadline");
  const canceled = await rejects(client.request("a", null, { signal: AbortSignal.timeout(10), timeout: 9999 }), "canceled");
  assert.equal(canceled.cause.name, "TimeoutError");
  assert.equal(client.pending, 0);
  peer.reply(await peer.receive(), "late");
  const call = client.request("b", null, { timeout: Infinity });
  for (let i = 0; i < 4; i++) await peer.receive();
  await pause(50);
  peer.reply(await peer.receive(), "in time");
  assert.equal((await call).text, "in time");
});

test("AbortSignal: before, while it waits, while it is open, afterwards", async (t) => {
  const fake = await startFake(t);
  const { client } = makeClient(t, fake.url);
  const reason = new Error("enough");
  const early = await rejects(client.request("a", null, { signal: AbortSignal.abort(reason) }), "canceled");
  assert.equal(early.cause, reason);
  assert.equal(early.message, "enough");
  assert.equal(client.status, "disabled"); // not even used
  const controller = new AbortController();
  const waiting = client.request("never-sent", null, { signal: controller.signal });
  controller.abort();
  await rejects(waiting, "canceled");
  const peer = await fake.accepted();
  const late = new AbortController();
  const open = client.request("open", null, { signal: late.signal });
  assert.equal((await peer.receive()).rest.toString().slice(1), "open");
  late.abort();
  await rejects(open, "canceled");
  const ok = new AbortController();
  const answered = client.request("answered", null, { signal: ok.signal });
  peer.reply(await peer.receive(), "x");
  assert.equal((await answered).text, "x");
  ok.abort();
  assert.equal(client.pending, 0);
  assert.equal(client.status, "connected");
});

test("the server's message buffer is checked before sending, and it is exact", async (t) => {
  const { client, peer } = await connected(t, {}, { messageBuffer: 64 });
  const call = client.request("", "x".repeat(64 - 10));
  const request = await peer.receive();
  assert.equal(request.bytes.length, 64);
  await rejects(client.request("", "x".repeat(65 - 10)), "buffer-overflow");
  await rejects(client.signal("", "x".repeat(65 - 2)), "buffer-overflow");
  peer.reply(request, "x".repeat(64 - 9));
  assert.equal((await call).text.length, 64 - 9);
  assert.equal(peer.unread, 0);
});

test("ceilings: calls, bytes that wait, bytes that were not sent", async (t) => {
  const fake = await startFake(t);
  const { client } = makeClient(t, fake.url, { maxPending: 3, maxQueuedBytes: 1000, messageBuffer: 1 << 16 });
  const big = client.request("a", "x".repeat(700));
  await rejects(client.signal("a", "x".repeat(700)), "limit");
  const small = [client.request("a"), client.request("a")];
  await rejects(client.request("a"), "limit");
  await rejects(client.connect(), "limit");
  const peer = await fake.accepted({ messageBuffer: 1 << 16 });
  for (let i = 0; i < 3; i++) peer.reply(await peer.receive(), "x");
  await Promise.all([big, ...small]);
  await rejects(client.signal("a", "x".repeat(1000)), "limit");
  // Nobody reads: what the kernel does not take any more is refused.
  peer.pause();
  const flood = (async () => {
    for (let i = 0; i < 100_000; i++) await client.signal("a", "x".repeat(900));
  })();
  await rejects(flood, "transmission");
  assert.equal(client.status, "connected");
});

test("without autoconnect calls fail at once, and connect() tries once", async (t) => {
  const fake = await startFake(t);
  const { client, events, seen } = makeClient(t, fake.url, { autoconnect: false, dialTimeout: 1000 });
  await rejects(client.request("a"), "disconnected");
  await rejects(client.signal("a"), "disconnected");
  await rejects(client.restoreSession("key"), "disconnected");
  await client.closeSession();
  assert.equal(fake.count, 0);
  await rejects(client.connect(), "dial-timeout", { isTimeout: true });
  await fake.peer();
  const failing = client.connect();
  (await fake.peer()).close();
  await rejects(failing, "disconnected");
  fake.refuse = 503;
  await rejects(client.connect(), "disconnected");
  fake.refuse = null;
  const done = client.connect();
  const peer = await fake.accepted();
  await done;
  peer.terminate();
  assert.equal((await seen("status", "connected"))[1], "connected");
  assert.equal((await seen("status", "disconnected"))[2].kind, "disconnected");
  await rejects(client.request("a"), "disconnected");
  assert.ok(!events.some(([type]) => type === "retry"));
});

test("without autoconnect a connect right after a close is a new one", async (t) => {
  const { fake, client, peer } = await connected(t, { autoconnect: false });
  client.close();
  const done = client.connect();
  await peer.closed;
  await fake.accepted();
  await done;
  assert.equal(client.status, "connected");
});

test("without autoconnect a connect that nobody waits for is given up", async (t) => {
  const fake = await startFake(t);
  const { client } = makeClient(t, fake.url, { autoconnect: false });
  await rejects(client.connect({ timeout: 500 }), "deadline");
  await (await fake.peer()).closed;
  assert.notEqual(client.status, "connected");
});

/* The connection */

test("what a broken connection means for calls", async (t) => {
  const { fake, client, peer, seen } = await connected(t);
  await seen("status", "connected");
  const sent = client.request("sent");
  await peer.receive();
  peer.terminate();
  await rejects(sent, "disconnected");
  assert.equal((await seen("status", "disconnected"))[2].kind, "disconnected");
  const waits = client.request("waits");
  const again = await fake.accepted();
  const request = await again.receive();
  assert.equal(request.rest.toString().slice(1), "waits");
  again.reply(request, "x");
  await waits;
});

test("a close in good order has no reason, and the client comes back", async (t) => {
  const { fake, client, peer, seen } = await connected(t);
  await seen("status", "connected");
  peer.close(1001);
  assert.deepEqual(await seen("status"), ["status", "disconnected", null]);
  assert.deepEqual((await seen("retry"))[1], { in: 20, attempt: 1 });
  await fake.accepted();
  await seen("status", "connected");
});

test("malformed messages end the connection with an error, and it comes back", async (t) => {
  const { fake, client, seen, peer: first } = await connected(t, {}, { messageBuffer: 64 });
  let peer = first;
  await seen("status", "connected");
  for (const bad of [[], [99], [0, 1], [22, 1], [33], [127, 1, 2, 3, 4, 5, 6, 7, 8, 1, 97],
    [21, 123], [63, 0, ...Array(63).fill(1)], "text"]) {
    const open = client.request("a");
    await peer.receive();
    if (bad === "text") peer.sendText(bad);
    else peer.send(bad);
    await rejects(open, "disconnected");
    assert.equal((await seen("status", "disconnected"))[2].kind, "protocol", `${bad}`);
    assert.equal(await peer.closed, 4000);
    peer = await fake.accepted({ messageBuffer: 64 });
    await seen("status", "connected");
  } // prettier-ignore
});

test("what follows a malformed message is not looked at", async (t) => {
  const { client, peer, seen, events } = await connected(t);
  peer.signal("before");
  peer.send([99]);
  peer.signal("after");
  await seen("status", "disconnected");
  await peer.closed;
  assert.ok(!events.some(([type, signal]) => type === "signal" && signal.payload.text === "after"));
  assert.equal(client.status === "disabled", false);
});

test("waits between attempts: the first, then at random below a ceiling", async (t) => {
  const rows = [
    [0, 0.9, 2000], [1, 0, 0], [1, 0.5, 2000], [1, 0.999, 3996], [2, 0.5, 4000], [3, 0.5, 8000],
    [4, 0.5, 15_000], [20, 0.5, 15_000], [5000, 0.5, 15_000],
  ]; // prettier-ignore
  const options = { reconnectInterval: 2000, reconnectMax: 30_000 };
  for (const [n, random, expected] of rows) assert.equal(backoff(n, options, random), expected, `${n}`);
  const fake = await startFake(t);
  fake.refuse = 503;
  const { client, events } = makeClient(t, fake.url, { reconnectInterval: 2, reconnectMax: 10 });
  const done = client.connect();
  await until(() => events.filter(([type]) => type === "retry").length >= 12, { what: "12 waits" });
  const waits = events.filter(([type]) => type === "retry").map(([, retry]) => retry);
  assert.deepEqual(waits[0], { in: 2, attempt: 1 });
  for (const [i, wait] of waits.entries()) {
    assert.ok(wait.in <= 10 && wait.in >= 0);
    assert.equal(wait.attempt, i + 1);
  }
  fake.refuse = null;
  const peer = await fake.accepted();
  await done;
  events.length = 0;
  peer.close();
  await until(() => events.some(([type]) => type === "retry"), { what: "a wait" });
  assert.deepEqual(events.find(([type]) => type === "retry")[1], { in: 2, attempt: 1 });
});

test("connect() does not sit out a wait; a request does", async (t) => {
  const fake = await startFake(t);
  fake.refuse = 503;
  const { client, seen } = makeClient(t, fake.url, { reconnectInterval: 60_000, reconnectMax: 60_000 });
  const request = client.request("a");
  await seen("retry");
  fake.refuse = null;
  const another = client.request("b");
  await pause(50);
  assert.equal(fake.count, 1);
  const done = client.connect();
  const peer = await fake.accepted();
  await done;
  for (let i = 0; i < 2; i++) peer.reply(await peer.receive(), "x");
  await Promise.all([request, another]);
});

test("connect() joins an attempt, and if that fails the next is made at once", async (t) => {
  const fake = await startFake(t);
  const { client } = makeClient(t, fake.url, { reconnectInterval: 60_000, reconnectMax: 60_000 });
  const request = client.request("a");
  const first = await fake.peer();
  const done = client.connect();
  first.close();
  const second = await fake.accepted();
  await done;
  second.reply(await second.receive(), "x");
  await request;
  assert.equal(fake.count, 2);
});

test("the network is back: no wait is sat out, and no dead connection kept", async (t) => {
  const target = new EventTarget();
  globalThis.addEventListener = target.addEventListener.bind(target);
  globalThis.removeEventListener = target.removeEventListener.bind(target);
  t.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  });
  const { fake, client, seen, peer } = await connected(t, { reconnectInterval: 60_000, reconnectMax: 60_000 });
  await seen("status", "connected");
  peer.close();
  await seen("retry");
  target.dispatchEvent(new Event("online"));
  await fake.accepted();
  await seen("status", "connected");
  target.dispatchEvent(new Event("online")); // while it is up
  assert.equal((await seen("status", "disconnected"))[2].kind, "disconnected");
  await fake.accepted();
  await seen("status", "connected");
  client.close();
  target.dispatchEvent(new Event("online"));
  await pause(30);
  assert.equal(client.status, "disabled");
  assert.equal(fake.count, 3);
});

test("close: what waits is canceled, what was sent is lost; and it can be used again", async (t) => {
  const fake = await startFake(t);
  const { client, events, seen } = makeClient(t, fake.url);
  const waits = client.request("a");
  client.close();
  await rejects(waits, "canceled");
  assert.equal(client.status, "disabled");
  client.close(); // twice harms nothing
  const done = client.connect();
  const peer = await fake.accepted();
  await done;
  const sent = client.request("a");
  const dropped = client.signal("b"); // handed over before the close
  client.close();
  const later = client.request("c"); // after it: a new connection
  await dropped;
  await rejects(sent, "disconnected");
  assert.equal(await peer.closed, 1000);
  assert.equal((await peer.receive()).rest.toString().slice(1), "a");
  assert.equal((await peer.receive()).rest.toString().slice(1), "b");
  const second = await fake.accepted();
  second.reply(await second.receive(), "x");
  assert.equal((await later).text, "x");
  await seen("status", "connected");
  client.close();
  assert.deepEqual(await seen("status", "disabled"), ["status", "disabled", null]);
  await second.closed;
  await pause(50);
  assert.equal(events.some(([type]) => type === "retry"), false);
});

test("a server that does not confirm the close is not waited for", async (t) => {
  const { fake, client, peer } = await connected(t);
  peer.pause();
  client.close();
  const start = Date.now();
  const done = client.connect();
  await fake.accepted();
  await done;
  assert.ok(Date.now() - start < 5000);
});

/* Heartbeats */

test("heartbeat intervals: three quarters, neither a flood nor an overflow", () => {
  const rows = [[60_000, 45_000], [1000, 750], [1, 10], [0, 2 ** 31 - 1], [2 ** 32 - 1, 2 ** 31 - 1]];
  for (const [readTimeout, expected] of rows) assert.equal(heartbeatInterval(readTimeout), expected);
});

test("heartbeats come when nothing else does", async (t) => {
  const since = performance.now();
  const { peer } = await connected(t, {}, { readTimeout: 400 });
  for (let i = 1; i <= 3; i++) {
    assert.deepEqual([...(await peer.receive()).bytes], [33]);
    // One that comes late to us brings the next one no nearer to its beginning.
    const passed = performance.now() - since;
    assert.ok(passed > i * 300 - 50, `${passed} ms`); // by two clocks
  }
});

test("no heartbeat while something else is sent", async (t) => {
  const { client, peer } = await connected(t, {}, { readTimeout: 2000 });
  for (let i = 0; i < 12; i++) {
    await client.signal("busy");
    await pause(150); // 1800 ms in all, and a heartbeat would be due after 1500
  }
  for (let i = 0; i < 12; i++) assert.equal((await peer.receive()).type, 64);
  assert.equal(peer.unread, 0);
});

/* Listeners */

test("listeners: order, removal, and what they throw", async (t) => {
  const { client, peer } = await connected(t);
  const heard = [];
  const errors = t.mock.method(console, "error", () => {});
  client.on("signal", () => {
    throw new Error("a listener's own");
  });
  client.on("signal", async () => {
    throw new Error("later");
  });
  const stop = client.on("signal", ({ payload }) => heard.push(payload.text));
  const both = ({ payload }) => heard.push(`${payload.text}!`);
  client.on("signal", both);
  client.on("signal", both);
  for (const text of ["1", "2", "3"]) peer.signal(text);
  await until(() => heard.length === 9, { what: "three signals" });
  assert.deepEqual(heard, ["1", "1!", "1!", "2", "2!", "2!", "3", "3!", "3!"]);
  stop();
  stop();
  peer.signal("4");
  await until(() => heard.length === 11, { what: "the fourth" });
  assert.deepEqual(heard.slice(9), ["4!", "4!"]);
  assert.equal(errors.mock.callCount(), 8);
  assert.equal(client.status, "connected");
});

test("a listener may use the client, and runs in no call of it", async (t) => {
  const fake = await startFake(t);
  const { client } = makeClient(t, fake.url);
  let inside = true;
  const ran = new Promise((resolve) =>
    client.on("status", (status) => {
      assert.equal(inside, false);
      if (status === "connected") resolve(client.request("from a listener"));
    }),
  );
  const done = client.connect();
  inside = false;
  const peer = await fake.accepted();
  peer.reply(await peer.receive(), "x");
  assert.equal((await ran).text, "x");
  await done;
});

test("a reply is known before the signals that follow it", async (t) => {
  const { client, peer } = await connected(t);
  const order = [];
  client.on("signal", () => order.push("signal"));
  const call = client.request("join").then(() => order.push("reply"));
  const request = await peer.receive();
  peer.reply(request, "x");
  peer.signal("y");
  await call;
  await until(() => order.length === 2, { what: "both" });
  assert.deepEqual(order, ["reply", "signal"]);
});

test("methods may be passed around", async (t) => {
  const { client, peer } = await connected(t);
  const { request } = client;
  const call = request("a");
  peer.reply(await peer.receive(), "x");
  assert.equal((await call).text, "x");
  assert.ok(client instanceof Client);
});
