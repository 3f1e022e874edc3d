/** What people notice when something breaks: as little as possible. */
import assert from "node:assert/strict";

import { e2e } from "../lib/browser.mjs";
import { until } from "../lib/until.mjs";

/* Nobody else may notice, be a browser of a busy machine silent for three seconds
 * or Redis away for ten. */
const patient = { args: ["--read-timeout", "20", "--hold", "30", "--lease", "60"] };

/* Everything that was said is in the room, as far as the page knows. */
async function settled(person, count) {
  const isDone = (messages) =>
    messages.length === count && messages.every(({ state }) => state === "acknowledged");
  await until(async () => isDone(await person.messages()), {
    what: `${count} acknowledged messages at ${person.name}`,
  });
  return person.texts();
}

/* The page has drawn what waits there. */
async function waiting(person, isIt) {
  const find = async () => (await person.messages()).find((it) => it.state === "pending" && isIt(it));
  await until(find, { what: `a message that waits at ${person.name}` });
}

e2e("a node is killed while its person types and sends", patient, async (stage) => {
  const { cluster } = stage;
  const ann = await stage.join("ann", { as: "Frodo" });
  const bob = await stage.join("bob");
  const here = await ann.node();
  assert.notEqual(here, await bob.node());

  const said = [];
  const say = (text) => ann.say(said[said.push(text) - 1]);
  for (let i = 0; i < 5; i++) await say(`before ${i}`);
  cluster.node(here).pause(); // so that what is sent now is never answered
  for (let i = 0; i < 5; i++) await say(`during ${i}`);
  await ann.box.pressSequentially("half a sen");
  await cluster.node(here).kill();
  await until(async () => (await ann.node()) !== here, { what: "ann is on the other node" });
  await ann.box.pressSequentially("tence");
  assert.equal(await ann.box.inputValue(), "half a sentence");
  await ann.box.press("Enter");
  said.push("half a sentence");

  await bob.sees("half a sentence");
  assert.deepEqual(await bob.texts(), said);
  assert.deepEqual(await settled(ann, said.length), said);
  assert.ok((await bob.messages()).every(({ user }) => user === "Frodo"));
  assert.deepEqual(bob.statuses.filter((status) => status !== "connecting"), ["online"]);
  assert.deepEqual(await (await stage.join("newcomer")).texts(), said);
  assert.deepEqual(await stage.log(cluster.nodes.indexOf(cluster.node(await ann.node()))), said);
});

/* Between ann's page and the server, until `text` was sent: from then on nothing
 * comes back, and once the room has it the connection breaks. */
async function loseAnswersTo(stage, person, text) {
  const isSaid = async () => (await stage.log()).includes(text);
  await person.page.routeWebSocket("**/join", (socket) => {
    const server = socket.connectToServer();
    let lost = false;
    socket.onMessage((message) => {
      server.send(message);
      if (lost || !Buffer.from(message).includes(text)) return;
      lost = true;
      until(isSaid).then(() => socket.close({ code: 1001 }));
    });
    server.onMessage((message) => lost || socket.send(message));
  });
}

e2e("an answer is lost on its way: nothing is said twice", async (stage) => {
  const ann = await stage.visit("ann");
  const bob = await stage.join("bob");
  await loseAnswersTo(stage, ann, "said and not answered");
  await ann.page.reload();
  await ann.online();
  const said = ["before", "said and not answered", "after"];
  for (const text of said) await ann.say(text);
  assert.deepEqual(await settled(ann, 3), said);
  assert.deepEqual(await settled(bob, 3), said);
  assert.deepEqual(await stage.log(), said);
  assert.ok(ann.statuses.includes("reconnecting"));
});

e2e("Redis is killed amid messages and comes back with its data", patient, async (stage) => {
  const { redis } = stage.cluster;
  const people = [await stage.join("ann", { as: "Frodo" }), await stage.join("bob")];
  const said = [];
  const both = async (when) => {
    for (let i = 0; i < 4; i++) {
      for (const person of people) {
        const text = `${person.name}, ${when} ${i}`;
        said.push(text);
        await person.say(text);
      }
    }
  };
  await both("before");
  await redis.kill();
  await both("while it is away");
  const [ann] = people;
  await waiting(ann, () => true);
  await redis.start();
  await both("after");

  const order = await settled(ann, said.length);
  assert.deepEqual([...order].sort(), [...said].sort());
  for (const person of people) {
    assert.deepEqual(await settled(person, said.length), order);
    const own = (texts) => texts.filter((text) => text.startsWith(person.name));
    assert.deepEqual(own(order), own(said));
    assert.deepEqual(person.statuses.filter((status) => status !== "connecting"), ["online"]);
    assert.equal(await person.page.locator("li.gap").count(), 0);
  }
  assert.deepEqual(await (await stage.join("newcomer")).texts(), order);
  assert.deepEqual(await stage.log(), order);
});

e2e("a browser goes offline and comes back by itself", async (stage) => {
  const ann = await stage.join("ann", { as: "Frodo" });
  const bob = await stage.join("bob");
  await ann.say("still here");
  await bob.sees("still here");

  const { cluster } = stage;
  const here = await ann.node();
  assert.notEqual(here, await bob.node());
  await ann.page.context().setOffline(true); /* leaves what is open as it is */
  await cluster.cut(cluster.nodes.indexOf(cluster.node(here)));
  await ann.status("offline");
  await bob.say("missed");
  await bob.sees("missed");
  await ann.say("from the tunnel");
  await waiting(ann, ({ text }) => text === "from the tunnel");
  const words = await ann.page.getByRole("status").first().textContent();
  assert.match(words, /offline/i);
  assert.equal(await ann.page.getByRole("alert").filter({ hasText: /\w/ }).count(), 0);

  await ann.page.context().setOffline(false);
  const said = ["still here", "missed", "from the tunnel"];
  assert.deepEqual(await settled(ann, 3), said);
  await ann.online();
  assert.equal(await ann.data("user"), "Frodo");
  await bob.sees("from the tunnel");
  assert.deepEqual(await bob.texts(), said);
});
