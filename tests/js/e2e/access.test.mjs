/** The page for everybody: by keyboard, by ear, on a phone, in the dark. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { e2e } from "../lib/browser.mjs";
import { until } from "../lib/until.mjs";

const DESKTOP = { width: 1100, height: 760 };
const PHONE = { width: 390, height: 780 };

/* --- By keyboard ------------------------------------------------------------ */

/* Tab until what has the focus is called `name`. */
async function tabTo(person, role, name) {
  const wanted = person.page.getByRole(role, { name, exact: true });
  for (let i = 0; i < 30; i++) {
    const focused = wanted.and(person.page.locator(":focus"));
    if ((await focused.count()) > 0) return;
    await person.page.keyboard.press("Tab");
  }
  assert.fail(`no way by Tab to the ${role} "${name}"`);
}

e2e("everything can be done by keyboard", { nodes: 1 }, async (stage) => {
  const ann = await stage.join("ann");
  const { keyboard } = ann.page;
  await tabTo(ann, "button", "Sign in");
  await keyboard.press("Enter");
  await ann.dialog.waitFor();
  await keyboard.press("Escape");
  await ann.dialog.waitFor({ state: "hidden" });
  await tabTo(ann, "button", "Sign in");
  await keyboard.press("Enter");
  await tabTo(ann, "textbox", "Name");
  await keyboard.type("Frodo");
  await tabTo(ann, "textbox", "Password");
  await keyboard.type("frodo1234");
  await keyboard.press("Enter");
  await ann.known("Frodo");

  await tabTo(ann, "textbox", "Message");
  await keyboard.type("first line");
  await keyboard.press("Shift+Enter");
  await keyboard.type("second line");
  await keyboard.press("Enter");
  await ann.sees("first line\nsecond line");
  await keyboard.type("and another"); // the focus stayed
  await keyboard.press("Enter");
  await ann.sees("and another");

  await tabTo(ann, "button", "Sign out");
  await keyboard.press("Enter");
  await ann.known(null);
});

/* --- By ear ------------------------------------------------------------------- */

