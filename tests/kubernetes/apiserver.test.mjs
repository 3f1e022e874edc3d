/** Everything applied to a real API server, where there is one (lib/apiserver.mjs
 * says where it is looked for): it takes all of it, finds nothing to warn of, and
 * nothing to change when the same comes again. There are no machines behind it, so
 * that no pod ever runs. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { asset, startApiServer, understood } from "./lib/apiserver.mjs";
import { renderAll } from "./lib/rendered.mjs";

for (const program of ["kube-apiserver", "etcd"]) {
  if (asset(program)) continue;
  console.log(`skipped: no ${program} in KUBEBUILDER_ASSETS or PATH; Debian has none`);
  process.exit(77);
}

const OPERATOR = "monitoring.coreos.com/v1"; // an extension that nobody installed
const textOf = (items) => JSON.stringify({ apiVersion: "v1", kind: "List", items });

/** Each set into a namespace of its own: to delete one takes a controller. */
function moved(objects, namespace) {
  const kept = structuredClone(objects).filter(({ apiVersion }) => apiVersion !== OPERATOR);
  for (const object of kept) {
    if (object.kind === "Namespace") object.metadata.name = namespace;
    else object.metadata.namespace = namespace;
  }
  // What a controller would make.
  kept.unshift({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace } });
  if (!kept.some(({ kind }) => kind === "Namespace")) {
    kept.push({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  }
  const isNamespace = ({ kind }) => kind === "Namespace";
  return [...kept.filter(isNamespace), ...kept.filter((it) => !isNamespace(it))];
}

// What only a server says: [what, kind, damage, text].
const container = (o) => o.spec.template.spec.containers[0];
const REFUSED = [
  ["a deployment that does not select its pods", "Deployment", (o) => (o.spec.selector.matchLabels.a = "b"), /selector/],
  ["a misspelt field", "Deployment", (o) => (container(o).livenesProbe = {}), /livenesProbe/],
  ["a port that is none", "Service", (o) => (o.spec.ports[0].port = 70000), /between 1 and 65535/],
  ["more requested than allowed", "Deployment", (o) => (container(o).resources.requests.memory = "9Gi"), /less than or equal to/],
  ["a mount of no volume", "Deployment", (o) => (container(o).volumeMounts[0].name = "x"), /Not found/],
  ["a label with a space", "ConfigMap", (o) => (o.metadata.labels = { a: "b c" }), /Invalid value/],
  ["a network that is none", "NetworkPolicy", (o) => (o.spec.egress[0].to = [{ ipBlock: { cidr: "10.0.0.0/33" } }]), /CIDR/],
  ["a budget both ways", "PodDisruptionBudget", (o) => (o.spec.minAvailable = 1), /cannot be both set/],
];

async function takes(t, { kubectl, minor }, title, namespace, all) {
  const { objects, left } = understood(moved(all, namespace), minor);
  if (left.length) t.diagnostic(`without what 1.${minor} does not know: ${left.join(", ")}`);
  const apply = (...args) => kubectl(["apply", "--validate=strict", ...args, "-f", "-"], textOf(objects));
  const { code, stdout, output } = apply();
  assert.equal(code, 0, output);
  const warnings = output.split("\n").filter((line) => /^Warning/.test(line) && !/deprecated/.test(line));
  assert.deepEqual(warnings, []);
  assert.equal(stdout.match(/ created$/gm)?.length, objects.length, output);
  const again = kubectl(["diff", "-f", "-"], textOf(objects));
  assert.equal(again.code, 0, again.output);
}

function refuses({ kubectl, minor }, objects, kind, damage, text) {
  const { objects: copy } = understood(moved(objects, "refused"), minor);
  const victim = copy.find((object) => object.kind === kind);
  damage(victim);
  const args = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
  const { code, output } = kubectl(args, textOf([victim]));
  assert.notEqual(code, 0, output);
  assert.match(output, text);
}

test("a real API server", async (t) => {
  const server = await startApiServer(t);
  t.diagnostic(`Kubernetes ${server.version}`);
  const rendered = renderAll();
  let count = 0;
  for (const [title, { objects }] of rendered) {
    const namespace = `set-${count++}`;
    await t.test(`takes ${title}`, (it) => takes(it, server, title, namespace, objects));
  }
  const made = server.kubectl(["create", "namespace", "refused"]);
  assert.equal(made.code, 0, made.output);
  for (const [title, kind, damage, text] of REFUSED) {
    await t.test(`refuses ${title}`, () =>
      refuses(server, rendered.get("base").objects, kind, damage, text));
  }
});
