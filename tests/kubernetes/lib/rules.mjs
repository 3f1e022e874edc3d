/** What no schema knows: that the objects of a manifest fit together, and that
 * the nodes' configuration fits into what runs them. `check(objects, options)`
 * gives a list of sentences; empty is good.
 *
 * options: `external` {"Secret/NAME": [KEY...]} that must exist beforehand,
 * `metrics` Set of names for HPAs. */
import { parseConfig } from "./libconfig.mjs";
import { nameOf } from "./tools.mjs";

export const MARGIN_S = 10; // for what the arithmetic does not know
const MIN_LIVENESS_S = 15; // a loop is called silent after 5 s

const WORKLOADS = ["Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"];

class Manifest {
  problems = [];
  constructor(objects, { external = {}, metrics } = {}) {
    Object.assign(this, { objects, external, metrics });
    this.workloads = objects
      .filter(({ kind }) => WORKLOADS.includes(kind))
      .map((object) => ({ object, ...templateOf(object) }));
  }
  of(kind) {
    return this.objects.filter((object) => object.kind === kind);
  }
  find(kind, name) {
    return this.objects.find((object) => object.kind === kind && object.metadata.name === name);
  }
  wrong(object, text) {
    this.problems.push(`${nameOf(object)}: ${text}`);
  }
  /** The workloads whose pods a selector selects. */
  selected(selector) {
    return this.workloads.filter(({ labels }) => matches(selector, labels));
  }
  /** The keys of a ConfigMap or Secret, or undefined. */
  keys(kind, name) {
    const external = this.external[`${kind}/${name}`];
    if (external) return external;
    const object = this.find(kind, name);
    return object && Object.keys({ ...object.data, ...object.stringData });
  }
}

function templateOf(object) {
  const template = object.kind === "Pod" ? object : object.spec.template;
  return { labels: template.metadata.labels ?? {}, pod: template.spec, template };
}

function matches(selector, labels = {}) {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
}

function portsOf(pod) {
  return pod.containers.flatMap(({ ports = [] }) => ports);
}

function hasPort(ports, wanted) {
  return ports.some(({ name, containerPort }) => wanted === name || wanted === containerPort);
}

// --- Objects among each other ----------------------------------------------

function identities(m) {
  const seen = new Set();
  const namespaces = new Set();
  for (const object of m.objects) {
    const { name, namespace } = object.metadata;
    const id = `${object.apiVersion} ${object.kind} ${namespace} ${name}`;
    if (seen.has(id)) m.wrong(object, "is there twice");
    seen.add(id);
    if (object.kind !== "Namespace") namespaces.add(namespace);
  }
  if (namespaces.size > 1) {
    m.problems.push(`objects are in several namespaces: ${[...namespaces].join(", ")}`);
  }
}

function selectors(m) {
  const one = (object, selector, what) => {
    if (m.selected(selector).length !== 1) {
      m.wrong(object, `${what} ${JSON.stringify(selector)} selects no workload, or several`);
    }
  };
  for (const { object, labels, pod } of m.workloads) {
    const own = object.spec.selector?.matchLabels;
    if (own && !matches(own, labels)) m.wrong(object, "its selector does not match its own pods");
    const spread = (pod.topologySpreadConstraints ?? []).map((item) => item.labelSelector);
    for (const selector of [...spread, ...affinitySelectors(pod)]) {
      if (!matches(selector?.matchLabels, labels)) {
        m.wrong(object, "spread or anti-affinity by labels that its pods don't have");
      }
    }
  }
  for (const object of m.of("Service")) one(object, object.spec.selector, "selector");
  for (const object of m.of("PodDisruptionBudget")) {
    one(object, object.spec.selector.matchLabels, "selector");
  }
  for (const object of m.of("NetworkPolicy")) {
    one(object, object.spec.podSelector.matchLabels, "podSelector");
    for (const { podSelector, namespaceSelector } of peersOf(object)) {
      if (podSelector && !namespaceSelector) one(object, podSelector.matchLabels, "peer");
    }
  }
}

