/** The metrics that a node exports, as docs/admin.md lists them, and what an
 * expression of PromQL asks for. */
import { readFileSync } from "node:fs";
import { deploy, join, parseObjects, root } from "./tools.mjs";

/** Names with the series that a histogram is. */
export function withSeries(name) {
  return [name, `${name}_bucket`, `${name}_sum`, `${name}_count`];
}

export function knownMetrics() {
  const text = readFileSync(join(root, "docs/admin.md"), "utf8");
  const names = text.match(/\b(webwire|process)_[a-z_]+[a-z]\b/g) ?? [];
  return new Set(names);
}

/** The names that the recording rules of alerts.yaml make. */
export function recorded() {
  const [{ groups }] = parseObjects(readFileSync(join(deploy, "prometheus/alerts.yaml"), "utf8"));
  return groups.flatMap(({ rules }) => rules).flatMap(({ record }) => record ?? []);
}

const GROUPING = /\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const KEYWORDS = new Set(["and", "or", "unless", "bool", "offset"]);

/** The metrics of an expression: what is left of its names without strings,
 * label matchers, lists of labels, ranges, functions and keywords. */
export function metricsOf(expression) {
  const bare = expression
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\{[^}]*\}/g, " ")
    .replace(/\[[^\]]*\]/g, " ")
    .replace(GROUPING, " ");
  const names = bare.matchAll(/(?<![\w.:$])([a-zA-Z_:][\w:]*)(\s*\()?/g);
  return [...names].filter(([, name, call]) => !call && !KEYWORDS.has(name)).map(([, name]) => name);
}

