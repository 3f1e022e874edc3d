/** The same tests of every load balancer, with its deployed configuration. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { makeClient } from "../client/kit.mjs";
import { makeCertificate, missing, startBalancer } from "../lib/balancers.mjs";
import { clusterMissing, converse, startCluster } from "../lib/cluster.mjs";
import { watchLateness } from "../lib/lateness.mjs";
import { WebSocket as Package } from "../lib/packages.mjs";
import { binDir, launch, skipFile, start } from "../lib/programs.mjs";
import { PATIENCE, pause, until, within } from "../lib/until.mjs";
import { pacedRolling } from "./paced.mjs";

const subprotocol = "chatroom-example-protocol";
const LONGEST_AWAY_MS = 3000; // what a client may be without a node

async function temporary(t) {
  const dir = await mkdtemp(join(tmpdir(), "wwr-js-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Three nodes of the chat room on a Redis, and the balancer. */
async function room(t, name, options = {}) {
  const cluster = await startCluster(t, { nodes: 3, haproxy: false });
  const dir = await temporary(t);
  const ports = cluster.nodes.map((node) => node.port);
  const front = await startBalancer(t, name, { dir, ports, ...options });
  return { cluster, front };
}

/** Somebody who has joined, and all that he was told. */
async function joinRoom(t, url, options = {}) {
  const person = makeClient(t, url, { subprotocol, ...options });
  await person.client.connect();
  const joined = (await person.client.request("join")).json();
  const heard = [];
  person.client.on("signal", ({ payload }) => heard.push(payload.text));
  return { ...person, node: joined.node, joined, heard };
}

const hasHeard = (person, text) =>
  until(() => person.heard.some((one) => one.includes(text)), { what: `somebody hears ${text}` });

