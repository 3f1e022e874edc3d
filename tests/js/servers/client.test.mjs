/** The client and the real programs. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { utf16 } from "../../../client/js/webwire.js";
import { binDir, launch, start } from "../lib/programs.mjs";
import { pause, until } from "../lib/until.mjs";
import { makeClient, makeStorage, rejects } from "../client/kit.mjs";

const subprotocol = "chatroom-example-protocol";
const FRODO = JSON.stringify({ name: "Frodo", pass: "frodo1234" });

async function temporary(t) {
  const dir = await mkdtemp(join(tmpdir(), "wwr-js-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A chat room that keeps its sessions in `dir`, at `port`. */
async function chatRoom(t, dir, { port, more = [] } = {}) {
  const args = ["--sessions", dir, ...more];
  if (!port) return start(t, "chatroom-server", args);
  const program = launch(t, join(binDir(), "chatroom-server"), ["--listen", `127.0.0.1:${port}`, ...args]);
  return program.ready(() => program.url !== null);
}

/** Somebody who is signed in. */
async function signedIn(t, server, options = {}) {
  const person = makeClient(t, server.url, { subprotocol, ...options });
  const key = (await person.client.request("auth", FRODO)).text;
  assert.equal((await person.seen("session"))[1].key, key);
  return { ...person, key };
}

/** The process stands still: all threads of it, which takes a moment. */
async function standStill(server, client) {
  server.pause();
  const isDeaf = () => client.request("who", null, { timeout: 50 }).then(() => false, (error) => error.kind === "deadline");
  await until(isDeaf, { what: "the server stands still" });
}

test("echo: every encoding comes back as it was", async (t) => {
  const server = await start(t, "echo-server");
  const { client } = makeClient(t, server.url);
  const texts = ["x", "é\u{1f600}", "\ufeffmark", "a\u0000b", "x".repeat(8192 - 10)];
  for (const text of texts) {
    const reply = await client.request("", text);
    assert.deepEqual([reply.encoding, reply.text], ["utf8", text]);
    if (2 * text.length > 8000) continue;
    const wide = await client.request("n", utf16(text));
    assert.deepEqual([wide.encoding, wide.text], ["utf16", text]);
    assert.equal((await client.request("na", utf16(text))).text, text);
  }
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  assert.deepEqual((await client.request("n", bytes)).bytes, bytes);
  assert.equal((await client.request("name only")).text, "");
  assert.equal((await client.request("odd", utf16(""))).text, "");
  assert.equal((await client.request("even", utf16(""))).encoding, "utf16");
  assert.deepEqual(client.serverLimits, { readTimeout: 60_000, messageBuffer: 8192 });
  await server.stop();
});

test("echo: a thousand requests at once, each with its own reply", async (t) => {
  const server = await start(t, "echo-server");
  const { client } = makeClient(t, server.url);
  const calls = Array.from({ length: 1000 }, (_, i) => client.request("", `${i}`));
  assert.equal(client.pending, 1000);
  const replies = await Promise.all(calls);
  replies.forEach((reply, i) => assert.equal(reply.text, `${i}`));
  assert.equal(client.pending, 0);
});

test("the server's message buffer, to the byte", async (t) => {
  const server = await start(t, "echo-server", ["--message-buffer", "256"]);
  const { client } = makeClient(t, server.url);
  assert.equal((await client.request("", "x".repeat(256 - 10))).text.length, 246);
  assert.equal(client.serverLimits.messageBuffer, 256);
  await rejects(client.request("", "x".repeat(257 - 10)), "buffer-overflow");
  const small = makeClient(t, server.url, { messageBuffer: 255 });
  await rejects(small.client.connect(), "buffer-overflow");
});

test("heartbeats keep a silent connection", async (t) => {
  const server = await start(t, "echo-server", ["--read-timeout", "2"]);
  const { client, events, seen } = makeClient(t, server.url);
  await client.connect();
  await seen("status", "connected");
  await pause(5000);
  assert.deepEqual(events, []); // nothing happened
  assert.equal((await client.request("", "still")).text, "still");
});

test("signals of the publisher", async (t) => {
  const server = await start(t, "pubsub-server");
  const { client, seen } = makeClient(t, server.url);
  await client.connect();
  for (let i = 0; i < 2; i++) {
    const { name, payload } = (await seen("signal"))[1];
    assert.equal(name, "");
    assert.ok(Math.abs(Date.parse(payload.text) - Date.now()) < 60_000);
  }
});

test("chat: request errors, signals to everybody, a session", async (t) => {
  const server = await chatRoom(t, await temporary(t));
  const other = makeClient(t, server.url, { subprotocol });
  await other.client.connect();
  const { client, seen } = await signedIn(t, server);
  assert.deepEqual(client.session.info, { username: "Frodo" });
  const wrong = JSON.stringify({ name: "Frodo", pass: "no" });
  await rejects(client.request("auth", wrong), "request", { code: "WRONG_PASSWORD" });
  await rejects(client.request("nonsense", "x"), "request", { code: "BAD_REQUEST" });
  await client.request("msg", "hello");
  for (const listen of [seen, other.seen]) {
    const { payload } = (await listen("signal"))[1];
    assert.deepEqual(payload.json(), { user: "Frodo", msg: "hello" });
  }
  await server.stop();
});

test("another sub-protocol than the chat's ends the retrying", async (t) => {
  const server = await chatRoom(t, await temporary(t));
  const { client, seen } = makeClient(t, server.url, { subprotocol: "other" });
  await rejects(client.request("who"), "subprotocol-mismatch");
  assert.equal((await seen("status", "disabled"))[2].kind, "subprotocol-mismatch");
});

