/** Somebody with the chat page in front of them, who finds things by what they
 * are called, as a person (or a screen reader) does. */
import assert from "node:assert/strict";

import { until } from "./until.mjs";

/* Whatever breaks a connection on purpose, Chromium reports as an error. */
const BROKEN_CONNECTION = /WebSocket connection to .* failed|net::ERR_/;

const STATUS = "data-status: ";

/* Runs in the page, before anything of the page. */
function watch(prefix) {
  document.addEventListener("securitypolicyviolation", (event) => {
    console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
  });
  const tell = () => console.debug(prefix + document.documentElement.dataset.status);
  const what = { subtree: true, attributeFilter: ["data-status"] };
  new MutationObserver(tell).observe(document, what);
}

/* In the page: the messages that it shows. */
function readMessages(items) {
  return items.map((item) => ({
    user: item.dataset.user,
    state: item.dataset.state,
    own: "own" in item.dataset,
    text: item.querySelector(".text").textContent,
  }));
}

export class Person {
  #console = [];
  #complaints = [];
  /** Every state that the page was in, in order. */
  statuses = [];

  constructor(name, page) {
    this.name = name;
    this.page = page;
    page.on("pageerror", (error) => this.#complaints.push(`pageerror: ${error.stack}`));
    page.on("crash", () => this.#complaints.push("crash"));
    page.on("dialog", (dialog) => this.#complaints.push(`dialog: ${dialog.message()}`));
    page.on("console", (message) => this.#heard(message));
    this.watched = page.addInitScript(watch, STATUS);

    this.log = page.getByRole("log", { name: "Messages" });
    this.box = page.getByRole("textbox", { name: "Message", exact: true });
    this.items = page.locator("li.message");
  }

  #heard(message) {
    const text = `${message.type()}: ${message.text()}`;
    const status = message.text().split(STATUS)[1];
    if (status && status !== this.statuses.at(-1)) this.statuses.push(status);
    this.#console.push(text);
    const isBad = message.type() === "error" || message.type() === "warning";
    if (isBad && !BROKEN_CONNECTION.test(text)) this.#complaints.push(text);
  }

  button(name, within = this.page) {
    return within.getByRole("button", { name, exact: true });
  }
  get dialog() {
    return this.page.getByRole("dialog", { name: "Sign in" });
  }

  /* --- What the page says ------------------------------------------------- */

  data(name) {
    return this.page.locator("html").getAttribute(`data-${name}`);
  }
  async online() {
    await until(async () => (await this.data("status")) === "online" && (await this.data("node")), {
      what: `${this.name} is online`,
    });
  }
  /** The name of the node one is on. */
  async node() {
    await this.online();
    return this.data("node");
  }
  async status(status) {
    await until(async () => (await this.data("status")) === status, {
      what: `${this.name} is ${status}`,
    });
  }
  /** Until the page has `name` as who is signed in; null: nobody. */
  async known(name) {
    await this.page.bringToFront(); // a tab that nobody looks at is drawn later
    await until(async () => (await this.data("user")) === name, {
      what: `${this.name} is ${name ?? "nobody"} to the page`,
    });
  }

  /** {user, text, state, own} of each message, in the page's order. */
  messages() {
    return this.items.evaluateAll(readMessages);
  }
  async texts() {
    return (await this.messages()).map(({ text }) => text);
  }
  /** Until the message is shown as being in the room. */
  async sees(text) {
    const isIt = (message) => message.text === text && message.state === "acknowledged";
    return until(async () => (await this.messages()).find(isIt), {
      what: `${this.name} sees "${text}"`,
    });
  }

  /* --- What a person does --------------------------------------------------- */

  async say(text) {
    await this.box.fill(text);
    await this.box.press("Enter");
  }

  async signIn(name, pass) {
    await this.page.bringToFront();
    await this.button("Sign in").first().click();
    await this.dialog.getByLabel("Name").fill(name);
    await this.dialog.getByLabel("Password").fill(pass);
    await this.button("Sign in", this.dialog).click();
    await this.known(name);
    await this.dialog.waitFor({ state: "hidden" });
  }

  async signOut() {
    await this.page.bringToFront();
    await this.button("Sign out").click();
    await this.known(null);
  }

  /* --- Evidence --------------------------------------------------------------- */

  /** What went wrong in the page so far, once. */
  takeComplaints() {
    return this.#complaints.splice(0);
  }
  assertNoComplaints() {
    assert.deepEqual(this.#complaints, [], `${this.name}'s page complained`);
  }

  async story() {
    const html = await this.page.content().catch((error) => error.message);
    return [...this.#complaints, "--- console", ...this.#console, "--- page", html, ""].join("\n");
  }
}
