/** The client's sessions, with a server that answers as it is told. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { pause, until } from "../lib/until.mjs";
import { sessionObject, startFake } from "./fake.mjs";
import { connected, makeClient, makeStorage, rejects } from "./kit.mjs";

test("a created session is kept, restored on each connect, and forgotten when closed", async (t) => {
  const storage = makeStorage();
  const { fake, client, seen, peer } = await connected(t, { storage, storageKey: "mine" });
  peer.send([21], sessionObject("key-1", { user: "a" }));
  const [, session, reason] = await seen("session");
  assert.equal(reason, null);
  assert.deepEqual([session.key, session.info.user], ["key-1", "a"]);
  assert.equal(session.creation.toISOString(), "2026-11-22T15:04:05.123Z");
  assert.equal(storage.items.get("mine"), "key-1");
  peer.terminate();
  await seen("status", "disconnected");
  const waits = client.request("after");
  const second = await fake.accepted();
  const restore = await second.receive();
  assert.deepEqual([restore.type, restore.rest.toString()], [32, "key-1"]);
  await pause(20);
  assert.equal(client.status, "disconnected"); // not before the session is back
  assert.equal(second.unread, 0);
  assert.equal(client.session.key, "key-1"); // the last one
  second.reply(restore, sessionObject("key-1", { user: "a" }));
  second.reply(await second.receive(), "x");
  await waits;
  await seen("session");
  second.send([22]);
  assert.deepEqual(await seen("session"), ["session", null, null]);
  assert.equal(storage.items.size, 0);
  assert.equal(client.session, null);
});

for (const [type, kind] of [[1, "shutdown"], [2, "internal"], [4, "max-session-conns"], [5, "sessions-disabled"]]) {
  test(`a restore that fails with ${kind}: connected, and tried again`, async (t) => {
    const storage = makeStorage();
    storage.setItem("mine", "key-1");
    const fake = await startFake(t);
    const { client, seen } = makeClient(t, fake.url, { storage, storageKey: "mine" });
    const done = client.connect();
    const peer = await fake.accepted();
    peer.fail(await peer.receive(), type);
    await done;
    const [, session, reason] = await seen("session");
    assert.deepEqual([session, reason.kind, client.session], [null, kind, null]);
    assert.equal(storage.items.get("mine"), "key-1");
    peer.close();
    const second = await fake.accepted();
    const restore = await second.receive();
    assert.equal(restore.rest.toString(), "key-1");
    second.reply(restore, sessionObject("key-1"));
    assert.equal((await seen("session"))[1].key, "key-1");
    assert.deepEqual(client.session.info, {});
  });
}

test("a session that is not found is forgotten, and connect succeeds", async (t) => {
  const storage = makeStorage();
  storage.setItem("mine", "key-1");
  const fake = await startFake(t);
  const { client, seen } = makeClient(t, fake.url, { storage, storageKey: "mine" });
  const done = client.connect();
  const peer = await fake.accepted();
  peer.fail(await peer.receive(), 3);
  await done;
  assert.equal((await seen("session"))[2].kind, "session-not-found");
  assert.equal(storage.items.size, 0);
  peer.close();
  const second = await fake.accepted();
  second.signal("x");
  await seen("signal");
  assert.equal(second.unread, 0); // no restore
});

test("a restore that is not answered: the connection is not used", async (t) => {
  const storage = makeStorage();
  storage.setItem("mine", "key-1");
  const fake = await startFake(t);
  const { client, seen } = makeClient(t, fake.url, { storage, storageKey: "mine", requestTimeout: 1000 });
  const done = client.connect({ timeout: 20_000 });
  const peer = await fake.accepted();
  await peer.receive();
  await peer.closed;
  const second = await fake.accepted();
  second.reply(await second.receive(), sessionObject("key-1"));
  await done;
  assert.equal((await seen("session"))[1].key, "key-1");
});

test("a restore answered with nonsense ends the connection, not the session", async (t) => {
  const storage = makeStorage();
  storage.setItem("mine", "key-1");
  const fake = await startFake(t);
  const { client } = makeClient(t, fake.url, { storage, storageKey: "mine" });
  const done = client.connect();
  const peer = await fake.accepted();
  peer.reply(await peer.receive(), "nonsense");
  assert.equal(await peer.closed, 4000);
  const second = await fake.accepted();
  const restore = await second.receive();
  assert.equal(restore.rest.toString(), "key-1");
  second.reply(restore, sessionObject("key-1"));
  await done;
});

test("a session key that this server's message buffer has no room for", async (t) => {
  const storage = makeStorage();
  storage.setItem("mine", "k".repeat(100));
  const fake = await startFake(t);
  const { client, seen } = makeClient(t, fake.url, { storage, storageKey: "mine" });
  const done = client.connect();
  await fake.accepted({ messageBuffer: 64 });
  await done;
  assert.equal((await seen("session"))[2].kind, "buffer-overflow");
  assert.equal(storage.items.size, 1);
});

test("restoreSession and closeSession by hand", async (t) => {
  const storage = makeStorage();
  const { client, seen, peer } = await connected(t, { storage, storageKey: "mine" });
  const missing = client.restoreSession("other");
  peer.fail(await peer.receive(), 3);
  await rejects(missing, "session-not-found");
  const restored = client.restoreSession("key-1");
  peer.reply(await peer.receive(), sessionObject("key-1"));
  assert.equal((await restored).key, "key-1");
  assert.equal(storage.items.get("mine"), "key-1");
  await rejects(client.restoreSession("key-2"), "session-active");
  const refused = client.closeSession();
  peer.fail(await peer.receive(), 5);
  await rejects(refused, "sessions-disabled");
  assert.equal(client.session.key, "key-1");
  const closed = client.closeSession();
  const request = await peer.receive();
  assert.equal(request.bytes.length, 9);
  peer.send([191], request.id);
  assert.equal(await closed, undefined);
  assert.equal(client.session, null);
  assert.equal(storage.items.size, 0);
  assert.equal((await seen("session"))[1].key, "key-1");
  assert.deepEqual(await seen("session"), ["session", null, null]);
});

test("a session call that was given up still counts when its reply comes", async (t) => {
  const { client, seen, peer } = await connected(t);
  await rejects(client.restoreSession("key-1", { timeout: 10 }), "deadline");
  peer.reply(await peer.receive(), sessionObject("key-1"));
  assert.equal((await seen("session"))[1].key, "key-1");
  const controller = new AbortController();
  const closing = client.closeSession({ signal: controller.signal });
  controller.abort();
  await rejects(closing, "canceled");
  assert.equal(client.session.key, "key-1");
  peer.send([191], (await peer.receive()).id);
  assert.deepEqual(await seen("session"), ["session", null, null]);
});

test("a session call that was given up before it was sent is not sent", async (t) => {
  const fake = await startFake(t);
  const { client } = makeClient(t, fake.url);
  await rejects(client.restoreSession("key-1", { timeout: 10 }), "deadline");
  const peer = await fake.accepted();
  await client.signal("first");
  assert.equal((await peer.receive()).type, 64);
});

test("closing the session offline only forgets it", async (t) => {
  const storage = makeStorage();
  const { fake, client, peer } = await connected(t, { storage, storageKey: "mine" });
  peer.send([21], sessionObject("key-1"));
  await until(() => client.session, { what: "a session" });
  client.close();
  await client.closeSession();
  assert.deepEqual([client.session, storage.items.size, client.status], [null, 0, "disabled"]);
  assert.equal(fake.count, 1);
});

test("the session outlives close(), and another tab's is left alone", async (t) => {
  const storage = makeStorage();
  const { fake, client, seen, peer } = await connected(t, { storage, storageKey: "mine" });
  peer.send([21], sessionObject("key-1"));
  await seen("session");
  client.close();
  assert.equal(client.session.key, "key-1");
  storage.setItem("mine", "key-2"); // by another tab
  const done = client.connect();
  const second = await fake.accepted();
  const restore = await second.receive();
  assert.equal(restore.rest.toString(), "key-1"); // its own
  second.reply(restore, sessionObject("key-1"));
  await done;
  assert.equal(storage.items.get("mine"), "key-2");
  second.send([22]);
  await until(() => client.session === null, { what: "no session" });
  assert.equal(storage.items.get("mine"), "key-2");
});

test("a storage that fails keeps nothing and harms nothing", async (t) => {
  const fail = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  const storage = { getItem: fail, setItem: fail, removeItem: fail };
  const { client, seen, peer } = await connected(t, { storage });
  peer.send([21], sessionObject("key-1"));
  await seen("session");
  peer.send([22]);
  await seen("session");
  assert.equal(client.status, "connected");
});

test("where the key is kept by default", async (t) => {
  const storage = makeStorage();
  globalThis.window = { localStorage: storage };
  t.after(() => delete globalThis.window);
  const fake = await startFake(t);
  const { client, seen } = makeClient(t, `${fake.url}room?ticket=1`);
  const done = client.connect();
  const peer = await fake.accepted();
  await done;
  peer.send([21], sessionObject("key-1"));
  await seen("session");
  assert.deepEqual([...storage.items], [[`webwire:${fake.url}room`, "key-1"]]);
});
