/** A real node, started with the configuration of the manifests; a real
 * Prometheus that scrapes it with our configuration and our alerts. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { converse } from "../js/lib/cluster.mjs";
import { launch } from "../js/lib/programs.mjs";
import { until } from "../js/lib/until.mjs";
import { knownMetrics, withSeries } from "./lib/metrics.mjs";
import { configOf, nodesOf, pathsOf } from "./lib/rules.mjs";
import {
  built,
  deploy,
  dirname,
  helmTemplate,
  join,
  kustomize,
  must,
  run,
  scratchDir,
  which,
} from "./lib/tools.mjs";
import { VALUES } from "./lib/values.mjs";

const webwired = built("webwired");
if (!webwired) {
  console.log("skipped: webwired is not built");
  process.exit(77);
}

const TOKEN = "a-token-for-this-test";
const rendered = [
  ...["base", "overlays/dev", "overlays/prod"].map((folder) => [
    folder,
    kustomize(join(deploy, "kubernetes", folder)),
  ]),
  ...VALUES.map(({ title, values }) => [`helm: ${title}`, helmTemplate(values).objects]),
];

/** The configuration in a folder of ours, with the files that it names there:
 * {file, dir, env}. */
function placed(objects, change = (text) => text) {
  const { text, config, container } = configOf(objects, nodesOf(objects)[0]);
  const dir = scratchDir();
  for (const path of pathsOf(config)) {
    mkdirSync(join(dir, dirname(path)), { recursive: true });
    writeFileSync(join(dir, path), contentOf(path, dir));
  }
  const file = join(dir, "webwired.conf");
  const moved = text.replaceAll(/(["=])(\/run\/)/g, `$1${dir}$2`);
  writeFileSync(file, change(moved));
  const env = { ...process.env };
  for (const { name, value } of container.env ?? []) {
    if (!name.startsWith("WEBWIRED_")) continue;
    env[name] = value ?? (name.endsWith("_THREADS") ? "1" : "webwire-5d8c7-x2x4z");
  }
  return { file, dir, env };
}

function contentOf(path, dir) {
  if (path.endsWith("tls.crt")) {
    must("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-subj", "/CN=localhost", "-days", "2", "-keyout", join(dir, "run/tls/tls.key")],
      ...["-out", join(dir, "run/tls/tls.crt")],
    ]);
  }
  if (/tls\.(crt|key)$/.test(path)) return readFileSync(join(dir, path));
  if (path.endsWith("ca.crt")) return readFileSync("/etc/ssl/certs/ca-certificates.crt");
  if (path.endsWith(".pem")) {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    return publicKey.export({ type: "spki", format: "pem" });
  }
  return TOKEN;
}

for (const [title, objects] of rendered) {
  test(`webwired --check-config takes what ${title} gives it`, () => {
    const { file, env } = placed(objects);
    const { code, output } = run(webwired, ["--config", file, "--check-config"], { env });
    assert.equal(code, 0, output);
  });
}

test("and refuses what does not exist", () => {
  const [[, objects]] = rendered;
  const misspelt = placed(objects, (text) => text.replace("max-connections", "max-conections"));
  const result = run(webwired, ["--config", misspelt.file, "--check-config"], misspelt);
  assert.equal(result.code, 2);
  assert.match(result.output, /max-conections/);
  const { file, env } = placed(objects);
  env.WEBWIRED_DRAIN_TIMES = "5";
  assert.equal(run(webwired, ["--config", file, "--check-config"], { env }).code, 2);
});

// --- Prometheus ---------------------------------------------------------------

async function startRedis(t, password) {
  const dir = scratchDir();
  const socket = join(dir, "redis.sock");
  const options = ["--port", "0", "--unixsocket", socket, "--requirepass", password, "--dir", dir];
  const redis = launch(t, which("redis-server"), [...options, "--save", ""]);
  await redis.ready(async () => /NOAUTH/.test(await converse(socket, "PING\r\nQUIT\r\n")));
  return socket;
}

/** A node on a Redis of its own, as the folder has it, but on free ports of
 * loopback. */
async function startNode(t, { objects, program, password }) {
  const socket = await startRedis(t, password);
  const { file, env } = placed(objects, (text) =>
    text
      .replace(/0\.0\.0\.0:(8080|9180)/g, "127.0.0.1:0")
      .replace(/redis:\/\/(.*@)?webwire-redis:6379/, (_, user = "") => `unix://${user}${socket}`),
  );
  const { args } = nodesOf(objects)[0].spec.template.spec.containers[0];
  const own = args.map((text) =>
    text.endsWith(".conf") ? file : text.replace("$(NODE_NAME)", "node").replace("$(THREADS)", "1"),
  );
  const node = launch(t, program, own, { env });
  const address = () => /^admin on \w+:\/\/(\S+)$/m.exec(node.stderr)?.[1];
  await node.ready(() => node.url !== null && address());
  return { node, admin: address() };
}

/** Prometheus with prometheus.yml and alerts.yaml, only quicker: a second where
 * they say a quarter of a minute or more. */
async function startPrometheus(t, target) {
  const dir = scratchDir();
  const folder = join(deploy, "prometheus");
  const quick = (text) => text.replace(/(_interval|for): \w+/g, "$1: 1s");
  const rules = readFileSync(join(folder, "alerts.yaml"), "utf8");
  const config = readFileSync(join(folder, "prometheus.yml"), "utf8");
  writeFileSync(join(dir, "alerts.yaml"), quick(rules));
  writeFileSync(
    join(dir, "prometheus.yml"),
    quick(config)
      .replace(/^ *- node[23]:9180\n/gm, "")
      .replace("node1:9180", target),
  );
  const program = launch(t, which("prometheus"), [
    `--config.file=${dir}/prometheus.yml`,
    `--storage.tsdb.path=${dir}/data`,
    "--web.listen-address=127.0.0.1:0",
  ]);
  const port = () => /msg="?Listening on"? .*address=127\.0\.0\.1:(\d+)/.exec(program.stderr)?.[1];
  await program.ready(port);
  return async (query) => {
    const url = `http://127.0.0.1:${port()}/api/v1/query?query=${encodeURIComponent(query)}`;
    const { data } = await (await fetch(url)).json();
    return data.result.map(({ metric, value }) => ({ ...metric, value: Number(value[1]) }));
  };
}

function lacks(...programs) {
  const missing = programs.filter((name) => !which(name));
  return missing.length ? `no ${missing.join(", ")}` : false;
}

test("the chat room starts with the overlay's file and answers its probes", async (t) => {
  const program = built("chatroom-server");
  const missing = lacks("redis-server") || (!program && "chatroom-server is not built");
  if (missing) return t.skip(missing);
  const objects = kustomize(join(deploy, "kubernetes/overlays/chatroom"));
  const password = "replace-this-redis-password";
  const { node, admin } = await startNode(t, { objects, program, password });
  const [container] = nodesOf(objects)[0].spec.template.spec.containers;
  for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) {
    const url = `http://${admin}${container[probe].httpGet.path}`;
    await until(async () => (await fetch(url)).status === 200, { what: probe });
  }
  const page = await fetch(node.url.replace("ws:", "http:"));
  assert.match(await page.text(), /<html/);
  assert.equal((await node.stop()).code, 0);
});

