/** A node of the program webwired with a configuration of the test's. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { start } from "./programs.mjs";

export const subprotocol = "webwire-channels/1";

/** Started on a file with this text. `files` {name: text} are beside it, and
 * `DIR` in the text is where. */
export async function webwired(t, config = "", files = {}) {
  const dir = await mkdtemp(join(tmpdir(), "wwr-js-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, "x.conf");
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  const configure = (text) => writeFile(path, text.replaceAll("DIR", dir));
  await configure(config);
  const args = ["--config", path, "--sessions", join(dir, "sessions"), "--drain-time", "0", "--admin", "off"];
  const server = await start(t, "webwired", args);
  server.configure = configure;
  return server;
}
