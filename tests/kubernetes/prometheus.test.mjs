/** Alerts, their tests and the dashboard: promtool takes them, they ask only for
 * what a node exports, and no alert is without a test that sees it fire. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { knownMetrics, metricsOf, recorded, withSeries } from "./lib/metrics.mjs";
import {
  YAML,
  deploy,
  join,
  kustomize,
  must,
  need,
  parseObjects,
  scratchDir,
  which,
} from "./lib/tools.mjs";

need("promtool");
const promtool = which("promtool");
const folder = join(deploy, "prometheus");
const [rules] = parseObjects(readFileSync(join(folder, "alerts.yaml"), "utf8"));
const TESTS = ["alerts_test.yaml", "alerts_day_test.yaml"];
const tests = TESTS.flatMap((name) => parseObjects(readFileSync(join(folder, name), "utf8")))
  .flatMap((file) => file.tests);
const dashboard = JSON.parse(readFileSync(join(deploy, "grafana/webwire.json"), "utf8"));
const alerts = rules.groups.flatMap((group) => group.rules).filter(({ alert }) => alert);
const known = new Set([
  ...[...knownMetrics()].flatMap(withSeries),
  ...recorded(),
  ...["up", "ALERTS"], // Prometheus' own
]);

function strangers(expression) {
  return metricsOf(expression).filter((name) => !known.has(name));
}

test("promtool takes the rules and the configuration", () => {
  must(promtool, ["check", "rules", join(folder, "alerts.yaml")]);
  must(promtool, ["check", "config", join(folder, "prometheus.yml")]);
});

for (const file of TESTS) {
  test(`the rules do what ${file} says`, () => {
    must(promtool, ["test", "rules", file], { cwd: folder });
  });
}

test("each alert is seen to fire, to be silent before, and to end", () => {
  for (const { alert } of alerts) {
    const cases = tests.flatMap((one) => one.alert_rule_test ?? []);
    const fired = cases.filter((one) => one.alertname === alert).map((one) => one.exp_alerts.length > 0);
    assert.deepEqual(fired, [false, true, false], alert);
  }
});

test("the healthy day has every metric that an alert asks for", () => {
  const healthy = tests.find(({ name }) => name === "healthy");
  const series = healthy.input_series.map((one) => one.series).join("\n");
  for (const { alert, expr } of alerts) {
    for (const name of metricsOf(expr).filter((it) => !it.includes(":"))) {
      assert.ok(new RegExp(`^${name}\\{`, "m").test(series), `${alert}: ${name}`);
    }
  }
  const quiet = healthy.promql_expr_test.filter(({ expr }) => expr === "ALERTS");
  assert.ok(quiet.length >= 5 && quiet.every((one) => one.exp_samples.length === 0));
});

test("every alert has a severity, words and a place in the run book", () => {
  for (const { alert, labels, annotations } of alerts) {
    assert.match(alert, /^Webwire[A-Z]/);
    assert.match(labels.severity, /^(critical|warning|info)$/, alert);
    assert.ok(annotations.summary && annotations.description, alert);
    assert.equal(annotations.runbook, `docs/operations.md#${alert.toLowerCase()}`);
  }
});

test("rules ask for metrics that exist", () => {
  for (const { alert, record, expr } of rules.groups.flatMap((group) => group.rules)) {
    assert.deepEqual(strangers(expr), [], alert ?? record);
  }
});

test("what is no metric is found", () => {
  assert.deepEqual(metricsOf('sum by (a, b) (rate(x_total{c="d{e}"}[5m])) > 2 * y offset 1h'), [
    "x_total",
    "y",
  ]);
  assert.deepEqual(strangers('webwire_conections{job="webwire"} > 0 and on (job) up'), [
    "webwire_conections",
  ]);
});

test("the PrometheusRule is alerts.yaml", () => {
  const objects = kustomize(join(deploy, "kubernetes/overlays/monitoring"));
  const { spec } = objects.find(({ kind }) => kind === "PrometheusRule");
  assert.deepEqual(spec, rules);
});

// --- The dashboard -----------------------------------------------------------

function expressionsOf(panels) {
  return panels.flatMap(({ title, targets = [], panels: inner = [] }) => [
    ...targets.map(({ expr }) => ({ title, expr })),
    ...expressionsOf(inner),
  ]);
}

const expressions = [
  ...expressionsOf(dashboard.panels),
  ...dashboard.annotations.list.map(({ name, expr }) => ({ title: name, expr })),
];

// As Grafana does before it asks.
function filled(expr) {
  return expr.replace(/\$__rate_interval/g, "5m").replace(/\$(namespace|instance)\b/g, ".*");
}

test("promtool understands every expression of the dashboard", () => {
  assert.ok(expressions.length > 30);
  const file = join(scratchDir(), "dashboard.yaml");
  const records = expressions.map(({ expr }, i) => ({ record: `panel:${i}`, expr: filled(expr) }));
  writeFileSync(file, YAML.stringify({ groups: [{ name: "dashboard", rules: records }] }));
  must(promtool, ["check", "rules", file]);
});

test("the dashboard asks for metrics and variables that exist", () => {
  const variables = dashboard.templating.list.map(({ name }) => name);
  for (const { title, expr } of expressions) {
    assert.deepEqual(strangers(filled(expr)), [], title);
    for (const [, name] of expr.matchAll(/\$(?!__)(\w+)/g)) {
      assert.ok(variables.includes(name), `${title}: $${name}`);
    }
  }
  for (const { query } of dashboard.templating.list) {
    const metric = /label_values\((\w+)/.exec(query?.query ?? "")?.[1];
    assert.ok(metric === undefined || known.has(metric), metric);
  }
});

test("the dashboard's panels have a title, words, a unit, and do not overlap", () => {
  const ids = dashboard.panels.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  const taken = new Set();
  for (const { type, title, description, gridPos, fieldConfig } of dashboard.panels) {
    assert.ok(title);
    if (type !== "row") assert.ok(description, title);
    if (!["row", "heatmap"].includes(type)) assert.ok(fieldConfig.defaults.unit, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.ok(x < 24 && !taken.has(`${x},${y}`), title);
        taken.add(`${x},${y}`);
      }
    }
  }
});

test("what a node exports is on the dashboard or in an alert", () => {
  const used = new Set(
    [...expressions, ...alerts].flatMap(({ expr }) => metricsOf(filled(expr))),
  );
  const unused = [...knownMetrics()].filter(
    (name) => !withSeries(name).some((series) => used.has(series)),
  );
  // What a recording rule or the dashboard's variables take up counts, too.
  const text = JSON.stringify(dashboard.templating) + JSON.stringify(rules);
  assert.deepEqual(unused.filter((name) => !text.includes(name)), []);
});