/** A node that shows what reaches it, and upgrades without being a WebSocket. */
async function fakeNode(t, { pings = false } = {}) {
  const requests = [];
  const server = createServer((request, response) => response.end("ok"));
  server.on("upgrade", (request, socket) => {
    requests.push(request.headers);
    const accept = createHash("sha1")
      .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    const timer = pings ? setInterval(() => socket.write(Buffer.from([0x89, 0])), 200) : null;
    socket.on("error", () => {}).on("close", () => clearInterval(timer));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (server.closeAllConnections(), server.close()));
  return { port: server.address().port, requests };
}

/** A connection that upgrades and then only listens: when it ended. */
function silentClient(t, port, headers = "") {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.write(
    `GET / HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${headers}` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const client = { head: "", ended: false };
  socket.on("data", (chunk) => (client.head += chunk.toString("latin1")));
  socket.on("error", () => {}).on("close", () => (client.ended = true));
  return client;
}

const isOpen = (client) => until(() => client.head.startsWith("HTTP/1.1 101"), { what: "an upgrade" });

async function chat(t, name) {
  const { cluster, front } = await room(t, name);
  const [ann, bob, carl] = [
    await joinRoom(t, front.url),
    await joinRoom(t, front.url),
    await joinRoom(t, front.url),
  ];
  assert.equal(new Set([ann, bob, carl].map((one) => one.node)).size, 3, "one on each node");
  await ann.client.request("say", JSON.stringify({ msg: "across nodes", cid: "1" }));
  await Promise.all([ann, bob, carl].map((one) => hasHeard(one, "across nodes")));
  await cluster.stop();
}

async function headers(t, name) {
  const node = await fakeNode(t);
  const front = await startBalancer(t, name, { dir: await temporary(t), ports: [node.port] });
  await isOpen(silentClient(t, front.port, "X-Forwarded-For: 203.0.113.7\r\n"));
  const [seen] = node.requests;
  assert.equal(seen["x-forwarded-for"], "127.0.0.1", "not what the client said");
  assert.equal(seen.host, "chat.example", "pages' origins are compared with it");
}

async function idle(t, name) {
  const [quiet, pinging] = [await fakeNode(t), await fakeNode(t, { pings: true })];
  for (const [node, survives] of [[pinging, true], [quiet, false]]) {
    // Ten times as long as between two pings, should this process stand still.
    const front = await startBalancer(t, name, { dir: await temporary(t), ports: [node.port], idle: 2 });
    const client = silentClient(t, front.port);
    await isOpen(client);
    if (survives) await pause(4500);
    else await until(() => client.ended, { what: "what is silent for too long is cut" });
    assert.equal(client.ended, !survives);
  }
}

/** A real node keeps a client that only listens, also through a balancer that is
 * less patient than it. */
async function pinged(t, name) {
  const node = await start(t, "webwired", ["--drain-time", "0", "--admin", "off"], {
    env: { WEBWIRED_SERVER_PING_INTERVAL: "1", STATE_DIRECTORY: await temporary(t) },
  });
  const front = await startBalancer(t, name, { dir: await temporary(t), ports: [node.port], idle: 3 });
  const client = silentClient(t, front.port);
  await isOpen(client);
  const since = Date.now();
  const pings = () => client.head.split("\x89\x01p").length - 1;
  await until(() => pings() >= 3 && Date.now() - since > 4000, { what: "pings for longer than it waits" });
  assert.equal(client.ended, false);
  await node.stop();
}

async function times(t, file, pattern) {
  const text = await readFile(new URL(`../../../deploy/${file}`, import.meta.url), "utf8");
  const sample = await readFile(new URL("../../../deploy/webwired.conf", import.meta.url), "utf8");
  const ping = Number(/#ping-interval = (\d+);/.exec(sample)[1]) * 1000;
  const idleTime = Number(pattern.exec(text)[1]) * 1000;
  assert.ok(idleTime > 2 * 1.2 * ping, `${idleTime} ms, and a ping every ${ping} ms`);
}

async function killed(t, name) {
  const { cluster, front } = await room(t, name);
  const [ann, bob] = [await joinRoom(t, front.url), await joinRoom(t, front.url)];
  const node = cluster.node(ann.node);
  const allowed = watchLateness();
  const since = Date.now();
  await node.kill();
  await until(() => ann.client.status !== "connected", { what: "ann notices" });
  await ann.client.connect();
  const joined = (await ann.client.request("join")).json();
  const away = Date.now() - since;
  assert.ok(away < allowed(LONGEST_AWAY_MS), `back after ${away} ms`);
  assert.notEqual(joined.node, node.name);
  // New ones are passed over to those that live, each at the first attempt.
  for (let i = 0; i < 6; i++) {
    const more = makeClient(t, front.url, { subprotocol, autoconnect: false });
    await more.client.connect();
  }
  await bob.client.request("say", JSON.stringify({ msg: "still here", cid: "1" }));
  await hasHeard(ann, "still here");
  await node.start();
  await until(async () => (await joinRoom(t, front.url)).node === node.name, { what: "its clients come" });
}

/** One talks all the time while each node in turn is stopped and started: what
 * was acknowledged is in the room's log, once, and who loses a node has another
 * one soon. */
async function rolling(t, name) {
  const { cluster, front } = await room(t, name);
  const allowed = watchLateness();
  // It ends when so many have lost a node and are back: most of two nodes'.
  const options = { url: front.url, mode: "reconnect", connections: 30, count: 22, seconds: 60, warmup: 0, output: "json" };
  const args = Object.entries(options).flatMap(([key, value]) => [`--${key}`, `${value}`]);
  const crowd = launch(t, join(binDir(), "webwire-bench"), args);
  await crowd.ready(() => crowd.stderr.includes("30 connections are open"));

  const { client } = makeClient(t, front.url, { subprotocol });
  const acknowledged = [];
  let talking = true;
  const talk = (async () => {
    for (let i = 0; talking; i++) {
      const said = client.request("say", JSON.stringify({ msg: `word ${i}.`, cid: `${i}` }));
      await said.then(() => acknowledged.push(`word ${i}.`), () => {});
      await pause(10);
    }
  })();
  for (const node of cluster.nodes) {
    const before = acknowledged.length;
    await until(() => acknowledged.length > before + 20, { what: "the talk goes on" });
    await node.restart();
  }
  talking = false;
  await talk;

  const log = await readLog(cluster);
  for (const text of acknowledged) assert.equal(log.split(`"${text}"`).length, 2, `${text}: once`);
  const { code } = await within(crowd.exited, PATIENCE, "the crowd is back");
  const { stdout } = crowd;
  assert.equal(code, 0, stdout + crowd.stderr);
  const result = JSON.parse(stdout);
  assert.ok(result.lost_connections >= 20, stdout);
  assert.equal(result.unanswered, 0, stdout);
  assert.ok(result.max_us < allowed(LONGEST_AWAY_MS) * 1000, stdout);
  t.diagnostic(
    `${acknowledged.length} acknowledged, all of them in the log; ` +
      `${result.lost_connections} connections lost, back within ${result.max_us / 1000} ms`,
  );
  await cluster.stop();
}

/** All that the room's log in Redis holds. */
async function readLog(cluster) {
  const ask = (line) => converse(cluster.redis.port, `${line}\r\nQUIT\r\n`);
  const keys = (await ask("KEYS wwr:*:l:*")).split("\r\n").filter((key) => /:l:[^!]/.test(key));
  assert.equal(keys.length, 1, `${keys}`);
  return ask(`XRANGE ${keys[0]} - +`);
}

async function tls(t, name) {
  const dir = await temporary(t);
  const certificate = await makeCertificate(dir);
  const { front } = await room(t, name, { certificate });
  class Trusting extends Package {
    constructor(url) {
      super(url, { rejectUnauthorized: false });
    }
  }
  const url = `wss://127.0.0.1:${front.tlsPort}`;
  const [ann, bob] = [await joinRoom(t, url, { WebSocket: Trusting }), await joinRoom(t, front.url)];
  await bob.client.request("say", JSON.stringify({ msg: "to the locked one", cid: "1" }));
  await hasHeard(ann, "to the locked one");
}

/** All of them; `file` and `pattern`: where its idle time-out is, in seconds. */
export async function testBalancer(name, file, pattern) {
  skipFile((await clusterMissing()) || (await missing(name)));
  test(`${name}: a chat across three nodes`, (t) => chat(t, name));
  test(`${name}: the client's address and host`, (t) => headers(t, name));
  test(`${name}: pings keep the idle, silence is cut`, (t) => idle(t, name));
  test(`${name}: a node's pings`, (t) => pinged(t, name));
  test(`${name}: the idle time-out is longer than two pings`, (t) => times(t, file, pattern));
  test(`${name}: a node is killed`, (t) => killed(t, name));
  test(`${name}: a rolling restart loses nothing`, (t) => rolling(t, name));
  test(`${name}: a rolling restart with a paced drain is not noticed`, (t) =>
    pacedRolling(t, async (ports) => startBalancer(t, name, { dir: await temporary(t), ports })));
  test(`${name}: TLS`, (t) => tls(t, name));
}
