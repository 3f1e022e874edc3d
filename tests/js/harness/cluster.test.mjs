import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";

import { clusterMissing, converse, startCluster } from "../lib/cluster.mjs";
import { WebSocket } from "../lib/packages.mjs";
import { skipFile } from "../lib/programs.mjs";
import { until } from "../lib/until.mjs";

skipFile(await clusterMissing());

async function connect(t, url) {
  const socket = new WebSocket(url);
  t.after(() => socket.terminate());
  socket.on("error", () => {});
  await until(() => socket.readyState === WebSocket.OPEN, { what: `open ${url}` });
  return socket;
}

test("clients spread over the nodes, go on when one is killed", async (t) => {
  const cluster = await startCluster(t, { nodes: 2 });
  const sockets = [await connect(t, cluster.url), await connect(t, cluster.url)];
  assert.equal(await cluster.connectionsOf(0), 1);
  assert.equal(await cluster.connectionsOf(1), 1);

  await cluster.nodes[0].kill();
  await until(() => sockets.some((socket) => socket.readyState === WebSocket.CLOSED));
  await connect(t, cluster.url);
  assert.equal(await cluster.connectionsOf(1), 2);
  await cluster.nodes[0].start();
  await cluster.stop();
});

test("Redis comes back on its port with its data", async (t) => {
  const cluster = await startCluster(t, { nodes: 1, haproxy: false });
  const ask = (text) => converse(cluster.redis.port, `${text}\r\nQUIT\r\n`);
  assert.match(await ask("SET kept yes"), /^\+OK/);
  await cluster.redis.restart();
  assert.match(await ask("GET kept"), /^\$3\r\nyes/);
  await cluster.redis.kill();
  await cluster.redis.start();
  assert.match(await ask("GET kept"), /^\$3\r\nyes/);
  await cluster.stop();
});

test("nothing is left of a cluster", async (t) => {
  let pids = [];
  await t.test("a test with one", async (inner) => {
    const cluster = await startCluster(inner, { nodes: 1 });
    pids = [...cluster.nodes, cluster.redis, cluster.haproxy].map((one) => one.program.pid);
    assert.ok(pids.every((pid) => existsSync(`/proc/${pid}`)));
  });
  assert.equal(pids.length, 3);
  assert.ok(!pids.some((pid) => existsSync(`/proc/${pid}`)));
});