function affinitySelectors({ affinity }) {
  const anti = affinity?.podAntiAffinity ?? {};
  const preferred = anti.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const required = anti.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  return [...required, ...preferred.map((item) => item.podAffinityTerm)].map(
    (term) => term.labelSelector,
  );
}

function peersOf({ spec }) {
  return [
    ...(spec.ingress ?? []).flatMap(({ from = [] }) => from),
    ...(spec.egress ?? []).flatMap(({ to = [] }) => to),
  ];
}

function ports(m) {
  for (const service of m.of("Service")) {
    for (const { object, pod } of m.selected(service.spec.selector)) {
      for (const { port, targetPort = port } of service.spec.ports) {
        if (!hasPort(portsOf(pod), targetPort)) {
          m.wrong(service, `${nameOf(object)} has no port ${targetPort}`);
        }
      }
    }
  }
  for (const { object, pod } of m.workloads) {
    for (const container of pod.containers) {
      for (const kind of ["startupProbe", "livenessProbe", "readinessProbe"]) {
        const probe = container[kind];
        const port = (probe?.httpGet ?? probe?.tcpSocket)?.port;
        if (port !== undefined && !hasPort(container.ports ?? [], port)) {
          m.wrong(object, `${kind} asks port ${port}, which ${container.name} has not`);
        }
      }
    }
  }
  for (const policy of m.of("NetworkPolicy")) policyPorts(m, policy);
  for (const ingress of m.of("Ingress")) {
    for (const { http } of ingress.spec.rules) {
      for (const { backend } of http.paths) ingressBackend(m, ingress, backend.service);
    }
  }
}

function policyPorts(m, policy) {
  const check = (peers, list) => {
    for (const { pod, object } of peers) {
      for (const { port } of list ?? []) {
        if (!hasPort(portsOf(pod), port)) m.wrong(policy, `${nameOf(object)} has no port ${port}`);
      }
    }
  };
  for (const rule of policy.spec.ingress ?? []) {
    check(m.selected(policy.spec.podSelector.matchLabels), rule.ports);
  }
  for (const rule of policy.spec.egress ?? []) {
    const own = (rule.to ?? []).filter((peer) => peer.podSelector && !peer.namespaceSelector);
    check(own.flatMap((peer) => m.selected(peer.podSelector.matchLabels)), rule.ports);
  }
}

function ingressBackend(m, ingress, { name, port }) {
  const service = m.find("Service", name);
  const known = service?.spec.ports ?? [];
  if (!known.some((item) => item.name === port.name || item.port === port.number)) {
    m.wrong(ingress, `no service ${name} with port ${port.name ?? port.number}`);
  }
}

function scaling(m) {
  for (const hpa of m.of("HorizontalPodAutoscaler")) {
    const { scaleTargetRef, minReplicas, maxReplicas, metrics = [] } = hpa.spec;
    const target = m.find(scaleTargetRef.kind, scaleTargetRef.name);
    if (!target) {
      m.wrong(hpa, `its target ${scaleTargetRef.name} does not exist`);
      continue;
    }
    if (target.apiVersion !== scaleTargetRef.apiVersion) m.wrong(hpa, "target's apiVersion");
    if ("replicas" in target.spec) m.wrong(hpa, "its target has replicas, too: each apply resets");
    if (minReplicas > maxReplicas) m.wrong(hpa, "minReplicas is more than maxReplicas");
    for (const { type, resource, pods } of metrics) {
      const without = target.spec.template.spec.containers.find(
        ({ resources }) => type === "Resource" && !resources?.requests?.[resource.name],
      );
      if (without) m.wrong(hpa, `${without.name} requests no ${resource.name}`);
      if (type === "Pods" && m.metrics && !m.metrics.has(pods.metric.name)) {
        m.wrong(hpa, `no such metric: ${pods.metric.name}`);
      }
    }
  }
  for (const pdb of m.of("PodDisruptionBudget")) {
    const { maxUnavailable, minAvailable } = pdb.spec;
    if (maxUnavailable === 0 || maxUnavailable === "0%" || minAvailable === "100%") {
      m.wrong(pdb, "no pod may ever be evicted: machines can't be emptied");
    }
    const hpa = m.of("HorizontalPodAutoscaler")[0];
    if (minAvailable !== undefined && hpa && minAvailable >= hpa.spec.minReplicas) {
      m.wrong(pdb, "minAvailable is as much as the smallest number of pods");
    }
  }
}

