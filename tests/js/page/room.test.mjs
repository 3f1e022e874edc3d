/* room.js with a client that does what the test says: joining, saying, and what
 * becomes of it when something goes wrong. */

import assert from "node:assert/strict";
import { beforeEach, describe, mock, test } from "node:test";

import { Room } from "../../../examples/chatroom/page/room.js";

const payload = (value) => ({
  text: value === undefined ? "" : JSON.stringify(value),
  json: () => (value === undefined ? JSON.parse("") : value),
});
const failure = (kind, code) => Object.assign(new Error(kind), {
  kind, code, isTimeout: kind === "timeout",
});

/* Requests wait until the test answers them: asked("say").reply({...}). */
class FakeClient {
  status = "disabled";
  session = null;
  serverLimits = { messageBuffer: 8192 };
  open = [];
  closed = 0;
  restored = [];
  restoreFails = null;
  #listeners = { status: [], signal: [], session: [] };

  on(type, listener) {
    this.#listeners[type].push(listener);
  }

  emit(type, ...args) {
    for (const listener of this.#listeners[type]) listener(...args);
  }

  async connect() {}

  close() {
    this.closed++;
    this.status = "disabled";
    this.emit("status", "disabled", null);
  }

  request(name, data, options) {
    return new Promise((resolve, reject) => {
      this.open.push({
        name, data, options,
        reply: (value) => resolve(payload(value)),
        fail: (kind, code) => reject(failure(kind, code)),
      });
    });
  }

  async restoreSession(key) {
    this.restored.push(key);
    if (this.restoreFails) throw failure(this.restoreFails);
    this.setUser("Frodo", key);
  }

  async closeSession() {
    this.setUser(null);
  }

  setUser(username, key = "key") {
    this.session = username === null ? null : { key, info: { username } };
    this.emit("session", this.session, null);
  }
}

const turns = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

let client;
let room;
let news;
let storage;
let cids;

const makeRoom = () => new Room({
  client, storage, tab: "tab", random: () => String(++cids), changed: () => {},
  news: (entries) => news.push(...entries),
});

/* The oldest open request of this name, which is then no longer open. */
function asked(name) {
  const at = client.open.findIndex((request) => request.name === name);
  assert.ok(at >= 0, `no open "${name}" among ${client.open.map((r) => r.name)}`);
  return client.open.splice(at, 1)[0];
}
const isAsked = (name) => client.open.some((request) => request.name === name);

function connect() {
  client.status = "connected";
  client.emit("status", "connected", null);
}

function disconnect() {
  client.status = "disconnected";
  for (const { fail } of client.open.splice(0)) fail("disconnected");
  client.emit("status", "disconnected", failure("disconnected"));
}

async function join(history = [], node = "one") {
  connect();
  asked("join").reply({ node, history });
  await turns();
}

const hear = (value, name = "") =>
  client.emit("signal", { name, payload: payload(value) });
const logged = (n, msg, cid) => ({
  user: "Gimli", msg, id: `1-${n}`, time: "2026-11-22T10:00:00.000Z", ...(cid && { cid }),
});
const seen = () => room.entries.map(({ gap, msg }) => (gap ? "gap" : msg));
const unsaid = () => room.unsaid.map(({ text, state }) => `${text}: ${state}`);
const sent = (request) => JSON.parse(request.data);

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_800_000_000_000 });
  cids = 0;
  news = [];
  client = new FakeClient();
  const kept = new Map();
  storage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
  };
  room = makeRoom();
  room.start();
});

