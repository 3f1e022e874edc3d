/** All that deploy/ has for Kubernetes, rendered: by folder of kustomize and by
 * values of the chart. */
import assert from "node:assert/strict";
import { realpathSync, writeFileSync } from "node:fs";
import { relative } from "node:path";

import { YAML, deploy, helmTemplate, join, kustomize, scratchDir } from "./tools.mjs";
import { VALUES } from "./values.mjs";

/** What prod expects somebody to have made; docs/kubernetes.md says how. */
export const PROD = {
  "Secret/webwire-secrets": ["admin-token", "redis-password", "redis-ca.crt", "jwt.pem"],
  "Secret/webwire-tls": ["tls.crt", "tls.key"],
};
const FOLDERS = {
  base: {},
  "overlays/dev": {},
  "overlays/prod": PROD,
  "overlays/chatroom": {},
  "overlays/monitoring": {},
};

// As docs/kubernetes.md says: components added to prod.
function watchedProd() {
  const dir = scratchDir();
  const kubernetes = relative(realpathSync(dir), realpathSync(join(deploy, "kubernetes")));
  const composed = {
    namespace: "webwire",
    resources: [`${kubernetes}/overlays/prod`],
    components: ["monitoring", "scale-by-connections"].map((it) => `${kubernetes}/components/${it}`),
  };
  writeFileSync(join(dir, "kustomization.yaml"), YAML.stringify(composed));
  return kustomize(dir);
}

/** A Map from titles to {objects, options}: `options` for check() of rules.mjs,
 * with `more` among them. */
export function renderAll(more = {}) {
  const rendered = new Map();
  for (const [folder, external] of Object.entries(FOLDERS)) {
    const objects = kustomize(join(deploy, "kubernetes", folder));
    rendered.set(folder, { objects, options: { external, ...more } });
  }
  rendered.set("prod, watched", { objects: watchedProd(), options: { external: PROD, ...more } });
  for (const { title, values, external } of VALUES) {
    const { objects, output } = helmTemplate(values);
    assert.ok(objects.length, output);
    rendered.set(`helm: ${title}`, { objects, options: { external, ...more } });
  }
  return rendered;
}
