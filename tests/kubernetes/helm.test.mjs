/** The chart: lint, what its schema refuses, and that it makes the same objects
 * as the kustomize base, so that the two can't drift. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parseConfig } from "./lib/libconfig.mjs";
import { YAML, chart, deploy, helm, helmTemplate, join, kustomize } from "./lib/tools.mjs";
import { VALUES } from "./lib/values.mjs";

for (const { title, values } of VALUES) {
  test(`helm lint --strict: ${title}`, () => {
    const args = ["lint", "--strict", chart, "--values", "-"];
    const { code, output } = helm(args, { input: YAML.stringify(values) });
    assert.equal(code, 0, output);
    assert.doesNotMatch(output, /\[(WARNING|ERROR)\]/);
  });
}

test("every value that values.yaml has is in the schema, and the other way round", () => {
  const values = YAML.parse(readFileSync(join(chart, "values.yaml"), "utf8"));
  const schema = JSON.parse(readFileSync(join(chart, "values.schema.json"), "utf8"));
  const compare = (value, { properties, additionalProperties }, path) => {
    if (!properties) return;
    assert.equal(additionalProperties, false, `${path} takes what nobody knows`);
    const known = Object.keys(properties).filter((key) => key !== "global");
    assert.deepEqual(Object.keys(value).sort(), known.sort(), path);
    for (const key of known) compare(value[key], properties[key], `${path}.${key}`);
  };
  // Taken as Kubernetes has them: not each of their fields has a default.
  const { resources, affinity, ...rest } = schema.properties;
  assert.ok(resources && affinity);
  const { resources: ours, affinity: none, ...own } = values;
  assert.ok(ours && none);
  compare(own, { ...schema, properties: rest }, "values");
});

const REFUSED = [
  ["a misspelt value", { replica: 3 }, /replica/],
  ["a misspelt value further down", { drain: { times: 3 } }, /times/],
  ["text for a number", { replicas: "three" }, /replicas/],
  ["no pods", { replicas: 0 }, /replicas/],
  ["a drain of a day", { drain: { time: 86400 } }, /drain.time/],
  ["no preStop", { drain: { preStop: 0 } }, /preStop/],
  ["a log level that is none", { log: { level: "verbose" } }, /log.level/],
  ["TLS without a certificate", { tls: { enabled: true } }, /secretName/],
  ["an ingress without a host", { ingress: { enabled: true } }, /host/],
  ["a token that is too short", { secrets: { adminToken: "secret" } }, /adminToken/],
  ["a URL that is none", { redis: { url: "redis:6379" } }, /redis.url/],
  ["a Redis Cluster in a list", { redis: { url: "redis://a redis+cluster://b" } }, /redis.url/],
  ["a quote in a URL", { redis: { url: 'redis://h/"' } }, /redis.url/],
  ["a quote in what becomes text", { server: { origins: ['https://a"b'] } }, /origins/],
  ["no memory", { resources: { requests: { memory: null } } }, /memory/],
  ["a memory that is none", { resources: { limits: { memory: "lots" } } }, /memory/],
  ["less at most than at least", { autoscaling: { minReplicas: 5, maxReplicas: 4 } }, /maxReplicas/],
  ["no Redis at all", { redis: { builtin: { enabled: false } } }, /nodes need a Redis/],
];
for (const url of ["redis://a:1 rediss+sentinel://b,c/m", "rediss+cluster://a,b:2?ca_file=/x"]) {
  test(`nodes get ${url}`, () => {
    const { code, output } = helmTemplate({ redis: { url } });
    assert.equal(code, 0, output);
    assert.ok(output.includes(`redis = "${url}";`));
  });
}

for (const [title, values, text] of REFUSED) {
  test(`the chart refuses ${title}`, () => {
    const { code, output } = helmTemplate(values);
    assert.notEqual(code, 0);
    assert.match(output, text);
  });
}

test("another configuration makes new pods, another replica count does not", () => {
  const hash = (values) => {
    const { objects } = helmTemplate(values);
    const { spec } = objects.find(({ kind }) => kind === "Deployment");
    return spec.template.metadata.annotations["checksum/config"];
  };
  const usual = hash({});
  assert.equal(hash({ replicas: 7 }), usual);
  assert.notEqual(hash({ drain: { time: 31 } }), usual);
  assert.notEqual(hash({ extraConfig: "auth = { };" }), usual);
});

test("the arithmetic follows the drain", () => {
  const { objects } = helmTemplate({ drain: { preStop: 10, time: 120, grace: 30 } });
  const { spec } = objects.find(({ kind }) => kind === "Deployment");
  assert.equal(spec.template.spec.terminationGracePeriodSeconds, 10 + 120 + 30 + 10);
  assert.equal(spec.minReadySeconds, 10 + 120);
});

// --- The same as kustomize's base ---------------------------------------------

const OWN_LABELS = [
  "app.kubernetes.io/instance",
  "app.kubernetes.io/version",
  "app.kubernetes.io/managed-by",
  "helm.sh/chart",
];

/** What both mean: without labels and hashes that only one of them has. */
function meaning(value, key) {
  if (Array.isArray(value)) return value.map((item) => meaning(item));
  if (typeof value === "string") {
    if (key === "webwired.conf") return parseConfig(value);
    if (key === "redis.conf") return value.replace(/^#.*\n/gm, "").trim();
    return value.replace(/^(webwire(?:-redis)?-(?:config|secrets))-[0-9a-z]{10}$/, "$1");
  }
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value)
    .filter(([name]) => !OWN_LABELS.includes(name) && name !== "checksum/config")
    .map(([name, item]) => [name, meaning(item, name)])
    .filter(([, item]) => !isEmpty(item));
  return Object.fromEntries(entries);
}

function isEmpty(item) {
  return item && typeof item === "object" && !Array.isArray(item) && !Object.keys(item).length;
}

function byName(objects) {
  return new Map(
    objects.map((object) => {
      const same = meaning(object);
      // Labels of the objects themselves select nothing; the pods' do.
      if (!["Service"].includes(object.kind)) delete same.metadata.labels;
      return [`${same.kind}/${same.metadata.name}`, same];
    }),
  );
}

test("the chart's objects are those of the kustomize base", () => {
  const base = byName(kustomize(join(deploy, "kubernetes/base")));
  const made = byName(helmTemplate().objects);
  base.delete("Namespace/webwire"); // helm install --create-namespace
  assert.ok(made.delete("Pod/webwire-test-config")); // helm test
  assert.deepEqual([...made.keys()].sort(), [...base.keys()].sort());
  for (const [name, object] of base) {
    if (name.startsWith("Secret/")) {
      assert.deepEqual(Object.keys(made.get(name).data), Object.keys(object.data));
    } else {
      assert.deepEqual(made.get(name), object, name);
    }
  }
});

test("with its monitoring they are those of the monitoring overlay", () => {
  const overlay = byName(kustomize(join(deploy, "kubernetes/overlays/monitoring")));
  const { objects } = helmTemplate({
    autoscaling: { connectionsPerPod: 7000 },
    monitoring: { serviceMonitor: true, rules: true, dashboard: true },
  });
  const made = byName(objects);
  for (const name of [
    "ServiceMonitor/webwire",
    "PrometheusRule/webwire",
    "HorizontalPodAutoscaler/webwire",
    "ConfigMap/webwire-dashboard",
  ]) {
    assert.ok(overlay.get(name), name);
    const trim = (object) => JSON.parse(JSON.stringify(object).replaceAll("\\n\"", "\""));
    assert.deepEqual(trim(made.get(name)), trim(overlay.get(name)), name);
  }
});
