/** The client and webwired: the sub-protocol as docs/channels.md shows it. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { utf16 } from "../../../client/js/webwire.js";
import { follow } from "../../../examples/channels/follow.mjs";
import { until } from "../lib/until.mjs";
import { subprotocol, webwired } from "../lib/webwired.mjs";
import { WebSocket, makeClient, rejects } from "../client/kit.mjs";

test("webwired: requests, replies and deliveries", async (t) => {
  const server = await webwired(t, 'channels = { namespaces = ( { prefix = "no:"; publish = "nobody"; } ); };');
  const { client, seen } = makeClient(t, server.url, { subprotocol });
  const place = (await client.request("sub:a")).json();
  assert.deepEqual(place, { epoch: place.epoch, offset: 0, messages: [], more: false });
  for (const [i, payload] of ["text \u{1f600}", utf16("wide"), Uint8Array.of(0, 255)].entries()) {
    const reply = (await client.request("pub:a", payload)).json();
    assert.equal(reply.offset, i + 1);
    const [, signal] = await seen("signal");
    assert.equal(signal.name, "a");
    if (payload instanceof Uint8Array) assert.deepEqual(signal.payload.bytes, payload);
    else assert.equal(signal.payload.text, payload.text ?? payload);
  }
  const { messages } = (await client.request("history:a", '{"count":3}')).json();
  assert.deepEqual(
    messages.map((one) => [one.offset, one.encoding, one.payload]),
    [
      [1, "utf8", "text \u{1f600}"],
      [2, "utf16", "wide"],
      [3, "binary", "AP8="],
    ],
  );
  assert.deepEqual((await client.request("presence:a")).json(), { subscribers: 1 });
  await rejects(client.request("pub:no:x", "x"), "request", { code: "NOT_PERMITTED" });
  await rejects(client.request("sub:!x"), "request", { code: "BAD_CHANNEL" });
  await client.signal("pub:a", "one way");
  assert.equal((await seen("signal"))[1].payload.text, "one way");
  assert.deepEqual((await client.request("unsub:a")).json(), {});
});

test("webwired: another sub-protocol is no server for the client", async (t) => {
  const server = await webwired(t);
  const { client } = makeClient(t, server.url, { subprotocol: "chat" });
  await rejects(client.connect(), "subprotocol-mismatch");
});

/** What somebody who follows the channel has got. */
function listener(t, client, channel) {
  const heard = [];
  const lost = [];
  const end = follow(client, channel, {
    message: (text) => heard.push(text),
    gap: (what) => lost.push(what),
    failed: (error) => lost.push(error),
  });
  return { heard, lost, end };
}

test("webwired: nothing is missed or repeated when connections break", async (t) => {
  const server = await webwired(t);
  const speaker = makeClient(t, server.url, { subprotocol });
  // Between the listener and the node stands what breaks its connections.
  const { client, events } = makeClient(t, server.url, { subprotocol, WebSocket: breakable() });
  const { heard, lost } = listener(t, client, "talk");
  await until(() => client.status === "connected", { what: "connected" });
  await client.request("presence:talk"); // behind the subscription
  const said = [];
  const connects = () => events.filter(([type, first]) => type === "status" && first === "connected").length;
  let breaks = 0;
  for (let i = 0; i < 400; i++) {
    if (i % 40 === 20) {
      // Since the last break, not still: the end of a connection takes its time.
      await until(() => connects() > breaks, { what: "connected again" });
      breakable.last.close();
      breaks++;
    }
    said.push(`${i}`);
    await speaker.client.request("pub:talk", `${i}`);
  }
  await until(() => heard.length >= said.length, { what: "all is heard" });
  assert.deepEqual(heard, said);
  assert.deepEqual(lost, []);
  await until(() => connects() > breaks, { what: "connected after the last" });
  assert.equal(connects(), 11);
});

/** The kit's WebSocket, but the last one is known. */
function breakable() {
  return class extends WebSocket {
    constructor(...args) {
      super(...args);
      breakable.last = this;
    }
  };
}

test("webwired: what the log has forgotten meanwhile is said", async (t) => {
  const server = await webwired(t, "channels = { log-entries = 5; };");
  const speaker = makeClient(t, server.url, { subprotocol });
  const { client } = makeClient(t, server.url, { subprotocol });
  const { heard, lost } = listener(t, client, "short");
  await until(() => client.status === "connected", { what: "connected" });
  await speaker.client.request("pub:short", "first");
  await until(() => heard.length === 1, { what: "the first is heard" });
  client.close();
  for (let i = 0; i < 9; i++) await speaker.client.request("pub:short", `${i}`);
  await client.connect();
  await until(() => heard.length === 6, { what: "what is left is heard" });
  await speaker.client.request("pub:short", "last");
  await until(() => heard.length === 7, { what: "the last is heard" });
  assert.deepEqual(heard, ["first", "4", "5", "6", "7", "8", "last"]);
  assert.equal(lost.length, 1);
});
