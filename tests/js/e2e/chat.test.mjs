/** Talking, names, sessions. */
import assert from "node:assert/strict";

import { e2e } from "../lib/browser.mjs";
import { until } from "../lib/until.mjs";

e2e("two people on two nodes talk", async (stage) => {
  const ann = await stage.join("ann", { as: "Galadriel" });
  const bob = await stage.join("bob");
  const nodes = [await ann.node(), await bob.node()].sort();
  assert.deepEqual(nodes, ["node-1", "node-2"]);

  await ann.say("hello from here");
  const heard = await bob.sees("hello from here");
  assert.equal(heard.user, "Galadriel");
  assert.equal(heard.own, false);
  await bob.say("and hello back\nin two lines");
  assert.equal((await ann.sees("and hello back\nin two lines")).user, "Anonymous");

  for (const person of [ann, bob]) {
    assert.deepEqual(await person.texts(), ["hello from here", "and hello back\nin two lines"]);
    await person.page.locator("#people [data-person=Galadriel]").waitFor();
  }
  assert.deepEqual((await bob.messages()).map(({ own }) => own), [false, true]);

  const newcomer = await stage.join("newcomer");
  assert.deepEqual(await newcomer.texts(), await ann.texts());
});

e2e("who signs in with a wrong password is told kindly, and may try again", async (stage) => {
  const ann = await stage.join("ann");
  await ann.button("Sign in").first().click();
  await ann.dialog.getByLabel("Name").fill("Frodo");
  await ann.dialog.getByLabel("Password").fill("not-his");
  await ann.button("Sign in", ann.dialog).click();
  const told = ann.dialog.locator("#signin-error, #pass-error, #name-error").filter({ hasText: /\w/ });
  await told.first().waitFor();
  const words = await told.first().textContent();
  assert.match(words, /password/i);
  assert.doesNotMatch(words, /error|invalid|denied|WRONG_PASS|[A-Z]_[A-Z]/);
  assert.equal(await ann.data("user"), null);
  assert.equal(await ann.dialog.getByLabel("Name").inputValue(), "Frodo");

  await ann.dialog.getByLabel("Password").fill("frodo1234");
  await ann.dialog.getByLabel("Password").press("Enter");
  await ann.known("Frodo");
});

e2e("a reload keeps the session, also on another node", async (stage) => {
  const { cluster } = stage;
  const ann = await stage.join("ann", { as: "Frodo" });
  await ann.say("before");
  await ann.sees("before");
  await ann.page.reload();
  await ann.known("Frodo");
  await ann.sees("before");

  const here = await ann.node();
  await cluster.node(here).kill();
  await until(async () => (await ann.node()) !== here, { what: "ann is on the other node" });
  await ann.known("Frodo");
  await ann.page.reload();
  await ann.known("Frodo");
  await ann.say("after");
  assert.equal((await ann.sees("after")).user, "Frodo");
  assert.deepEqual(await ann.texts(), ["before", "after"]);
});

e2e("signing out in one tab signs out the other tabs of the session", async (stage) => {
  const context = await stage.context();
  const first = await stage.join("first", { context });
  const second = await stage.join("second", { context });
  const other = await stage.join("other", { as: "Frodo" });
  assert.notEqual(await first.node(), await second.node());

  await first.signIn("Gandalf", "gandalf1234");
  await second.known("Gandalf"); // tabs of one browser share what they know
  await second.signOut();
  await first.known(null);
  await first.button("Sign in").first().waitFor();

  await second.page.evaluate(() => { // an event that gets lost
    addEventListener("storage", (event) => event.stopImmediatePropagation(), true);
  });
  await first.signIn("Gandalf", "gandalf1234");
  await second.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await second.known("Gandalf");
  await second.signOut();
  await first.known(null);
  await first.say("nobody in particular");
  assert.equal((await other.sees("nobody in particular")).user, "Anonymous");

  assert.equal(await other.data("user"), "Frodo");
  await first.page.reload();
  await first.online();
  assert.equal(await first.data("user"), null);
});

const MARKUP = [
  `<img src="x" onerror="alert(1)">`,
  `<script>alert(2)</script>`,
  `</li></ol><h1>out</h1>`,
  `&lt;b&gt; &amp; <b>bold</b>`,
  `javascript:alert(3) https://example.org/"onmouseover="alert(4)`,
  `<svg/onload=alert(5)><iframe srcdoc="<script>alert(6)</script>">`,
];

const NAME = `<img src="x" onerror="alert(7)">Eve`;

e2e("what people write is text, whatever it looks like", { accounts: `${NAME}:pass\n` }, async (stage) => {
  const ann = await stage.join("ann");
  await ann.signIn(NAME, "pass");
  const bob = await stage.join("bob");
  for (const text of MARKUP) {
    await ann.say(text);
    await bob.sees(text);
  }
  for (const person of [ann, bob, await stage.join("newcomer")]) {
    assert.deepEqual(await person.texts(), MARKUP);
    assert.ok((await person.messages()).every(({ user }) => user === NAME));
    assert.equal(await person.log.getByText(NAME, { exact: true }).first().textContent(), NAME);
    const elements = person.page
      .locator("#log, #people")
      .locator("img, script, iframe, h1, b, [onload], [onerror], [onmouseover]");
    assert.equal(await elements.count(), 0);
    const links = await person.log.locator("a").evaluateAll((all) => all.map((one) => one.href));
    assert.ok(links.every((href) => /^https?:/.test(href)), links.join());
  }
});

/* In the page: what its policy forbids, and an error of its own. */
function misbehave() {
  const script = document.createElement("script");
  script.textContent = "document.title = 'taken over'";
  const image = document.createElement("img");
  image.src = "http://127.0.0.2:9/elsewhere.png";
  document.body.append(script, image);
  setTimeout(() => {
    throw new Error("thrown on purpose");
  });
}

e2e("the policy holds, and what goes wrong in a page is noticed", { nodes: 1 }, async (stage) => {
  const ann = await stage.join("ann");
  await ann.page.evaluate(misbehave);
  const complaints = [];
  const isNoticed = (what) => complaints.some((text) => what.test(text));
  await until(() => {
    complaints.push(...ann.takeComplaints());
    return [/CSP: script-src.*inline/, /CSP: img-src.*elsewhere/, /thrown on purpose/].every(isNoticed);
  });
  assert.equal(await ann.page.title(), "Chat room");
  await ann.page.reload(); // the end of its complaints
  await ann.online();
  ann.takeComplaints();
});
