/** What is shipped: its size, its types, its files. */
import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { load, locate } from "../lib/packages.mjs";
import { run } from "../lib/programs.mjs";

const MAX_SIZE = 8192; // minified
const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = join(root, "client/js");
const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));

/** An application's folder, with the client where npm would put it. */
async function application(t) {
  const dir = await mkdtemp(join(tmpdir(), "wwr-js-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, "node_modules"));
  await cp(folder, join(dir, "node_modules/webwire-client"), { recursive: true });
  await writeFile(join(dir, "package.json"), '{"type": "module"}');
  return dir;
}

test(`at most ${MAX_SIZE} bytes minified`, async (t) => {
  const result = await load("esbuild").build({
    entryPoints: [join(folder, "webwire.js")],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  const size = result.outputFiles[0].contents.length;
  t.diagnostic(`${size} bytes`);
  assert.ok(size <= MAX_SIZE, `${size} bytes`);
  assert.deepEqual(result.warnings, []);
});

test("the types: what they allow and what they don't", async (t) => {
  const dir = await application(t);
  await cp(fileURLToPath(new URL("types.ts", import.meta.url)), join(dir, "types.ts"));
  const compiler = locate("typescript", "bin/tsc");
  const options = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom"];
  const more = ["--module", "nodenext", "--skipDefaultLibCheck", "types.ts"];
  const { code, stdout } = await run(process.execPath, [compiler, ...options, ...more], { cwd: dir });
  assert.equal(code, 0, stdout);
});

test("the types name what the module exports", async () => {
  const types = await readFile(join(folder, "webwire.d.ts"), "utf8");
  const named = [...types.matchAll(/^export (?:class|function|const) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(named.sort(), Object.keys(await import("../../../client/js/webwire.js")).sort());
});

test("an application imports it by its name", async (t) => {
  const dir = await application(t);
  const text = 'import { Client } from "webwire-client"; console.log(new Client("ws://a").status);';
  await writeFile(join(dir, "main.js"), text);
  const { code, stdout, stderr } = await run(process.execPath, ["main.js"], { cwd: dir });
  assert.equal(`${code} ${stdout.trim()}`, "0 disabled", stderr);
});

test("the package: no dependencies, the project's version, every file that is needed", async () => {
  for (const kind of ["dependencies", "peerDependencies", "optionalDependencies", "scripts"]) {
    assert.equal(manifest[kind], undefined, kind);
  }
  const project = await readFile(join(root, "CMakeLists.txt"), "utf8");
  assert.equal(manifest.version, /project\(webwire\s+VERSION (\S+)/.exec(project)[1]);
  const files = await readdir(folder);
  const shipped = files.filter((name) => /\.(js|d\.ts)$/.test(name));
  assert.deepEqual(manifest.files, ["*.js", "*.d.ts"]);
  const others = files.filter((name) => !shipped.includes(name)).sort();
  assert.deepEqual(others, ["LICENSE", "README.md", "package.json"]); // npm adds these itself
  const licences = [root, folder].map((where) => readFile(join(where, "LICENSE"), "utf8"));
  assert.equal(...(await Promise.all(licences)));
  for (const name of shipped.filter((name) => name.endsWith(".js"))) {
    const text = await readFile(join(folder, name), "utf8");
    for (const [, from] of text.matchAll(/from "(.*?)"/g)) {
      assert.ok(shipped.includes(from.replace("./", "")), `${name} imports ${from}`);
    }
  }
});
