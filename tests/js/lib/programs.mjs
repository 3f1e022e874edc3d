/** Starts the programs under test, and whatever they need. A program dies with
 * its test: at the test's end, and also when the test is killed. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { PATIENCE, until, within } from "./until.mjs";

const MAX_OUTPUT = 4 << 20;
const SKIPPED = 77; // as CTest knows it
const SETPRIV = "/usr/bin/setpriv";

/** The folder with the programs of this build. */
export function binDir() {
  const dir = process.env.WWR_BIN;
  if (!dir) throw new Error("WWR_BIN is not set: run this through ctest, or set it to build/bin");
  return dir;
}

/** Ends the test file as skipped when there is a reason. To be asked before the
 * first test is declared. */
export function skipFile(reason) {
  if (!reason) return;
  console.log(`skipped: ${reason}`);
  process.exit(SKIPPED);
}

export class Program {
  #child;
  #output = { stdout: "", stderr: "" };
  #exit = null;

  /** `listening on ws://HOST:PORT`, once it was printed; else null. */
  url = null;
  port = null;
  /** Fulfilled with {code, signal}; never rejected. */
  exited;

  constructor(path, args, { env, cwd } = {}) {
    this.name = path.replace(/.*\//, "");
    const command = existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "KILL", "--", path] : [path];
    this.#child = spawn(command[0], [...command.slice(1), ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.exited = this.#watch();
  }

  get pid() {
    return this.#child.pid;
  }
  /** All that it has printed so far. */
  get stdout() {
    return this.#output.stdout;
  }
  get stderr() {
    return this.#output.stderr;
  }
  /** {code, signal} once it has ended; else null. */
  get exit() {
    return this.#exit;
  }

  #watch() {
    for (const name of ["stdout", "stderr"]) {
      this.#child[name].setEncoding("utf8").on("data", (text) => this.#collect(name, text));
    }
    return new Promise((resolve) => {
      this.#child.on("error", (error) => this.#collect("stderr", `${error.message}\n`));
      this.#child.on("close", (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
  }

  #collect(name, text) {
    if (this.#output[name].length + text.length <= MAX_OUTPUT) this.#output[name] += text;
    if (this.url !== null) return;
    const found = /^listening on (\w+:\/\/\S+:(\d+))$/m.exec(this.#output.stdout);
    if (found) [this.url, this.port] = [found[1], Number(found[2])];
  }

  /** Until `condition` is true; fails at once when the program ends before. */
  async ready(condition, { timeout = PATIENCE } = {}) {
    const state = () => (this.#exit ? "ended" : condition());
    const result = await until(state, { timeout, what: `${this.name} is ready` }).catch(
      (error) => error,
    );
    if (result === "ended" || result instanceof Error) {
      throw new Error(`${this.name} did not start: ${result}\n${this.tail()}`);
    }
    return this;
  }

  /** The end of what it printed, for a failure's text. */
  tail(lines = 30) {
    const last = (text) => text.trimEnd().split("\n").slice(-lines).join("\n");
    return `--- ${this.name}: stdout\n${last(this.stdout)}\n--- stderr\n${last(this.stderr)}`;
  }

  signal(signal) {
    if (!this.#exit) this.#child.kill(signal);
  }
  /** Stop it where it is, and let it go on. */
  pause() {
    this.signal("SIGSTOP");
  }
  resume() {
    this.signal("SIGCONT");
  }

  /** Send the signal and wait for the end. */
  async kill(signal = "SIGKILL") {
    this.signal(signal);
    if (signal !== "SIGKILL") this.signal("SIGCONT");
    return within(this.exited, PATIENCE, `${this.name} ends after ${signal}`);
  }

  /** SIGTERM, and its exit: throws unless that is 0 and no sanitizer spoke. */
  async stop() {
    const exit = await this.kill("SIGTERM").catch(async (error) => {
      await this.kill();
      throw new Error(`${error.message}\n${this.tail()}`);
    });
    if (exit.code !== 0 || /Sanitizer|runtime error:|Assertion/.test(this.stderr)) {
      throw new Error(`${this.name}: exit ${JSON.stringify(exit)}\n${this.tail()}`);
    }
    return exit;
  }
}

/** Run `path` with `args`; it is killed when the test `t` ends, if it still
 * runs. Does not wait for anything. */
export function launch(t, path, args = [], options = {}) {
  const program = new Program(path, args, options);
  t.after(() => program.kill());
  return program;
}

/** start(t, "echo-server"): a server of this build on a free port of loopback.
 * It accepts clients when this returns; `.url` is where. */
export async function start(t, name, args = [], options = {}) {
  const path = join(binDir(), name);
  const program = launch(t, path, ["--listen", "127.0.0.1:0", ...args], options);
  return program.ready(() => program.url !== null);
}

/** A command's {code, stdout, stderr}, within the time. */
export async function run(path, args = [], { timeout = PATIENCE, ...options } = {}) {
  const program = new Program(path, args, options);
  try {
    const { code } = await within(program.exited, timeout, `${program.name} ends`);
    return { code, stdout: program.stdout, stderr: program.stderr };
  } finally {
    await program.kill();
  }
}