function monitoring(m) {
  for (const monitor of m.of("ServiceMonitor")) {
    const services = m
      .of("Service")
      .filter(({ metadata }) => matches(monitor.spec.selector.matchLabels, metadata.labels));
    if (services.length !== 1) {
      m.wrong(monitor, "selects no service, or several");
      continue;
    }
    const [{ metadata, spec }] = services;
    for (const { port } of monitor.spec.endpoints) {
      if (!spec.ports.some(({ name }) => name === port)) m.wrong(monitor, `no port ${port}`);
    }
    // The alerts say job="webwire".
    if (metadata.labels[monitor.spec.jobLabel] !== "webwire") {
      m.wrong(monitor, `label ${monitor.spec.jobLabel} of its service is not webwire`);
    }
  }
}

// --- A pod and what it refers to --------------------------------------------

function references(m) {
  for (const { object, pod } of m.workloads) {
    const account = pod.serviceAccountName;
    if (account && !m.find("ServiceAccount", account)) m.wrong(object, `no account ${account}`);
    if (object.kind === "StatefulSet" && !m.find("Service", object.spec.serviceName)) {
      m.wrong(object, `no service ${object.spec.serviceName}`);
    }
    for (const volume of pod.volumes ?? []) volumeSource(m, object, volume);
    for (const container of pod.containers) {
      for (const item of container.env ?? []) environment(m, object, pod, container, item);
      mounts(m, object, pod, container);
    }
  }
}

function sourceOf(volume) {
  if (volume.configMap) return ["ConfigMap", volume.configMap.name, volume.configMap.items];
  if (volume.secret) return ["Secret", volume.secret.secretName, volume.secret.items];
  return [];
}

function volumeSource(m, object, volume) {
  const [kind, name, items = []] = sourceOf(volume);
  if (!kind) return;
  const keys = m.keys(kind, name);
  if (!keys) m.wrong(object, `no ${kind} ${name}`);
  for (const { key } of keys ? items : []) {
    if (!keys.includes(key)) m.wrong(object, `${kind} ${name} has no key ${key}`);
  }
}

function environment(m, object, pod, container, { name, valueFrom = {} }) {
  const { secretKeyRef: secret, configMapKeyRef: map, resourceFieldRef: resource } = valueFrom;
  for (const [kind, ref] of [["Secret", secret], ["ConfigMap", map]]) {
    if (ref && !m.keys(kind, ref.name)?.includes(ref.key)) {
      m.wrong(object, `${name}: no key ${ref.key} in ${kind} ${ref.name}`);
    }
  }
  if (!resource) return;
  const [group, what] = resource.resource.split(".");
  const of = pod.containers.find((item) => item.name === (resource.containerName ?? container.name));
  if (!of?.resources?.[group]?.[what]) m.wrong(object, `${name}: ${resource.resource} is not set`);
}

function mounts(m, object, pod, container) {
  const claims = (object.spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata);
  const volumes = [...(pod.volumes ?? []), ...claims].map(({ name }) => name);
  const paths = (container.volumeMounts ?? []).map(({ mountPath }) => mountPath);
  for (const { name } of container.volumeMounts ?? []) {
    if (!volumes.includes(name)) m.wrong(object, `mounts ${name}, which is no volume`);
  }
  for (const path of paths) {
    if (paths.some((other) => path.startsWith(`${other}/`))) {
      m.wrong(object, `${path} is mounted within another mount, which may be read-only`);
    }
  }
  for (const name of volumes) {
    const used = pod.containers.some((item) => item.volumeMounts?.some((it) => it.name === name));
    if (!used) m.wrong(object, `volume ${name} is never mounted`);
  }
}

