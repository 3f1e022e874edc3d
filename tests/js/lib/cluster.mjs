/** A cluster of real processes: one redis-server, nodes of a server program on
 * it, HAProxy in front of them. Each can be killed and started again on its
 * port and with its data. */
import { createSocket } from "node:dgram";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { binDir, launch, run } from "./programs.mjs";

export const HAPROXY = "/usr/sbin/haproxy"; // where Debian has it and not everyone looks
const HAPROXY_CONFIG = fileURLToPath(
  new URL("../../../deploy/haproxy/haproxy.cfg", import.meta.url),
);
const PORT_TRIES = 50;
const ANSWER_MS = 5000;
const DEFAULTS = {
  nodes: 2,
  redis: true,
  haproxy: true,
  program: "chatroom-server",
  args: [],
  accounts: null,
};

/** What the machine lacks for a cluster, as a reason to skip; else false. */
export async function clusterMissing() {
  for (const [program, option] of [["redis-server", "--version"], [HAPROXY, "-v"]]) {
    const { code } = await run(program, [option]);
    if (code !== 0) return `no ${program}`;
  }
  return false;
}

function listens(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}

/** Whether the port is this process' among those that come here: who has it has
 * the UDP port of that number, until the process ends. So no other suite takes it
 * before its member listens there, or while that is down. */
function isOurs(port) {
  return new Promise((resolve) => {
    const socket = createSocket("udp4").unref();
    socket.once("error", () => resolve(false));
    socket.bind({ port, address: "127.0.0.1", exclusive: true }, () => resolve(true));
  });
}

/** Ports nobody listens on, below those of the kernel's choice, so that each is
 * still free when its member comes back to it. */
export async function freePorts(count) {
  const ports = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > PORT_TRIES * count) throw new Error("no free ports");
    const port = 10_000 + Math.floor(Math.random() * 10_000);
    if ((await isOurs(port)) && (await listens(port))) ports.push(port);
  }
  return ports;
}

/** What `port` (or a Unix socket's path) answers to `text`, up to its end. */
export function converse(where, text) {
  return new Promise((resolve, reject) => {
    const options = typeof where === "string" ? { path: where } : { port: where, host: "127.0.0.1" };
    const socket = connect(options, () => socket.write(text));
    let answer = "";
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
    socket.setEncoding("utf8").on("data", (chunk) => (answer += chunk));
    socket.on("error", reject).on("end", () => resolve(answer));
    socket.on("close", () => resolve(answer));
  });
}

/** A process that can be ended and started again, in place. */
class Member {
  #t;
  #command;
  #isReady;
  program = null;

  constructor(t, name, port, command, isReady) {
    this.#t = t;
    this.#command = command;
    this.#isReady = isReady;
    this.name = name;
    this.port = port;
  }

