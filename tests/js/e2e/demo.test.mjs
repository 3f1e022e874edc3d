/** What a new user does: runs deploy/demo.sh, opens the address twice, chats,
 * kills a node, and goes on chatting. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { e2e } from "../lib/browser.mjs";
import { binDir, launch } from "../lib/programs.mjs";
import { until } from "../lib/until.mjs";

const DEMO = fileURLToPath(new URL("../../../deploy/demo.sh", import.meta.url));

async function startDemo(t) {
  const program = launch(t, DEMO, ["--nodes", "2", "--bin", binDir()]);
  const address = () => /\b\w+:\/\/(127\.0\.0\.1:\d+)\b.*\n[^]*\nCommands/.exec(program.stdout);
  await program.ready(address);
  const stop = async () => {
    const { code } = await program.kill("SIGINT");
    assert.equal(code, 0, program.tail());
  };
  return { http: `http://${address()[1]}`, program, stop, tail: () => program.tail() };
}

e2e("the demonstration: open it twice, kill a node, go on", { start: startDemo }, async (stage) => {
  const { program } = stage.cluster;
  const ann = await stage.join("ann", { as: "Frodo" });
  const bob = await stage.join("bob");
  const said = [];
  const talk = async (when) => {
    for (const [from, to] of [[ann, bob], [bob, ann]]) {
      said.push(`${from.name}, ${when}`);
      await from.say(said.at(-1));
      await to.sees(said.at(-1));
    }
  };
  await talk("before");
  const nodes = [await ann.node(), await bob.node()];
  program.signal("SIGUSR1");
  const killed = await until(() => /killed (node-\d)/.exec(program.stdout)?.[1]);
  const isElsewhere = (person, i) => nodes[i] !== killed || person.statuses.includes("reconnecting");
  await until(() => [ann, bob].every(isElsewhere), { what: "the one there has noticed" });
  await talk("afterwards");
  for (const person of [ann, bob]) {
    assert.notEqual(await person.node(), killed);
    assert.deepEqual(await person.texts(), said);
  }
  assert.equal(await ann.data("user"), "Frodo");
});