describe("joining", () => {
  test("gives the last messages and the node", async () => {
    assert.equal(room.status, "connecting");
    await join([logged(1, "a"), logged(2, "b")], "chat-1");
    assert.equal(room.status, "online");
    assert.equal(room.node, "chat-1");
    assert.deepEqual(seen(), ["a", "b"]);
    assert.deepEqual(news, [], "what was there on arrival is no news");
    asked("who").reply([{ user: "Gimli", connections: 2 }, { user: 7 }, null]);
    await turns();
    assert.deepEqual(room.people, [{ user: "Gimli", connections: 2 }]);
  });

  test("again goes on where it was", async () => {
    await join([logged(1, "a", "c1")]);
    hear({ user: "Gimli", msg: "b", cid: "c2" });
    disconnect();
    assert.equal(room.status, "reconnecting");
    await join([logged(1, "a", "c1"), logged(2, "b", "c2"), logged(3, "c", "c3")], "two");
    assert.deepEqual(seen(), ["a", "b", "c"]);
    assert.deepEqual(news.map(({ msg }) => msg), ["b", "c"]);
    assert.equal(room.node, "two");
  });

  test("is tried again when the room is not available", async () => {
    connect();
    asked("join").fail("request", "UNAVAILABLE");
    await turns();
    assert.equal(isAsked("join"), false);
    mock.timers.tick(1000);
    asked("join").reply({ node: "one", history: [] });
    await turns();
    assert.equal(room.status, "online");
  });

  for (const answer of ["timeout", "protocol"]) {
    test(`begins anew after a ${answer}: we may have joined`, async () => {
      connect();
      asked("join").fail(answer);
      await turns();
      assert.equal(client.closed, 1);
    });
  }

  test("an answer of a former connection counts no more", async () => {
    connect();
    const late = asked("join");
    disconnect();
    await join([logged(1, "new")]);
    late.reply({ node: "old", history: [logged(9, "old")] });
    await turns();
    assert.deepEqual(seen(), ["new"]);
    assert.equal(room.node, "one");
  });

  test("a server that is none of ours is final", () => {
    client.emit("status", "disabled", failure("subprotocol-mismatch"));
    assert.equal(room.status, "failed");
  });

  test("signals that can't be read are nothing", async () => {
    await join();
    for (const value of [undefined, null, 7, {}, { user: "a" }]) hear(value);
    hear({ user: "a", msg: "named" }, "other");
    assert.deepEqual(seen(), []);
  });
});

describe("saying", () => {
  test("one after the other, until they come back from the log", async () => {
    await join();
    room.say(" one ");
    room.say("two");
    assert.equal(room.say("  \n "), false);
    const first = asked("say");
    assert.deepEqual(sent(first), { msg: " one", cid: "tab.1" });
    assert.equal(isAsked("say"), false, "two waits for one");
    hear({ user: "Anonymous", msg: " one", cid: "tab.1" });
    assert.deepEqual(unsaid(), ["two: sending"], "what came is in the log");
    first.reply({ id: "1-1", time: "2026-11-22T10:00:00.000Z" });
    await turns();
    assert.equal(room.entries[0].id, "1-1");
    assert.equal(sent(asked("say")).msg, "two");
  });

  test("acknowledged before it comes back, it is shown once", async () => {
    await join();
    room.say("one");
    asked("say").reply({ id: "1-1" });
    await turns();
    assert.deepEqual(unsaid(), ["one: acknowledged"]);
    hear({ user: "Anonymous", msg: "one", cid: "tab.1" });
    assert.deepEqual(unsaid(), []);
    assert.deepEqual(seen(), ["one"]);
  });

  test("while offline waits, and is said on arrival", async () => {
    room.say("early");
    assert.deepEqual(unsaid(), ["early: pending"]);
    await join();
    assert.equal(sent(asked("say")).msg, "early");
  });

  test("a broken connection: in the log, so it is not said again", async () => {
    await join();
    room.say("one");
    disconnect();
    await turns();
    await join([logged(1, "one", "tab.1")]);
    assert.deepEqual(unsaid(), []);
    assert.equal(isAsked("say"), false);
    assert.deepEqual(seen(), ["one"]);
  });

  test("a broken connection: not in the log, so it is said again at once", async () => {
    await join();
    room.say("one");
    disconnect();
    await turns();
    await join();
    assert.deepEqual(sent(asked("say")), { msg: "one", cid: "tab.1" });
  });

  test("UNKNOWN_OUTCOME: looked for first", async () => {
    await join();
    room.say("one");
    asked("say").fail("request", "UNKNOWN_OUTCOME");
    await turns();
    mock.timers.tick(1000);
    asked("history").reply([]);
    await turns();
    assert.equal(sent(asked("say")).cid, "tab.1");
  });

  test("UNAVAILABLE: said again later, and failed when that goes on", async () => {
    await join();
    room.say("one");
    for (let i = 0; i < 8; i++) {
      asked("say").fail("request", "UNAVAILABLE");
      await turns();
      assert.equal(isAsked("say"), false);
      mock.timers.tick(10000);
    }
    assert.deepEqual(unsaid(), ["one: failed"]);
    room.retry("tab.1");
    assert.equal(sent(asked("say")).cid, "tab.1");
  });

  for (const [kind, code, reason] of [
    ["request", "TOO_LARGE", "too-long"],
    ["request", "BAD_REQUEST", "refused"],
    ["buffer-overflow", undefined, "too-long"],
  ]) {
    test(`${code ?? kind}: failed, and those behind it go on`, async () => {
      await join();
      room.say("one");
      room.say("two");
      asked("say").fail(kind, code);
      await turns();
      assert.equal(room.unsaid[0].reason, reason);
      assert.equal(sent(asked("say")).msg, "two");
      room.discard("tab.1");
      assert.deepEqual(unsaid(), ["two: sending"]);
    });
  }

  test("outlives the page", async () => {
    room.say("one");
    client = new FakeClient();
    room = makeRoom();
    room.start();
    await join([logged(1, "other", "c1")]);
    assert.deepEqual(sent(asked("say")), { msg: "one", cid: "tab.1" });
  });

  test("a storage that is full changes nothing", async () => {
    storage.setItem = () => { throw new Error("full"); };
    await join();
    assert.equal(room.say("one"), true);
    assert.equal(sent(asked("say")).msg, "one");
  });
});