function security(m) {
  for (const { object, pod } of m.workloads) {
    const must = (good, text) => good || m.wrong(object, text);
    const { securityContext: context = {} } = pod;
    must(context.runAsNonRoot === true && context.runAsUser > 0, "may run as root");
    must(context.seccompProfile?.type === "RuntimeDefault", "seccomp is not RuntimeDefault");
    must(pod.automountServiceAccountToken === false, "has a token for the API server");
    must(!pod.hostNetwork && !pod.hostPID && !pod.hostIPC, "uses the host's namespaces");
    for (const { name, securityContext: own = {}, resources = {}, image } of pod.containers) {
      must(own.readOnlyRootFilesystem === true, `${name}: may write its root`);
      must(own.allowPrivilegeEscalation === false, `${name}: may gain privileges`);
      must(own.capabilities?.drop?.includes("ALL"), `${name}: keeps capabilities`);
      must(own.privileged !== true, `${name}: is privileged`);
      must(/:[^:/]+$/.test(image) && !image.endsWith(":latest"), `${name}: image has no version`);
      must(resources.limits?.memory, `${name}: no limit of memory`);
      must(resources.requests?.cpu && resources.requests?.memory, `${name}: requests nothing`);
      must(
        bytes(resources.requests?.memory) <= bytes(resources.limits?.memory),
        `${name}: requests more memory than it may have`,
      );
    }
    must(!(pod.volumes ?? []).some(({ hostPath }) => hostPath), "mounts the host's files");
  }
}