test("the server restarts: back by itself, session restored, what waited is sent", async (t) => {
  const dir = await temporary(t);
  const server = await chatRoom(t, dir);
  const storage = makeStorage();
  const { client, seen, key } = await signedIn(t, server, { storage });
  await server.stop();
  await seen("status", "disconnected");
  const waits = [client.request("msg", "while it was away"), client.signal("x")];
  assert.equal(client.session.key, key);
  await seen("retry");
  await chatRoom(t, dir, { port: server.port });
  await Promise.all(waits);
  assert.equal((await seen("session"))[1].key, key);
  assert.deepEqual((await seen("signal"))[1].payload.json(), { user: "Frodo", msg: "while it was away" });
  assert.equal(storage.items.size, 1);
});

test("a server that is killed: open requests fail, the next ones wait", async (t) => {
  const dir = await temporary(t);
  const server = await chatRoom(t, dir);
  const { client, seen } = await signedIn(t, server);
  await standStill(server, client);
  const open = rejects(client.request("who"), "disconnected");
  await server.kill();
  await open;
  assert.equal((await seen("status", "disconnected"))[2].kind, "disconnected");
  await rejects(client.request("who", null, { timeout: 30 }), "deadline");
  const waits = client.request("who");
  await chatRoom(t, dir, { port: server.port });
  assert.ok((await waits).text.includes("Frodo"));
});

test("a server that stands still: the caller's deadline", async (t) => {
  const server = await start(t, "echo-server");
  const { client } = makeClient(t, server.url, { requestTimeout: 200 });
  await standStill(server, client);
  await rejects(client.request("", "x"), "timeout");
  const controller = new AbortController();
  const aborted = client.request("", "x", { signal: controller.signal });
  controller.abort();
  await rejects(aborted, "canceled");
  assert.equal(client.pending, 0);
  server.resume();
  assert.equal((await client.request("", "y", { timeout: 20_000 })).text, "y"); // not a late one
});

test("a stored session is there in a new client, and gone when its file is", async (t) => {
  const dir = await temporary(t);
  const server = await chatRoom(t, dir);
  const storage = makeStorage();
  const { client: first, key } = await signedIn(t, server, { storage });
  first.close();
  const { client: second } = makeClient(t, server.url, { subprotocol, storage });
  await second.connect();
  assert.equal(second.session.key, key);
  assert.deepEqual(second.session.info, { username: "Frodo" });
  second.close();
  const files = (await readdir(dir)).filter((name) => name.endsWith(".wwrsess"));
  assert.deepEqual(files, [`${key}.wwrsess`]);
  await rm(join(dir, files[0]));
  const third = makeClient(t, server.url, { subprotocol, storage });
  await third.client.connect();
  assert.equal(third.client.session, null);
  assert.equal((await third.seen("session"))[2].kind, "session-not-found");
  assert.equal(storage.items.size, 0);
});

test("two tabs: one session, signed out together, and one by one", async (t) => {
  const server = await chatRoom(t, await temporary(t));
  const storage = makeStorage();
  const first = await signedIn(t, server, { storage });
  const second = makeClient(t, server.url, { subprotocol, storage });
  await second.client.connect();
  assert.equal(second.client.session.key, first.key);
  await second.seen("session");
  await first.client.closeSession(); // leaves it to the other tab
  assert.equal(first.client.session, null);
  assert.equal(second.client.session.key, first.key);
  assert.deepEqual(await first.seen("session"), ["session", null, null]);
  await first.client.restoreSession(first.key);
  await first.seen("session");
  await first.client.request("signout"); // by key: everybody
  for (const { seen, client } of [first, second]) {
    assert.deepEqual(await seen("session"), ["session", null, null]);
    assert.equal(client.session, null);
  }
  assert.equal(storage.items.size, 0);
  await rejects(second.client.restoreSession(first.key), "session-not-found");
});

test("too many tabs: the session is kept for later", async (t) => {
  const server = await chatRoom(t, await temporary(t), { more: ["--max-session-connections", "1"] });
  const storage = makeStorage();
  const first = await signedIn(t, server, { storage });
  const second = makeClient(t, server.url, { subprotocol, storage });
  await second.client.connect();
  assert.equal((await second.seen("session"))[2].kind, "max-session-conns");
  assert.equal(second.client.session, null);
  assert.equal(storage.items.size, 1);
  first.client.close();
  await until(
    async () => {
      second.client.close();
      await second.client.connect();
      return second.client.session;
    },
    { what: "the session in the second tab" },
  );
  assert.equal(second.client.session.key, first.key);
});

test("a server that shuts down says so, and refuses until it is gone", async (t) => {
  const dir = await temporary(t);
  const server = await chatRoom(t, dir);
  const { client, seen } = makeClient(t, server.url, { subprotocol });
  await client.connect();
  await seen("status", "connected");
  const calls = Array.from({ length: 50 }, () => client.request("msg", "x"));
  const stopped = server.stop();
  const results = await Promise.allSettled(calls);
  for (const { status, reason } of results) {
    if (status === "rejected") assert.match(reason.kind, /^(shutdown|disconnected)$/);
  }
  assert.equal((await seen("status", "disconnected"))[2], null); // in good order
  await stopped;
});

test("clients come and go; the server does not mind", async (t) => {
  const server = await start(t, "echo-server");
  for (let i = 0; i < 30; i++) {
    const { client } = makeClient(t, server.url);
    assert.equal((await client.request("", `${i}`)).text, `${i}`);
    client.close();
  }
  const { client } = makeClient(t, server.url);
  for (let i = 0; i < 30; i++) {
    await client.connect();
    client.close();
  }
  assert.equal((await client.request("", "x")).text, "x");
  await server.stop();
});
