/** The Redis to try out really starts with the command of its StatefulSet, wants
 * the password, answers its probes and keeps its data. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { launch } from "../js/lib/programs.mjs";
import { until } from "../js/lib/until.mjs";
import { deploy, join, kustomize, must, need, run, scratchDir } from "./lib/tools.mjs";

need("redis-server", "redis-cli", "sh");
const objects = kustomize(join(deploy, "kubernetes/base"));
const { spec } = objects.find(({ kind }) => kind === "StatefulSet").spec.template;
const [redis] = spec.containers;

// Its paths, in a folder of ours; and a socket, because a port may be taken.
function room() {
  const dir = scratchDir();
  const { data } = objects.find((object) => object.data?.["redis.conf"]);
  const socket = join(dir, "redis.sock");
  for (const name of ["data", "etc", "secrets", "bin"]) mkdirSync(join(dir, name));
  const conf = data["redis.conf"].replace("/data", join(dir, "data"));
  writeFileSync(join(dir, "etc/redis.conf"), `${conf}port 0\nunixsocket ${socket}\n`);
  writeFileSync(join(dir, "secrets/redis-password"), "replace-this");
  const cli = `#!/bin/sh\nPATH=${process.env.PATH}\nexec redis-cli -s ${socket} "$@"\n`;
  writeFileSync(join(dir, "bin/redis-cli"), cli, { mode: 0o755 });
  const env = { ...process.env, PATH: `${dir}/bin:${process.env.PATH}` };
  const moved = (command) =>
    command.map((text) =>
      text.replaceAll("/run/secrets/redis", `${dir}/secrets`).replaceAll("/etc/redis", `${dir}/etc`),
    );
  return { dir, env, moved };
}

async function started(t, { env, moved }) {
  const [path, ...args] = moved(redis.command);
  const program = launch(t, `/bin/${path}`, args, { env });
  const [probe, ...rest] = moved(redis.startupProbe.exec.command);
  await program.ready(() => run(probe, rest, { env }).code === 0);
  return program;
}

test("it starts, wants the password, and keeps its data", async (t) => {
  const place = room();
  const cli = (...args) =>
    must("redis-cli", args, { env: { ...place.env, REDISCLI_AUTH: "replace-this" } }).trim();
  const first = await started(t, place);
  assert.match(run("redis-cli", ["ping"], { env: place.env }).output, /NOAUTH/);
  assert.match(cli("config", "get", "maxmemory-policy"), /noeviction/);
  assert.equal(cli("set", "wwr:x", "1"), "OK");
  await first.kill("SIGTERM");
  await started(t, place);
  assert.equal(cli("get", "wwr:x"), "1");
});

test("its readiness probe fails when it does not answer", async (t) => {
  const place = room();
  const program = await started(t, place);
  const [probe, ...rest] = place.moved(redis.readinessProbe.exec.command);
  assert.equal(run(probe, rest, { env: place.env }).code, 0);
  writeFileSync(join(place.dir, "secrets/redis-password"), "another");
  assert.notEqual(run(probe, rest, { env: place.env }).code, 0);
  writeFileSync(join(place.dir, "secrets/redis-password"), "replace-this");
  await program.kill("SIGTERM");
  await until(() => run(probe, rest, { env: place.env }).code !== 0, { what: "unready" });
});
