/** A server that says what the test tells it to, lies included. Its messages are
 * made by hand, not by the codec under test. */
import { createServer } from "node:http";

import { load } from "../lib/packages.mjs";
import { PATIENCE, within } from "../lib/until.mjs";

const { WebSocketServer } = load("ws");

const u32 = (value) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 255);

/** accept-conf, by default that of a server of ours. */
export function acceptConf({ major = 2, readTimeout = 60_000, messageBuffer = 8192, subprotocol = "" } = {}) {
  return Buffer.from([23, major, 0, ...u32(readTimeout), ...u32(messageBuffer), ...Buffer.from(subprotocol)]);
}

export const sessionObject = (key, info) => {
  const time = "2026-11-22T15:04:05.123456789Z";
  return JSON.stringify({ k: key, c: time, l: time, i: info });
};

/** One client, as the server sees it. */
class Peer {
  #socket;
  #messages = [];
  #waiting = null;

  constructor(socket, path) {
    this.#socket = socket;
    this.path = path;
    this.closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
    socket.on("message", (data) => this.#take(data));
    socket.on("error", () => {});
  }

  #take(data) {
    this.#messages.push(data);
    this.#waiting?.();
  }

  /** How many came that nobody has asked for. */
  get unread() {
    return this.#messages.length;
  }

  /** The next message: {type, id, rest, bytes}. */
  async receive() {
    while (!this.#messages.length) {
      const more = new Promise((resolve) => (this.#waiting = resolve));
      await within(more, PATIENCE, "a message of the client");
    }
    const bytes = this.#messages.shift();
    const hasId = [31, 32, 127, 128, 129].includes(bytes[0]);
    const rest = bytes.subarray(hasId ? 9 : 1);
    return { type: bytes[0], id: hasId ? bytes.subarray(1, 9) : null, rest, bytes };
  }

  send(...parts) {
    this.#socket.send(Buffer.concat(parts.map((part) => Buffer.from(part))));
  }
  sendText(text) {
    this.#socket.send(text);
  }
  accept(conf) {
    this.send(acceptConf(conf));
  }
  reply(request, text) {
    this.send([192], request.id, text);
  }
  fail(request, type) {
    this.send([type], request.id);
  }
  signal(text) {
    this.send([64, 0], text);
  }
  pause() {
    this.#socket.pause();
  }
  resume() {
    this.#socket.resume();
  }
  close(code = 1000) {
    this.#socket.close(code);
  }
  /** Without a word. */
  terminate() {
    this.#socket.terminate();
  }
  get isOpen() {
    return this.#socket.readyState === 1;
  }
}

class Fake {
  #arrived = [];
  #waiting = null;
  #http;
  refuse = null; // an HTTP status
  welcome = false; // accept whoever comes
  count = 0;

  async listen(port = 0) {
    const server = new WebSocketServer({ noServer: true, closeTimeout: 500 });
    this.#http = createServer();
    this.#http.on("upgrade", (request, socket, head) => {
      this.count++;
      if (this.refuse) {
        socket.end(`HTTP/1.1 ${this.refuse} No\r\nConnection: close\r\n\r\n`);
        return;
      }
      server.handleUpgrade(request, socket, head, (peer) => {
        const one = new Peer(peer, request.url);
        if (this.welcome) one.accept();
        this.#arrived.push(one);
        this.#waiting?.();
      });
    });
    await new Promise((resolve) => this.#http.listen(port, "127.0.0.1", resolve));
    this.server = server;
    this.port = this.#http.address().port;
    this.url = `ws://127.0.0.1:${this.port}/`;
    return this;
  }

  /** The next client that connects. */
  async peer() {
    while (!this.#arrived.length) {
      const more = new Promise((resolve) => (this.#waiting = resolve));
      await within(more, PATIENCE, "a client connects");
    }
    return this.#arrived.shift();
  }

  /** And it is accepted. */
  async accepted(conf) {
    const peer = await this.peer();
    peer.accept(conf);
    return peer;
  }

  stop() {
    for (const socket of this.server.clients) socket.terminate();
    this.#http.closeAllConnections();
    return new Promise((resolve) => this.#http.close(resolve));
  }
}

export async function startFake(t, port) {
  const fake = await new Fake().listen(port);
  t.after(() => fake.stop());
  return fake;
}
