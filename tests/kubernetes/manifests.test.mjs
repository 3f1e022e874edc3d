/** The manifests as `kubectl apply` would get them: strictly valid, and fitting
 * together. And that the judges of this find what is wrong. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { knownMetrics } from "./lib/metrics.mjs";
import { PROD, renderAll } from "./lib/rendered.mjs";
import { check, configOf, nodesOf } from "./lib/rules.mjs";
import { strictProblems } from "./lib/strict.mjs";
import {
  deploy,
  join,
  modules,
  nameOf,
  parseObjects,
  root,
  run,
  scratchDir,
} from "./lib/tools.mjs";

const metrics = knownMetrics();
const rendered = renderAll({ metrics });
const guide = readFileSync(join(root, "docs/kubernetes.md"), "utf8");
const examples = [...guide.matchAll(/^```yaml\n(apiVersion: [^]*?)^```$/gm)]
  .flatMap(([, text]) => parseObjects(text))
  .filter(({ kind }) => !["Kustomization", "Component"].includes(kind));
rendered.set("docs/kubernetes.md", { objects: examples });

// TypeScript takes its time to start: once for all of it.
const container = (o) => o.spec.template.spec.containers[0];
const BROKEN = [
  ["a misspelt field", (o) => (container(o).livenesProbe = {}), /"livenesProbe"' does not exist/],
  [
    "a misspelt field far down",
    (o) => (container(o).securityContext.capabilities.dropp = ["ALL"]),
    /"dropp"' does not exist/,
  ],
  ["text for a number", (o) => (o.spec.minReadySeconds = "35"), /'string' is not assignable/],
  [
    "a word that is none of the words",
    (o) => (container(o).imagePullPolicy = "Sometimes"),
    /"Sometimes"/,
  ],
  [
    "a quantity that is none",
    (o) => (container(o).resources.limits.memory = "512 MB"),
    /limits\/memory/,
  ],
  ["a field that must be there", (o) => delete o.spec.selector, /"selector"' is missing/],
  ["an apiVersion that is gone", (o) => (o.apiVersion = "extensions/v1"), /no such kind/],
];
const deployment = rendered.get("base").objects.find(({ kind }) => kind === "Deployment");
const broken = BROKEN.map(([, damage]) => damaged([deployment], "Deployment", damage)[0]);
const all = [...rendered.values()].flatMap(({ objects }) => objects);
const problems = await strictProblems([...all, ...broken]);

function damaged(objects, kind, damage, name) {
  const copy = structuredClone(objects);
  const victim = copy.find(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  );
  damage(victim, copy);
  return copy;
}

let at = 0;
for (const [title, { objects, options }] of rendered) {
  const own = problems.slice(at, (at += objects.length)).flat();
  test(`${title}: a strict API server takes it`, () => {
    assert.ok(objects.length > 0);
    assert.deepEqual(own, []);
  });
  if (!options) continue;
  test(`${title}: its ${objects.length} objects fit together`, () => {
    assert.deepEqual(check(objects, options), []);
  });
}

BROKEN.forEach(([title, , text], i) => {
  test(`the strict check finds ${title}`, () => {
    assert.match(problems[all.length + i].join("; "), text);
  });
});

test("base has what the issue asks for", () => {
  const kinds = rendered.get("base").objects.map(({ kind }) => kind);
  for (const kind of [
    ...["Namespace", "Deployment", "Service", "ConfigMap", "Secret", "ServiceAccount"],
    ...["HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "StatefulSet"],
  ]) {
    assert.ok(kinds.includes(kind), kind);
  }
  const seen = rendered.get("overlays/monitoring").objects.map(({ kind }) => kind);
  assert.ok(seen.includes("ServiceMonitor") && seen.includes("PrometheusRule"));
});

test("prod has no secret of ours and no Redis", () => {
  const names = rendered.get("overlays/prod").objects.map(nameOf);
  assert.deepEqual(
    names.filter((name) => /^Secret|redis/.test(name)),
    [],
  );
});

test("the chat room has the password of the Redis that it uses", () => {
  const { objects } = rendered.get("overlays/chatroom");
  const secret = objects.find(({ metadata }) => /^webwire-secrets/.test(metadata.name));
  const password = Buffer.from(secret.data["redis-password"], "base64").toString();
  const { config } = configOf(objects, nodesOf(objects)[0]);
  assert.equal(new URL(config.cluster.redis).password, password);
});

test("docs/kubernetes.md makes every key that prod needs", () => {
  for (const [secret, keys] of Object.entries(PROD)) {
    assert.ok(guide.includes(secret.split("/")[1]));
    for (const key of keys.filter((name) => !name.startsWith("tls."))) {
      assert.ok(new RegExp(`--from-(file|literal)=${key.replace(".", "\\.")}=`).test(guide), key);
    }
  }
});

// --- What the image has ---------------------------------------------------------

const dockerfile = readFileSync(join(deploy, "Dockerfile"), "utf8");

/** {NAME: {user, ports, program}} of the stages that are images of ours. */
function stages() {
  const parts = dockerfile.split(/^FROM .* AS (\w+)$/m).slice(1);
  const found = {};
  for (let i = 0; i < parts.length; i += 2) {
    const read = (pattern) => pattern.exec(parts[i + 1])?.[1];
    found[parts[i]] = {
      user: read(/^USER (\S+)$/m),
      ports: (read(/^EXPOSE (.*)$/m) ?? "").split(" ").map(Number),
      program: read(/^ENTRYPOINT \["([^"]*)"\]$/m),
    };
  }
  return found;
}

