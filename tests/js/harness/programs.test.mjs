import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { WebSocket } from "../lib/packages.mjs";
import { binDir, launch, run, start } from "../lib/programs.mjs";
import { PATIENCE, until, within } from "../lib/until.mjs";

const ACCEPT_CONF = 23;

test("a server starts, greets who connects, and ends in good order", async (t) => {
  const server = await start(t, "echo-server");
  const socket = new WebSocket(server.url);
  const [first] = await within(once(socket, "message"), PATIENCE, "a first message");
  assert.equal(first[0], ACCEPT_CONF);
  assert.equal(first[1], 2, "protocol version");

  const closed = once(socket, "close");
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const [code] = await within(closed, PATIENCE, "a close");
  assert.equal(code, 1001);
});

test("what does not start says why", async (t) => {
  await assert.rejects(start(t, "echo-server", ["--no-such-option"]), /no-such-option/);
  const missing = launch(t, "/no/such/program");
  await assert.rejects(missing.ready(() => false));
});

test("a server that was told to fail is not taken for one that ended well", async (t) => {
  const server = await start(t, "echo-server");
  await server.kill();
  await assert.rejects(server.stop(), /SIGKILL/);
});

test("a program does not outlive a test that is killed", async (t) => {
  const source = `import { start } from ${JSON.stringify(new URL("../lib/programs.mjs", import.meta.url).href)};
    const server = await start({ after() {} }, "echo-server");
    console.log(server.pid);`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => parent.kill("SIGKILL"));
  const [line] = await within(once(parent.stdout, "data"), PATIENCE, "the server's pid");
  const pid = Number(line.toString());
  assert.ok(alive(pid));
  parent.kill("SIGKILL");
  await until(() => !alive(pid), { what: "the server is gone" });
});

// Who collects the dead is not our affair: a zombie is not alive.
function alive(pid) {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("a command's output and status", async () => {
  const { code, stdout } = await run(`${binDir()}/echo-server`, ["--help"]);
  assert.equal(code, 0);
  assert.match(stdout, /--listen/);
});
