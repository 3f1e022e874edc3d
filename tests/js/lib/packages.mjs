/** Packages of tests/js/package.json. They are installed into the build folder
 * (WWR_JS_MODULES), where an import by name does not look. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = process.env.WWR_JS_MODULES ?? fileURLToPath(new URL("..", import.meta.url));

const require = createRequire(join(folder, "package.json"));

/** The package's module: `load("ws")`, `load("playwright-core")`. */
export function load(name) {
  return require(name);
}

/** The path of a file of a package: `locate("typescript", "bin/tsc")`. */
export function locate(name, file) {
  return join(folder, "node_modules", name, file);
}

/** A WebSocket constructor that behaves like a browser's. Node 20 has none of
 * its own. */
export const { WebSocket } = load("ws");