test("dockerfilelint finds nothing in the Dockerfile, and something in a worse one", () => {
  const lint = (text) => {
    const file = join(scratchDir(), "Dockerfile");
    writeFileSync(file, text);
    const program = join(modules, "node_modules/dockerfilelint/bin/dockerfilelint");
    const { files } = JSON.parse(run(process.execPath, [program, "--output", "json", file]).stdout);
    // It wants a tag of what is no image.
    return files[0].issues.filter(({ content }) => !content.startsWith("FROM scratch "));
  };
  assert.deepEqual(lint(dockerfile), []);
  const worse = lint(dockerfile.replace("STOPSIGNAL SIGTERM", "MAINTAINER somebody"));
  assert.match(worse.map(({ content }) => content).join(), /^(MAINTAINER somebody,?)+$/);
});

test("images, users and programs are those of the Dockerfile", () => {
  const known = stages();
  for (const [title, { objects }] of rendered) {
    for (const { spec } of objects.filter(({ kind }) => kind === "Deployment")) {
      const { securityContext, containers } = spec.template.spec;
      const [, image] = /^webwire\/(\w+):/.exec(containers[0].image) ?? [];
      assert.ok(known[image], `${title}: no stage for ${containers[0].image}`);
      assert.match(dockerfile, new RegExp(`-t webwire/${image}\\b`));
      const { runAsUser, runAsGroup } = securityContext;
      assert.equal(`${runAsUser}:${runAsGroup}`, known[image].user, title);
      // A command would go around the image's own program.
      assert.equal(containers[0].command, undefined);
      assert.ok(known[image].program);
    }
  }
});

