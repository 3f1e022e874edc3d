/** 5,000 messages: what is rendered stays bounded, and typing goes on. */
import assert from "node:assert/strict";

import { e2e } from "../lib/browser.mjs";
import { within } from "../lib/until.mjs";

const MESSAGES = 5000;
const IN_FLIGHT = 32;
const MOST_SHOWN = 500;
/* Milliseconds until a key is seen. Generous: two cores with ten others on them
 * took 900 meanwhile and 50 afterwards. */
const LONGEST_MEANWHILE = 8000;
const LONGEST_AFTERWARDS = 3000;
const DRAFT = "typed while others talk";

/* Several at a time, as many people would. */
async function talk(client) {
  let next = 0;
  const speak = async () => {
    while (next < MESSAGES) await client.request("msg", `message ${next++}`);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, speak));
  await client.request("msg", "the last one");
}

/** Type `text`; the longest time from a key to its being seen. */
async function type(person, text) {
  let longest = 0;
  for (let i = 1; i <= text.length; i++) {
    const begun = performance.now();
    await person.box.press(text[i - 1] === " " ? "Space" : text[i - 1]);
    const typed = text.slice(0, i);
    await person.page.waitForFunction(
      (wanted) => document.querySelector("#message").value === wanted,
      typed,
      { polling: "raf", timeout: 2 * LONGEST_MEANWHILE },
    );
    longest = Math.max(longest, performance.now() - begun);
  }
  return Math.round(longest);
}

e2e("5,000 messages do not slow the page", { haproxy: false }, async (stage) => {
  const { t, cluster } = stage;
  const ann = await stage.join("ann", { at: cluster.nodes[0].http });
  const begun = performance.now();
  const talking = talk(stage.client(1));
  const during = await type(ann, DRAFT);
  await within(talking, 60_000, "5,000 messages are said");
  const said = performance.now() - begun;
  await ann.sees("the last one");
  const shown = performance.now() - begun;

  const texts = await ann.texts();
  assert.ok(texts.length <= MOST_SHOWN, `${texts.length} messages are rendered`);
  assert.equal(texts.at(-1), "the last one");
  assert.equal(new Set(texts).size, texts.length);
  assert.ok(await ann.items.last().isVisible());
  await ann.box.fill("");
  const afterwards = await type(ann, DRAFT);
  t.diagnostic(`said in ${Math.round(said)} ms, shown after ${Math.round(shown)} ms; ` +
    `a key takes ${during} ms meanwhile, ${afterwards} ms afterwards, at most`);
  assert.ok(during < LONGEST_MEANWHILE, `${during} ms`);
  assert.ok(afterwards < LONGEST_AFTERWARDS, `${afterwards} ms`);

  await ann.box.press("Enter");
  assert.equal((await ann.sees(DRAFT)).own, true);
});