  async start() {
    const [path, ...args] = this.#command;
    this.program = launch(this.#t, path, args);
    await this.program.ready(() => this.#isReady(this));
    return this;
  }
  kill(signal = "SIGKILL") {
    return this.program.kill(signal);
  }
  stop() {
    return this.program.stop();
  }
  pause() {
    this.program.pause();
  }
  resume() {
    this.program.resume();
  }
  /** Ends it in good order, with its data kept, and starts it again. */
  async restart() {
    await this.kill("SIGTERM");
    return this.start();
  }
}

class Node extends Member {
  get url() {
    return `ws://127.0.0.1:${this.port}`;
  }
  get http() {
    return `http://127.0.0.1:${this.port}`;
  }
}

function makeRedis(t, dir, port) {
  const command = ["redis-server", "--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir];
  command.push("--save", "", "--appendonly", "yes", "--appendfsync", "always");
  const answers = async () => (await converse(port, "PING\r\nQUIT\r\n")).includes("PONG");
  return new Member(t, "redis", port, command, answers);
}

async function answersReady(node) {
  if (node.program.url === null) return false;
  const text = "OPTIONS / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
  return / 200 /.test((await converse(node.port, text)).split("\r\n")[0]);
}

function makeNode(t, name, port, redis, { program, args, dir }) {
  const command = [join(binDir(), program), "--listen", `127.0.0.1:${port}`];
  if (redis) command.push("--redis", `redis://127.0.0.1:${redis.port}`, "--node-name", name);
  else command.push("--sessions", join(dir, `sessions-${name}`));
  return new Node(t, name, port, [...command, ...args], answersReady);
}

/** The one that is deployed, with these nodes. */
export async function haproxyConfig(nodes) {
  const lines = (await readFile(HAPROXY_CONFIG, "utf8")).trimEnd().split("\n");
  const kept = lines.filter((line) => !line.startsWith("  server "));
  const servers = nodes.map((node) => `  server ${node.name} 127.0.0.1:${node.port}`);
  return [...kept, ...servers, ""].join("\n");
}

/** The rows of HAProxy's table, as objects by column. */
async function haproxyTable(dir) {
  const text = await converse(join(dir, "haproxy.sock"), "show stat\n");
  const [head, ...lines] = text.trim().split("\n");
  const columns = head.replace(/^# /, "").split(",");
  return lines.map((line) => {
    const cells = line.split(",");
    return Object.fromEntries(columns.map((column, i) => [column, cells[i]]));
  });
}

async function makeHaproxy(t, dir, port, nodes) {
  const file = join(dir, "haproxy.cfg");
  await writeFile(file, await haproxyConfig(nodes));
  const variables = [
    `WEBWIRE_LISTEN=127.0.0.1:${port}`,
    `WEBWIRE_ADMIN_SOCKET=${dir}/haproxy.sock`,
    `WEBWIRE_STATS=${dir}/haproxy-status.sock`,
    "WEBWIRE_CHECK=100ms",
    "WEBWIRE_THREADS=1",
  ];
  const isUp = async () => {
    const rows = await haproxyTable(dir);
    return nodes.every((node) => rows.some((row) => row.svname === node.name && row.status === "UP"));
  };
  const command = ["/usr/bin/env", ...variables, HAPROXY, "-db", "-f", file];
  return new Member(t, "haproxy", port, command, isUp);
}

class Cluster {
  #dir;

  constructor(dir, redis, nodes, haproxy) {
    this.#dir = dir;
    this.redis = redis;
    this.nodes = nodes;
    this.haproxy = haproxy;
  }

  /** Where clients come in: HAProxy, or the first node without it. */
  get http() {
    return `http://127.0.0.1:${(this.haproxy ?? this.nodes[0]).port}`;
  }
  get url() {
    return this.http.replace(/^http/, "ws");
  }
  node(name) {
    return this.nodes.find((node) => node.name === name);
  }

  /** Connections that HAProxy has to node `i`. */
  async connectionsOf(i) {
    const rows = await haproxyTable(this.#dir);
    return Number(rows.find((row) => row.svname === this.nodes[i].name).scur);
  }

  /** Break what HAProxy has open to node `i`, as a network that goes away does. */
  async cut(i) {
    const line = `shutdown sessions server nodes/${this.nodes[i].name}\n`;
    const answer = await converse(join(this.#dir, "haproxy.sock"), line);
    if (answer.trim() !== "") throw new Error(`${line}${answer}`);
  }

  /** In good order: throws when a node that runs does not end well. */
  async stop() {
    await Promise.all(this.#running.filter((one) => one instanceof Node).map((node) => node.stop()));
    await this.kill();
  }

  get #running() {
    const members = [...this.nodes, this.haproxy, this.redis];
    return members.filter((one) => one?.program && !one.program.exit);
  }
  kill() {
    return Promise.all(this.#running.map((one) => one.kill()));
  }

  /** What its members printed last, for a failure's text. */
  tail() {
    const members = [...this.nodes, this.haproxy, this.redis].filter((one) => one?.program);
    return members.map((one) => `=== ${one.name}\n${one.program.tail()}`).join("\n");
  }
}

async function startOnce(t, dir, { nodes: count, redis, haproxy, program, args }) {
  const [redisPort, frontPort, ...ports] = await freePorts(count + 2);
  const theRedis = redis ? makeRedis(t, dir, redisPort) : null;
  const nodes = ports.map((port, i) =>
    makeNode(t, `node-${i + 1}`, port, theRedis, { program, args, dir }),
  );
  const front = haproxy ? await makeHaproxy(t, dir, frontPort, nodes) : null;
  const cluster = new Cluster(dir, theRedis, nodes, front);
  try {
    await theRedis?.start();
    await Promise.all(nodes.map((node) => node.start()));
    await front?.start();
  } catch (error) {
    await cluster.kill();
    throw error;
  }
  return cluster;
}

/** startCluster(t, {nodes: 2, accounts: "name:password\n..."}): everybody is ready and balanced when this
 * returns; all is gone, data included, when the test `t` ends. */
export async function startCluster(t, options = {}) {
  const all = { ...DEFAULTS, ...options };
  const dir = await mkdtemp(join(tmpdir(), "wwr-js-"));
  let cluster = null;
  t.after(async () => {
    await cluster?.kill();
    await rm(dir, { recursive: true, force: true });
  });
  if (all.accounts) {
    const file = join(dir, "accounts");
    await writeFile(file, all.accounts);
    all.args = [...all.args, "--accounts", file];
  }
  for (let tries = 1; ; tries++) {
    try {
      cluster = await startOnce(t, dir, all);
      return cluster;
    } catch (error) {
      if (tries === 3 || !/address already in use/i.test(error.message)) throw error;
    }
  }
}
