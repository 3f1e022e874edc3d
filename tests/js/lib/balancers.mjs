/** The load balancers' deployed configurations, in front of any ports. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { converse, freePorts, HAPROXY, haproxyConfig } from "./cluster.mjs";
import { launch, run } from "./programs.mjs";

const NGINX = "/usr/sbin/nginx";
const NGINX_CONFIG = fileURLToPath(new URL("../../../deploy/nginx/nginx.conf", import.meta.url));

/** What the machine lacks, as a reason to skip; else false. */
export async function missing(name) {
  const program = { haproxy: HAPROXY, nginx: NGINX }[name];
  const { code } = await run(program, ["-v"]);
  return code === 0 ? false : `no ${name}`;
}

/** A certificate for localhost that signs itself: {cert, key, both}, file names. */
export async function makeCertificate(dir) {
  const [cert, key, both] = ["cert.pem", "key.pem", "both.pem"].map((name) => join(dir, name));
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  args.push("-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert);
  const { code, stderr } = await run("openssl", args);
  if (code !== 0) throw new Error(stderr);
  await writeFile(both, (await readFile(cert, "utf8")) + (await readFile(key, "utf8")));
  return { cert, key, both };
}

async function haproxyCommand({ dir, ports, port, tlsPort, idle, certificate }) {
  const file = join(dir, "haproxy.cfg");
  const nodes = ports.map((at, i) => ({ name: `node-${i + 1}`, port: at }));
  await writeFile(file, await haproxyConfig(nodes));
  const variables = [`WEBWIRE_LISTEN=127.0.0.1:${port}`, "WEBWIRE_CHECK=100ms", "WEBWIRE_THREADS=1"];
  variables.push(`WEBWIRE_STATS=${dir}/haproxy-status.sock`);
  if (idle) variables.push(`WEBWIRE_TUNNEL=${idle}s`);
  if (certificate) {
    variables.push(`WEBWIRE_CERT=${certificate.both}`, `WEBWIRE_TLS_LISTEN=127.0.0.1:${tlsPort}`);
  }
  return ["/usr/bin/env", ...variables, HAPROXY, "-db", "-f", file];
}

/** The file with what differs from place to place replaced. */
async function nginxConfig({ dir, ports, port, tlsPort, idle, certificate }) {
  const text = await readFile(NGINX_CONFIG, "utf8");
  const server = /^ *server 127\.0\.0\.1:\d+ .*\n/gm;
  const [one] = text.match(server);
  const servers = ports.map((at) => one.replace(/:\d+/, `:${at}`)).join("");
  const first = text.search(server);
  let made = text.replace(server, "");
  made = made.slice(0, first) + servers + made.slice(first);
  made = made.replace("listen 8080;", `listen 127.0.0.1:${port};`);
  // One process, so that it ends with the test whatever happens, and no more
  // descriptors than the machine may allow.
  made = made.replace("worker_processes auto;", "daemon off;\nmaster_process off;");
  made = made.replace(/rlimit_nofile \d+/, "rlimit_nofile 4000").replace(/worker_connections \d+/, "worker_connections 2000");
  made = made.replace("pid /run/nginx.pid;", `pid ${dir}/nginx.pid;`);
  if (idle) made = made.replace(/(proxy_(read|send)_timeout) 75s;/g, `$1 ${idle}s;`);
  if (certificate) {
    made = made.replaceAll("#tls ", "").replace("listen 8443", `listen 127.0.0.1:${tlsPort}`);
    made = made.replace(/ssl_certificate \S+;/, `ssl_certificate ${certificate.cert};`);
    made = made.replace(/ssl_certificate_key \S+;/, `ssl_certificate_key ${certificate.key};`);
  }
  return made;
}

async function nginxCommand(options) {
  const file = join(options.dir, "nginx.conf");
  await writeFile(file, await nginxConfig(options));
  return [NGINX, "-e", "stderr", "-c", file, "-p", options.dir];
}

/** startBalancer(t, "nginx", {dir, ports: of the nodes, idle: seconds,
 * certificate}): {port, tlsPort, http, url} of one that answers. */
export async function startBalancer(t, name, options) {
  const [port, tlsPort] = await freePorts(2);
  const all = { ...options, port, tlsPort };
  const [path, ...args] = await (name === "nginx" ? nginxCommand(all) : haproxyCommand(all));
  const program = launch(t, path, args);
  await program.ready(async () => {
    const answer = await converse(port, "OPTIONS / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    return / 200 /.test(answer.split("\r\n")[0]);
  });
  return { port, tlsPort, program, http: `http://127.0.0.1:${port}`, url: `ws://127.0.0.1:${port}` };
}