describe("names", () => {
  test("what was written under one name is not said under another", async () => {
    await join();
    disconnect();
    room.say("as nobody");
    client.setUser("Frodo");
    await join();
    assert.deepEqual(unsaid(), ["as nobody: failed"]);
    assert.equal(room.unsaid[0].reason, "identity");
    room.retry("tab.1");
    assert.equal(sent(asked("say")).msg, "as nobody");
  });

  test("nothing is said while the name changes", async () => {
    await join();
    const done = room.signIn("Frodo", "frodo1234");
    room.say("who am I?");
    assert.equal(isAsked("say"), false);
    const auth = asked("auth");
    assert.deepEqual(sent(auth), { name: "Frodo", pass: "frodo1234" });
    client.setUser("Frodo");
    auth.reply("key");
    await done;
    assert.equal(room.unsaid[0].reason, "identity");
  });

  test("a wrong password changes nothing", async () => {
    await join();
    const done = room.signIn("Frodo", "nope");
    room.say("still nobody");
    asked("auth").fail("request", "WRONG_PASSWORD");
    await assert.rejects(done, { code: "WRONG_PASSWORD" });
    assert.equal(sent(asked("say")).msg, "still nobody");
  });

  test("signing out: everywhere, or offline only here", async () => {
    client.setUser("Frodo");
    await join();
    const done = room.signOut();
    const request = asked("signout");
    client.setUser(null);
    request.reply();
    await done;
    assert.equal(room.user, null);
    client.setUser("Frodo");
    disconnect();
    await room.signOut();
    assert.equal(room.user, null);
    assert.equal(isAsked("signout"), false);
  });

  test("another tab signs in, and out", async () => {
    await join();
    room.sessionElsewhere("key-1");
    await turns();
    assert.deepEqual(client.restored, ["key-1"]);
    room.sessionElsewhere("key-1");
    await turns();
    assert.deepEqual(client.restored, ["key-1"], "it has that session");
    room.sessionElsewhere(null);
    await turns();
    assert.equal(room.user, null);
  });

  test("what another tab did may not be possible yet", async () => {
    await join();
    client.restoreFails = "session-not-found";
    assert.equal(await room.sessionElsewhere("key-1"), false);
    assert.equal(room.user, null);
    client.restoreFails = null;
    assert.equal(await room.sessionElsewhere("key-1"), true);
    assert.equal(room.user, "Frodo");
  });
});

test("a network that is gone: the connection is asked, and made anew", async () => {
  await join();
  asked("who").reply([]);
  await turns();
  const doubt = room.doubt();
  asked("who").fail("timeout");
  await doubt;
  assert.equal(client.closed, 1);
});