/* The accessibility tree as the browser gives it to a screen reader. */
async function heard(person) {
  const session = await person.page.context().newCDPSession(person.page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  return nodes
    .filter(({ ignored }) => !ignored)
    .map(({ role, name, properties = [] }) => ({
      role: role?.value,
      name: name?.value ?? "",
      ...Object.fromEntries(properties.map((one) => [one.name, one.value.value])),
    }));
}

e2e("a screen reader finds its way", { nodes: 1 }, async (stage) => {
  const ann = await stage.join("ann", { as: "Frodo" });
  const bob = await stage.join("bob");
  await bob.say("can you hear me?");
  await ann.sees("can you hear me?");
  const live = ann.page.locator("[aria-live=polite], [role=status], [role=log]:not([aria-live])");
  const isAnnounced = (texts) => texts.some((text) => text.includes("can you hear me?"));
  await until(async () => isAnnounced(await live.allTextContents()), { what: "it is announced" });

  const tree = await heard(ann);
  const find = (role, name) => tree.find((node) => node.role === role && name.test(node.name));
  for (const [role, name] of [
    ["RootWebArea", /chat room/i],
    ["heading", /chat room/i],
    ["main", /^/],
    ["log", /^Messages$/],
    ["textbox", /^Message$/],
    ["button", /^Send$/],
    ["button", /^Sign out$/],
    ["list", /^Who is here$/],
    ["status", /^/],
  ]) {
    assert.ok(find(role, name), `no ${role} ${name} in ${JSON.stringify(tree)}`);
  }
  const unnamed = tree.filter(({ role, name }) => /^(button|textbox|link|dialog)$/.test(role) && !name);
  assert.deepEqual(unnamed, []);
  assert.ok(tree.some(({ live: how }) => how === "polite"), "a live region");
  assert.equal(await ann.page.locator("html").getAttribute("lang"), "en");
});

/* --- By eye --------------------------------------------------------------------- */

/* In the page: the smallest contrast (WCAG 2) between a text of ours and what is
 * behind it. */
function lowestContrast(selectors) {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const layer = (color) => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
  };
  const brightness = () => {
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((byte) => {
      const part = byte / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrastOf = (element) => {
    const behind = [];
    for (let one = element; one; one = one.parentElement) {
      behind.unshift(getComputedStyle(one).backgroundColor);
    }
    layer("Canvas");
    behind.forEach(layer);
    const back = brightness();
    layer(getComputedStyle(element).color);
    const front = brightness();
    return (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
  };
  const shown = selectors.flatMap((selector) => [...document.querySelectorAll(selector)]);
  const all = shown.filter((one) => one.checkVisibility() && one.textContent.trim() !== "");
  const contrasts = all.map((one) => ({ what: `${one.tagName}.${one.className}`, contrast: contrastOf(one) }));
  return contrasts.sort((a, b) => a.contrast - b.contrast)[0];
}
const TEXTS = ["h1", "h2", "#status", ".text", ".author", ".byline time", "button", "li.day time"];

/* In the page: what sticks out of it to the right, be it cut off or not. */
function stickingOut() {
  const { scrollWidth, clientWidth } = document.documentElement;
  const shown = [...document.querySelectorAll("header *, main *")].filter((one) => one.checkVisibility());
  const wide = shown.filter((one) => one.getBoundingClientRect().right > clientWidth + 1);
  const names = wide.map((one) => `${one.tagName}.${one.getAttribute("class")}`);
  return scrollWidth > clientWidth ? ["the page", ...names] : names;
}

function background() {
  return getComputedStyle(document.body).backgroundColor;
}

const LONG_WORD = "a-word-without-an-end".repeat(12);
const TALK = [
  ["Frodo", "Good morning! Is anybody else up already?"],
  ["Galadriel", "I am. I came in by the other node, and your words are here all the same."],
  ["Frodo", "Somebody pulled the plug of mine while I was typing."],
  ["Frodo", "The page took me to another one, and nothing was lost."],
  ["Galadriel", "I noticed nothing at all. 🙂"],
  ["Galadriel", "Shall we restart Redis next?"],
  ["Frodo", "Go ahead. What we write meanwhile arrives afterwards, once and in order."],
];

async function talk(people) {
  for (const [name, text] of TALK) {
    await people.find((person) => person.name === name).say(text);
    for (const person of people) await person.sees(text);
  }
}

/* A picture for the README, when one is asked for. */
async function picture(person, name) {
  const dir = process.env.WWR_SCREENSHOTS;
  if (!dir) return;
  await mkdir(dir, { recursive: true });
  await person.page.mouse.move(0, 0);
  await person.page.screenshot({ path: join(dir, `${name}.png`), animations: "disabled" });
}

e2e("it can be read in light and dark, on a desk and on a phone", async (stage) => {
  const light = { viewport: DESKTOP, colorScheme: "light" };
  const dark = { viewport: DESKTOP, colorScheme: "dark" };
  const phone = { viewport: PHONE, isMobile: true, hasTouch: true, deviceScaleFactor: 1.5 };
  const people = [
    await stage.join("Frodo", { as: "Frodo", ...light }),
    await stage.join("Galadriel", { as: "Galadriel", ...dark }),
  ];
  await talk(people);
  await picture(people[0], "chat-light");
  await picture(people[1], "chat-dark");
  people.push(await stage.join("phone", { as: "Samweis", ...phone, colorScheme: "light" }));
  people.push(await stage.join("night", { as: "Gimli", ...phone, colorScheme: "dark" }));
  await picture(people[2], "chat-phone");
  await people[0].say(LONG_WORD);
  for (const person of people) {
    await person.sees(LONG_WORD);
    assert.deepEqual(await person.page.evaluate(stickingOut), [], `too wide for ${person.name}`);
    const worst = await person.page.evaluate(lowestContrast, TEXTS);
    assert.ok(worst.contrast >= 4.5, `${person.name}: ${JSON.stringify(worst)}`);
    for (const part of [person.box, person.button("Send"), person.items.last()]) {
      assert.ok(await part.isVisible());
    }
  }
  const [day, night] = [await people[0].page.evaluate(background), await people[1].page.evaluate(background)];
  assert.notEqual(day, night);
});
