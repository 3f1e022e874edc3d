/** A real API server with its etcd, and kubectl for it. Neither is in Debian or
 * on npm; they are looked for where Kubernetes' own tests (envtest) look: in the
 * folder KUBEBUILDER_ASSETS, else in PATH. */
import { generateKeyPairSync } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";

import { freePorts } from "../../js/lib/cluster.mjs";
import { launch } from "../../js/lib/programs.mjs";
import { YAML, join, modules, run, scratchDir, which } from "./tools.mjs";

const TOKEN = "a-token-for-this-test";
const START_MS = 60_000;

/** Where a program is, or undefined. */
export function asset(program) {
  const { KUBEBUILDER_ASSETS: dir } = process.env;
  if (!dir) return which(program);
  const path = join(dir, program);
  return existsSync(path) ? path : undefined;
}

async function startEtcd(t, dir) {
  const [port, peers] = await freePorts(2);
  const [url, peerUrl] = [port, peers].map((it) => `http://127.0.0.1:${it}`);
  const options = {
    "data-dir": join(dir, "etcd"),
    "listen-client-urls": url,
    "advertise-client-urls": url,
    "listen-peer-urls": peerUrl,
    "initial-advertise-peer-urls": peerUrl,
    "initial-cluster": `default=${peerUrl}`,
  };
  launch(t, asset("etcd"), flags(options));
  return url;
}

const flags = (options) => Object.entries(options).map(([key, value]) => `--${key}=${value}`);

function keys(dir) {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const files = { key: join(dir, "sa.key"), pub: join(dir, "sa.pub"), tokens: join(dir, "tokens.csv") };
  writeFileSync(files.key, privateKey.export({ type: "pkcs1", format: "pem" }));
  writeFileSync(files.pub, publicKey.export({ type: "spki", format: "pem" }));
  writeFileSync(files.tokens, `${TOKEN},admin,admin,system:masters\n`);
  return files;
}

/** startApiServer(t): {kubectl(args, input): {code, stdout, output},
 * version, minor}. It ends with the test `t`. */
export async function startApiServer(t) {
  const dir = scratchDir();
  const [port] = await freePorts(1);
  const { key, pub, tokens } = keys(dir);
  const options = {
    "etcd-servers": await startEtcd(t, dir),
    "bind-address": "127.0.0.1",
    "secure-port": port,
    "cert-dir": join(dir, "certs"),
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": pub,
    "service-account-signing-key-file": key,
    "token-auth-file": tokens,
    "authorization-mode": "RBAC",
    "service-cluster-ip-range": "10.96.0.0/16",
  };
  const server = launch(t, asset("kube-apiserver"), flags(options));
  const config = join(dir, "kubeconfig");
  const one = { cluster: "c", user: "u" };
  const made = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: `https://127.0.0.1:${port}`, "insecure-skip-tls-verify": true } }],
    users: [{ name: "u", user: { token: TOKEN } }],
    contexts: [{ name: "c", context: one }],
    "current-context": "c",
  };
  writeFileSync(config, YAML.stringify(made));
  const env = { ...process.env, KUBECONFIG: config, HOME: dir };
  const kubectl = (args, input) => run(join(modules, "tools/kubectl"), args, { env, input });
  const ready = () => kubectl(["get", "--raw", "/readyz"]).stdout === "ok";
  await server.ready(ready, { timeout: START_MS });
  const { gitVersion: version } = JSON.parse(kubectl(["get", "--raw", "/version"]).stdout);
  return { kubectl, version, minor: Number(/^v1\.(\d+)\./.exec(version)[1]) };
}

// --- Servers that are older than what our manifests want -------------------------

const podOf = (object) => object.spec?.template?.spec;

/** [the minor version that knows it, what, how an object does without it: true if
 * it had it]. */
const YOUNGER = [
  [21, "policy/v1", (o) => o.apiVersion === "policy/v1" && (o.apiVersion = "policy/v1beta1")],
  [23, "autoscaling/v2", (o) => o.apiVersion === "autoscaling/v2" && (o.apiVersion = "autoscaling/v2beta2")],
  [26, "unhealthyPodEvictionPolicy", (o) => o.spec?.unhealthyPodEvictionPolicy && delete o.spec.unhealthyPodEvictionPolicy],
  [
    27,
    "matchLabelKeys",
    (o) =>
      (podOf(o)?.topologySpreadConstraints ?? []).filter((it) => it.matchLabelKeys && delete it.matchLabelKeys).length,
  ],
  [
    30,
    "preStop.sleep",
    (o) =>
      (podOf(o)?.containers ?? []).filter(
        ({ lifecycle }) => lifecycle?.preStop?.sleep && (lifecycle.preStop = { exec: { command: ["true"] } }),
      ).length,
  ],
];

/** The same objects without what a server of this age does not know, and what
 * that was. */
export function understood(objects, minor) {
  const copy = structuredClone(objects);
  const left = YOUNGER.filter(([since]) => minor < since)
    .filter(([, , change]) => copy.filter(change).length > 0)
    .map(([, what]) => what);
  return { objects: copy, left };
}