// Each rule is seen to find what it is for: [what, folder, kind, damage, text].
const FAULTS = [
  ["a service that selects nothing", "Service", (o) => (o.spec.selector.x = "y"), /selects no/],
  [
    "a deployment that does not select its pods",
    "Deployment",
    (o) => (o.spec.selector.matchLabels["app.kubernetes.io/name"] = "webwired"),
    /does not match its own pods/,
  ],
  ["a target port with another name", "Service", (o) => (o.spec.ports[0].targetPort = "web"), /port web/],
  ["a probe at no port", "Deployment", (o) => (container(o).livenessProbe.httpGet.port = "adm"), /port adm/],
  ["a probe at another path", "Deployment", (o) => (container(o).readinessProbe.httpGet.path = "/live"), /GET \/ready/],
  ["a liveness probe without patience", "Deployment", (o) => (container(o).livenessProbe.periodSeconds = 1), /a moment/],
  ["a grace period that is too short", "Deployment", (o) => (o.spec.template.spec.terminationGracePeriodSeconds = 54), /is 55/],
  [
    "a longer drain by the environment",
    "Deployment",
    (o) => container(o).env.push({ name: "WEBWIRED_DRAIN_TIME", value: "31" }),
    /drain\.time 31/,
  ],
  [
    "a longer drain by the file",
    "ConfigMap",
    (o) => (o.data["webwired.conf"] = o.data["webwired.conf"].replace("time = 30", "time = 300")),
    /drain\.time 300/,
  ],
  ["no preStop", "Deployment", (o) => delete container(o).lifecycle, /no preStop/],
  ["drains that overlap", "Deployment", (o) => (o.spec.minReadySeconds = 10), /minReadySeconds/],
  ["a node taken away first", "Deployment", (o) => (o.spec.strategy.rollingUpdate.maxUnavailable = 1), /rolling update/],
  ["an HPA for somebody else", "HorizontalPodAutoscaler", (o) => (o.spec.scaleTargetRef.name = "webwired"), /target webwired/],
  ["replicas beside an HPA", "Deployment", (o) => (o.spec.replicas = 3), /has replicas/],
  ["a metric that is not there", "HorizontalPodAutoscaler", (o) => (o.spec.metrics[1].pods.metric.name = "webwire_conns"), /webwire_conns/, "overlays/monitoring"],
  ["CPU without a request", "Deployment", (o) => delete container(o).resources.requests.cpu, /requests no cpu/],
  ["a budget for other pods", "PodDisruptionBudget", (o) => (o.spec.selector.matchLabels = { app: "x" }), /selects no/],
  ["a budget of nothing", "PodDisruptionBudget", (o) => (o.spec.maxUnavailable = 0), /emptied/],
  ["a policy for other pods", "NetworkPolicy", (o) => (o.spec.podSelector.matchLabels = { app: "x" }), /selects no/],
  ["a policy for a port that is not there", "NetworkPolicy", (o) => (o.spec.ingress[0].ports[0].port = "wss"), /port wss/],
  ["a policy without Redis", "NetworkPolicy", (o) => o.spec.egress.pop(), /NetworkPolicy does not let it reach/],
  ["a monitor of another service", "ServiceMonitor", (o) => (o.spec.selector.matchLabels = { app: "x" }), /selects no service/, "overlays/monitoring"],
  ["a monitor of another port", "ServiceMonitor", (o) => (o.spec.endpoints[0].port = "metrics"), /no port metrics/, "overlays/monitoring"],
  ["a ConfigMap that is not there", "Deployment", (o) => (o.spec.template.spec.volumes[0].configMap.name = "c"), /no ConfigMap c/],
  ["a ConfigMap whose changes nobody sees", "Deployment", (o, all) => {
      all.find((it) => it.metadata.name.startsWith("webwire-config")).metadata.name = "webwire-config";
      o.spec.template.spec.volumes[0].configMap.name = "webwire-config";
    }, /would not roll/],
  ["a Secret that is not there", "Deployment", (o) => (o.spec.template.spec.volumes[1].secret.secretName = "s"), /no Secret s/],
  ["a key that is not there", "Secret", (o) => delete o.data["redis-password"], /no key redis-password/],
  ["a file that nobody brings", "Secret", (o) => delete o.data["admin-token"], /admin-token, which the configuration/],
  ["a mount within a mount", "Deployment", (o) => (container(o).volumeMounts[1].mountPath = "/etc/webwire/secrets"), /within another mount/],
  ["a mount of no volume", "Deployment", (o) => (container(o).volumeMounts[2].name = "t"), /no volume/],
  ["a volume for nothing", "Deployment", (o) => o.spec.template.spec.volumes.push({ name: "v", emptyDir: {} }), /never mounted/],
  ["a resource that is not set", "Deployment", (o) => (container(o).env.at(-1).valueFrom.resourceFieldRef.resource = "limits.cpu"), /limits\.cpu/],
  ["no account", "Deployment", (o) => (o.spec.template.spec.serviceAccountName = "default"), /no account/],
  ["root", "Deployment", (o) => (o.spec.template.spec.securityContext.runAsUser = 0), /as root/],
  ["a writable root", "Deployment", (o) => delete container(o).securityContext.readOnlyRootFilesystem, /write its root/],
  ["capabilities", "StatefulSet", (o) => delete container(o).securityContext.capabilities, /capabilities/],
  ["an image without a version", "Deployment", (o) => (container(o).image = "webwire/webwired:latest"), /no version/],
  ["a port that it does not listen on", "Deployment", (o) => (container(o).ports[0].containerPort = 8081), /listens on/],
  ["TLS that the service denies", "Service", (o) => (o.spec.ports[0].appProtocol = "kubernetes.io/wss"), /don't agree/],
  ["a Redis that is nowhere", "Service", (o) => (o.metadata.name = "redis"), /no service webwire-redis/, "base", "webwire-redis"],
  ["a Redis that may fill its container", "StatefulSet", (o) => (container(o).resources.limits.memory = "500Mi"), /maxmemory/],
  ["a spread by labels that pods don't have", "Deployment", (o) => (o.spec.template.spec.topologySpreadConstraints[0].labelSelector.matchLabels = { a: "b" }), /labels that its pods/],
  ["an object twice", "Service", (o, all) => all.push(o), /is there twice/],
  ["another namespace", "Service", (o) => (o.metadata.namespace = "default"), /several namespaces/],
];
for (const [title, kind, damage, text, folder = "base", name] of FAULTS) {
  test(`the rules find ${title}`, () => {
    const { objects, options } = rendered.get(folder);
    const found = check(damaged(objects, kind, damage, name), options);
    assert.ok(
      found.some((problem) => text.test(problem)),
      `found only: ${found.join("; ")}`,
    );
  });
}