test("Prometheus scrapes a node; what it finds is what is written; alerts fire", async (t) => {
  const missing = lacks("prometheus", "promtool", "redis-server");
  if (missing) return t.skip(missing);
  const [[, objects]] = rendered;
  const { node, admin } = await startNode(t, { objects, program: webwired, password: TOKEN });
  const metrics = await (await fetch(`http://${admin}/metrics`)).text();
  must(which("promtool"), ["check", "metrics"], { input: metrics });
  const ask = await startPrometheus(t, admin);
  await until(async () => (await ask('up{job="webwire"} == 1')).length === 1, { what: "up" });
  await until(async () => (await ask('webwire_health{state="ready"} == 1')).length, { what: "ready" });

  const found = await ask('count by (__name__) ({job="webwire", __name__=~"(webwire|process)_.+"})');
  const names = new Set(found.map(({ __name__: name }) => name));
  const known = [...knownMetrics()];
  const absent = known.filter((name) => !withSeries(name).some((series) => names.has(series)));
  assert.deepEqual(absent, [], "documented, but not there");
  const series = new Set(known.flatMap(withSeries));
  assert.deepEqual([...names].filter((name) => !series.has(name)), [], "there, but not documented");
  const lost = 'ALERTS{alertname="WebwireMessagesLost"}';
  const firing = 'ALERTS{alertname="WebwireNodeDown",alertstate="firing",severity="critical"}';
  assert.deepEqual(await ask(`${lost} or ${firing}`), []);

  await node.kill();
  await until(async () => (await ask(firing)).length === 1, { what: "WebwireNodeDown fires" });
});
