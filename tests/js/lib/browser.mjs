/** A headless Chromium, and tests in it. What a page complained about, and how
 * it looked, is kept when a test fails. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Client } from "../../../client/js/webwire.js";
import { clusterMissing, startCluster } from "./cluster.mjs";
import { load, WebSocket } from "./packages.mjs";
import { Person } from "./person.mjs";
import { run, skipFile } from "./programs.mjs";
import { PATIENCE } from "./until.mjs";

const CHROMIUM = fileURLToPath(new URL("chromium.sh", import.meta.url));
const FLAGS = [
  "--no-sandbox", // the tests run as root
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];
const TEST_LIMIT = 100_000;
const SUBPROTOCOL = "chatroom-example-protocol";

async function missing() {
  const { code } = await run(CHROMIUM, ["--version"]);
  return code === 0 ? clusterMissing() : "no chromium";
}

/** What a test gets: a cluster of its own, and browsers of nobody else. */
class Stage {
  people = [];
  #contexts = [];
  #clients = new Map();

  constructor(t, cluster) {
    this.t = t;
    this.cluster = cluster;
    t.after(() => this.leave());
  }

  /** Everybody closes their browser. */
  async leave() {
    await Promise.all(this.#contexts.splice(0).map((context) => context.close()));
  }

  /** A client without a page, at node `i`; always the same one. */
  client(i = 0) {
    if (this.#clients.has(i)) return this.#clients.get(i);
    const client = new Client(this.cluster.nodes[i].url, { subprotocol: SUBPROTOCOL, WebSocket });
    this.#clients.set(i, client);
    this.t.after(() => client.close());
    return client;
  }

  /** The texts that the room's log holds: what anybody has said, as often as it
   * was said (pages leave out what they have already). */
  async log(i = 0) {
    const history = await this.client(i).request("history", "256");
    return history.json().map(({ msg }) => msg);
  }

  /** A browser of somebody's own (cookies, storage), with options as
   * browser.newContext() has them. */
  async context(options = {}) {
    const context = await browser.newContext({ viewport: { width: 1100, height: 760 }, ...options });
    this.#contexts.push(context);
    context.setDefaultTimeout(PATIENCE);
    return context;
  }

  /** A tab with the chat page: of `context`, or of a new browser. `at` is where
   * to look for it; does not wait for more than the page. */
  async visit(name, { context, at = this.cluster.http, ...options } = {}) {
    const person = new Person(name, await (context ?? (await this.context(options))).newPage());
    this.people.push(person);
    await person.watched;
    await person.page.goto(`${at}/`);
    return person;
  }

  /** The same, and they have joined; signed in when `as` is a demonstration
   * account. */
  async join(name, { as, ...options } = {}) {
    const person = await this.visit(name, options);
    await person.online();
    if (as) await person.signIn(as, `${as.toLowerCase()}1234`);
    return person;
  }

  /** For the failure's text: where everyone's picture and console are. */
  async keepEvidence() {
    const dir = process.env.WWR_JS_OUT ?? "js-out";
    const base = join(dir, this.t.name.replace(/\W+/g, "-"));
    await mkdir(dir, { recursive: true });
    await writeFile(`${base}.cluster.txt`, this.cluster.tail());
    for (const person of this.people) {
      const file = `${base}.${person.name}`;
      await writeFile(`${file}.txt`, await person.story());
      await person.page.screenshot({ path: `${file}.png`, timeout: 5000 }).catch(() => {});
    }
    return `pictures and consoles: ${base}.*`;
  }
}

skipFile(await missing());

const browser = await load("playwright-core").chromium.launch({
  executablePath: CHROMIUM,
  args: FLAGS,
});
after(() => browser.close());

/** A test with a browser and a cluster, as `options` are for startCluster(); or
 * with what `options.start(t)` gives, which has `http`, tail() and stop(). `body`
 * gets the Stage. It fails as well when a page met an error or a violation of its
 * Content-Security-Policy, or when a node does not end well. */
export function e2e(name, options, body = options) {
  test(name, { timeout: TEST_LIMIT }, async (t) => {
    const { start = startCluster, ...rest } = options === body ? {} : options;
    const cluster = await start(t, rest);
    const stage = new Stage(t, cluster);
    try {
      await body(stage);
      for (const person of stage.people) person.assertNoComplaints();
    } catch (error) {
      console.log(await stage.keepEvidence());
      throw error;
    }
    await stage.leave();
    await cluster.stop();
  });
}