const UNITS = { "": 1, k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

function bytes(quantity) {
  const [, number, unit] = /^([\d.]+)([kMG]i?|Ki)?$/.exec(quantity ?? "") ?? [];
  return Number(number) * UNITS[unit ?? ""];
}

// --- The nodes' own rules -----------------------------------------------------

// Options of the examples, which have no groups, as webwired calls them.
const FLAT = {
  listen: "server.listen",
  "max-connections": "server.max-connections",
  admin: "admin.listen",
  redis: "cluster.redis",
  prefix: "cluster.prefix",
  "drain-time": "drain.time",
  "tls-cert": "tls.cert",
  "tls-key": "tls.key",
};
const FLAT_GRACE_S = 30; // wwr_server_opts_default()'s shutdown_timeout_ms

function grouped(flat) {
  const config = { drain: { grace: FLAT_GRACE_S } };
  for (const [key, value] of Object.entries(flat)) {
    const [section, name] = (FLAT[key] ?? `other.${key}`).split(".");
    (config[section] ??= {})[name] = value;
  }
  return config;
}

// The text of a file that a volume brings.
function fileOf(objects, volume, name) {
  const [kind, source] = volume ? sourceOf(volume) : [];
  const object = objects.find((it) => it.kind === kind && it.metadata.name === source);
  const text = object?.data?.[name];
  return text && kind === "Secret" ? Buffer.from(text, "base64").toString() : text;
}

/** What a node works with: its file, and the environment above it. */
export function configOf(objects, object) {
  const { pod } = templateOf(object);
  const [container] = pod.containers;
  const path = container.args[container.args.indexOf("--config") + 1];
  const mount = container.volumeMounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
  const volume = pod.volumes.find(({ name }) => name === mount?.name);
  const text = fileOf(objects, volume, path.slice(path.lastIndexOf("/") + 1));
  if (text === undefined) throw new Error(`no file ${path}`);
  const read = parseConfig(text);
  const config = typeof read.listen === "string" ? grouped(read) : read;
  const prefix = /^WEBWIRED_([A-Z]+)_/;
  for (const { name, value } of container.env ?? []) {
    const section = prefix.exec(name)?.[1].toLowerCase();
    if (!section || value === undefined) continue;
    const key = name.replace(prefix, "").toLowerCase().replaceAll("_", "-");
    (config[section] ??= {})[key] = /^\d+$/.test(value) ? Number(value) : value;
  }
  return { config, text, container, pod };
}

/** The Deployments that run webwired or something with the same file. */
export function nodesOf(objects) {
  return objects.filter(
    (object) =>
      object.kind === "Deployment" &&
      templateOf(object).pod.containers.some(({ args }) => args?.includes("--config")),
  );
}

function nodes(m) {
  for (const object of nodesOf(m.objects)) {
    let found;
    try {
      found = configOf(m.objects, object);
    } catch (error) {
      m.wrong(object, error.message);
      continue;
    }
    listeners(m, object, found);
    timing(m, object, found);
    liveness(m, object, found);
    files(m, object, found);
    rolls(m, object, found);
    cluster(m, object, found);
  }
}

function listeners(m, object, { config, container }) {
  const port = (name) => container.ports.find((item) => item.name === name)?.containerPort;
  const wanted = { ws: config.server?.listen, admin: config.admin?.listen };
  for (const [name, listen] of Object.entries(wanted)) {
    if (listen !== `0.0.0.0:${port(name)}`) {
      m.wrong(object, `port ${name} is ${port(name)}, but it listens on ${listen}`);
    }
  }
  const tls = Boolean(config.tls?.cert);
  for (const service of m.of("Service")) {
    for (const { targetPort, appProtocol = "" } of service.spec.ports) {
      if (targetPort === "ws" && appProtocol.endsWith("wss") !== tls) {
        m.wrong(service, `appProtocol ${appProtocol} and the nodes' TLS don't agree`);
      }
    }
  }
}

function timing(m, object, { config, container, pod }) {
  const { time, grace } = config.drain ?? {};
  const stop = container.lifecycle?.preStop?.sleep?.seconds ?? 0;
  const needed = stop + time + grace + MARGIN_S;
  if (!(pod.terminationGracePeriodSeconds >= needed)) {
    m.wrong(
      object,
      `terminationGracePeriodSeconds is ${pod.terminationGracePeriodSeconds}, but preStop ` +
        `${stop} + drain.time ${time} + drain.grace ${grace} + ${MARGIN_S} is ${needed}`,
    );
  }
  if (stop < 1) m.wrong(object, "no preStop: balancers still send clients when it stops");
  const { minReadySeconds = 0, progressDeadlineSeconds = 600, strategy } = object.spec;
  if (minReadySeconds < stop + time) {
    m.wrong(object, `minReadySeconds ${minReadySeconds} is less than preStop + drain.time`);
  }
  if (progressDeadlineSeconds <= 2 * minReadySeconds) {
    m.wrong(object, "progressDeadlineSeconds is too short for minReadySeconds");
  }
  const rolling = strategy?.rollingUpdate ?? {};
  if (rolling.maxUnavailable !== 0 || !rolling.maxSurge) {
    m.wrong(object, "a rolling update takes a node away before there is another");
  }
}

function liveness(m, object, { container }) {
  const paths = { startupProbe: "/live", livenessProbe: "/live", readinessProbe: "/ready" };
  for (const [kind, path] of Object.entries(paths)) {
    const get = container[kind]?.httpGet;
    if (get?.path !== path || get.port !== "admin") m.wrong(object, `${kind} is not GET ${path}`);
  }
  const { periodSeconds = 10, failureThreshold = 3 } = container.livenessProbe ?? {};
  if (periodSeconds * failureThreshold < MIN_LIVENESS_S) {
    m.wrong(object, "livenessProbe kills a node that was silent for a moment");
  }
}

// Every path in the configuration is a file that some volume brings.
function files(m, object, { config, container, pod }) {
  for (const path of pathsOf(config)) {
    const mount = container.volumeMounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
    const volume = pod.volumes.find(({ name }) => name === mount?.name);
    const [kind, name, items] = volume ? sourceOf(volume) : [];
    const keys = kind && m.keys(kind, name);
    const names = items ? items.map((item) => item.path) : keys;
    if (!names?.includes(path.slice(mount.mountPath.length + 1))) {
      m.wrong(object, `no volume has ${path}, which the configuration names`);
    }
  }
}

export function pathsOf(value) {
  if (typeof value === "string") {
    if (value.startsWith("/")) return [value];
    const query = value.includes("://") ? value.split("?")[1] : undefined;
    return [...new URLSearchParams(query ?? "").values()].filter((it) => it.startsWith("/"));
  }
  return typeof value === "object" ? Object.values(value).flatMap(pathsOf) : [];
}

// A changed file must make new pods.
function rolls(m, object, { container, pod }) {
  const { template } = templateOf(object);
  const hashed = (name) => /-[0-9a-z]{10}$/.test(name);
  const path = container.args[container.args.indexOf("--config") + 1];
  const mount = container.volumeMounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
  const names = pod.volumes.filter(({ name }) => name === mount.name).map((it) => sourceOf(it)[1]);
  if (!template.metadata.annotations?.["checksum/config"] && !names.every(hashed)) {
    m.wrong(object, "a changed configuration would not roll it");
  }
}

function cluster(m, object, { config }) {
  const { redis } = config.cluster ?? {};
  const url = /^(rediss?)(\+sentinel)?:\/\/(?:[^@/]*@)?([^/?]+)/.exec(redis ?? "");
  if (!url) {
    m.wrong(object, `cluster.redis is no URL: ${redis}`);
    return;
  }
  for (const host of url[3].split(",")) {
    const [name, port = url[2] ? "26379" : "6379"] = host.split(":");
    const service = m.find("Service", name);
    if (service && !service.spec.ports.some((item) => item.port === Number(port))) {
      m.wrong(object, `service ${name} has no port ${port}`);
    }
    if (!service && !name.includes(".")) m.wrong(object, `cluster.redis: no service ${name}`);
    if (!egressAllows(m, object, service, Number(port))) {
      m.wrong(object, `its NetworkPolicy does not let it reach ${name}:${port}`);
    }
  }
}

function egressAllows(m, object, service, port) {
  const { labels } = templateOf(object);
  const policies = m
    .of("NetworkPolicy")
    .filter(({ spec }) => matches(spec.podSelector.matchLabels, labels));
  if (policies.length === 0) return true;
  const peer = (it) =>
    service
      ? m.selected(service.spec.selector).some((w) => matches(it.podSelector?.matchLabels, w.labels))
      : Boolean(it.ipBlock);
  return policies.some(({ spec }) =>
    spec.egress.some(
      (rule) => (!rule.to || rule.to.some(peer)) && rule.ports.some((it) => it.port === port),
    ),
  );
}

// Redis must not grow into its container's limit: rewriting forks.
function redis(m) {
  for (const { object, pod } of m.workloads) {
    for (const volume of pod.volumes ?? []) {
      const text = m.find("ConfigMap", volume.configMap?.name)?.data["redis.conf"];
      if (!text) continue;
      const max = bytes(/^maxmemory (\d+)mb$/m.exec(text)?.[1]) * 2 ** 20;
      if (!(2 * max <= bytes(pod.containers[0].resources.limits.memory))) {
        m.wrong(object, "maxmemory is more than half of what its container may use");
      }
      if (!/^maxmemory-policy noeviction$/m.test(text)) m.wrong(object, "Redis evicts keys");
    }
  }
}

const RULES = [
  identities,
  selectors,
  ports,
  scaling,
  monitoring,
  references,
  security,
  nodes,
  redis,
];

export function check(objects, options) {
  const manifest = new Manifest(objects, options);
  for (const rule of RULES) rule(manifest);
  return manifest.problems;
}
