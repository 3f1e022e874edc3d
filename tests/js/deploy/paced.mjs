/** Three nodes of webwired, restarted one after the other with a paced drain, while
 * many follow a channel (as examples/channels shows it) and some publish: nobody
 * may notice. Everything is counted. */
import assert from "node:assert/strict";

import { follow } from "../../../examples/channels/follow.mjs";
import { makeClient } from "../client/kit.mjs";
import { startCluster } from "../lib/cluster.mjs";
import { watchLateness } from "../lib/lateness.mjs";
import { pause, until } from "../lib/until.mjs";

const FOLLOWERS = 30;
const PUBLISHERS = 2;
const EVERY_MS = 25; // a message each
const DRAIN_S = 1;
const CHANNEL = "roll";
const LONGEST_AWAY_MS = 3000;
// As everybody has it who says nothing, unlike the other tests.
const USUAL = { reconnectInterval: 2000, reconnectMax: 30_000 };

/** A client that notes when it lost its node, and for how long. */
function watched(t, url, options) {
  const { client } = makeClient(t, url, { subprotocol: "webwire-channels/1", ...options });
  const away = { connected: false, since: null, lost: [], longest: 0 };
  client.on("status", (status) => {
    if (status === "disconnected" && away.connected && away.since === null) {
      away.since = performance.now();
      away.lost.push(away.since);
    } else if (status === "connected") {
      if (away.since !== null) away.longest = Math.max(away.longest, performance.now() - away.since);
      away.connected = true;
      away.since = null;
    }
  });
  return { client, away };
}

/** Follows the channel from before its first message. */
async function follower(t, url) {
  const one = { ...watched(t, url, USUAL), heard: [], faults: [] };
  await one.client.connect();
  const note = (what) => one.faults.push(`${what}`);
  follow(one.client, CHANNEL, { message: (text) => one.heard.push(text), gap: note, failed: note });
  // Requests of a connection are answered in their order: it is subscribed now.
  await one.client.request(`presence:${CHANNEL}`);
  return one;
}

/** Publishes until told to end; `acknowledged` in their order. One without an
 * answer may be there or not. */
function publisher(t, url, name) {
  const { client, away } = watched(t, url);
  const one = { away, acknowledged: [], unanswered: [], talking: true };
  one.done = (async () => {
    await client.connect();
    for (let i = 0; one.talking; i++) {
      const text = `${name} ${i}`;
      await client.request(`pub:${CHANNEL}`, text).then(
        () => one.acknowledged.push(text),
        () => one.unanswered.push(text),
      );
      await pause(EVERY_MS);
    }
    return client;
  })();
  return one;
}

async function restartAll(cluster, followers, publishers) {
  const spreads = [];
  for (const node of cluster.nodes) {
    const before = publishers[0].acknowledged.length;
    await until(() => publishers[0].acknowledged.length > before + 10, { what: "the talk goes on" });
    const since = performance.now();
    const exit = await node.kill("SIGTERM");
    assert.deepEqual(exit, { code: 0, signal: null }, node.program.tail());
    const lost = followers.flatMap(({ away }) => away.lost.filter((at) => at >= since));
    assert.ok(lost.length > 0, `${node.name} had nobody`);
    spreads.push(Math.max(...lost) - Math.min(...lost));
    await node.start();
  }
  return spreads;
}

/** What was acknowledged is there once, in its publisher's order; beside it only
 * what was not answered. */
function checkHeard(heard, publishers) {
  assert.equal(new Set(heard).size, heard.length, "nothing twice");
  for (const { acknowledged, unanswered } of publishers) {
    const known = new Set([...acknowledged, ...unanswered]);
    const doubtful = new Set(unanswered);
    const own = heard.filter((text) => known.has(text) && !doubtful.has(text));
    assert.deepEqual(own, acknowledged, "all that was acknowledged, in its order");
  }
}

/** `balance(ports)` starts the balancer: {url}. */
export async function pacedRolling(t, balance) {
  const args = ["--drain-time", `${DRAIN_S}`, "--admin", "off"];
  const cluster = await startCluster(t, { nodes: 3, haproxy: false, program: "webwired", args });
  const { url } = await balance(cluster.nodes.map(({ port }) => port));
  const followers = await Promise.all(Array.from({ length: FOLLOWERS }, () => follower(t, url)));
  const publishers = Array.from({ length: PUBLISHERS }, (_, i) => publisher(t, url, `p${i}`));

  const allowed = watchLateness();
  const spreads = await restartAll(cluster, followers, publishers);
  for (const one of publishers) one.talking = false;
  const [last] = await Promise.all(publishers.map(({ done }) => done));
  await last.request(`pub:${CHANNEL}`, "end");
  for (const { heard } of followers) {
    await until(() => heard.at(-1) === "end", { what: "everybody hears the end" });
  }

  const [first] = followers;
  for (const { heard, faults } of followers) {
    assert.deepEqual(faults, []);
    assert.deepEqual(heard, first.heard, "everybody heard the same");
  }
  checkHeard(first.heard.slice(0, -1), publishers);
  const { messages } = (await last.request(`history:${CHANNEL}`)).json();
  assert.deepEqual(
    messages.map(({ payload }) => payload),
    first.heard.slice(-messages.length),
    "the log has the same",
  );

  const all = [...followers, ...publishers];
  const moved = followers.reduce((sum, { away }) => sum + away.lost.length, 0);
  const longest = Math.max(...all.map(({ away }) => away.longest));
  assert.ok(moved >= FOLLOWERS, `${moved} moved: every node had its followers moved once`);
  assert.ok(longest < allowed(LONGEST_AWAY_MS), `without a node for ${longest} ms`);
  // Not all at once: a quarter of the drain; a crowded machine may add to it, not take.
  assert.ok(Math.max(...spreads) > DRAIN_S * 250, `drained within ${spreads} ms`);
  const count = (key) => publishers.reduce((sum, one) => sum + one[key].length, 0);
  t.diagnostic(
    `${count("acknowledged")} acknowledged, ${count("unanswered")} unanswered, ` +
      `heard by ${FOLLOWERS}, ${moved} moved over ${spreads.map(Math.round)} ms, ` +
      `longest without a node ${Math.round(longest)} ms`,
  );
  await cluster.stop();
}
