/** What the tests of the client share. */
import assert from "node:assert/strict";

import { Client, WebwireError } from "../../../client/js/webwire.js";
import { WebSocket as Package } from "../lib/packages.mjs";
import { PATIENCE, until } from "../lib/until.mjs";
import { startFake } from "./fake.mjs";

/** Node's own where it has one, as everybody would. */
export const WebSocket = globalThis.WebSocket ?? Package;

/** A storage like localStorage, for as many clients as there are tabs. */
export function makeStorage() {
  const items = new Map();
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

/** A client that is closed with its test and writes down its events. */
export function makeClient(t, url, options = {}) {
  const client = new Client(url, { WebSocket, reconnectInterval: 20, reconnectMax: 200, ...options });
  const events = [];
  for (const type of ["status", "signal", "session", "retry"]) {
    client.on(type, (...values) => events.push([type, ...values]));
  }
  t.after(() => client.close());
  /** Until an event of this type (and first value) has come since the last. */
  const seen = (type, value) =>
    until(
      () => {
        const at = events.findIndex(([name, first]) => name === type && (value === undefined || first === value));
        return at >= 0 && events.splice(0, at + 1).at(-1);
      },
      { what: `event ${type} ${value ?? ""}` },
    );
  return { client, events, seen };
}

/** The promise is rejected with that kind of our error, which is returned. */
export async function rejects(promise, kind, more = {}) {
  const error = await promise.then(
    (value) => assert.fail(`fulfilled with ${value}, not rejected with ${kind}`),
    (reason) => reason,
  );
  assert.ok(error instanceof WebwireError, `${error?.stack ?? error}`);
  assert.equal(error.kind, kind, error.message);
  for (const [name, value] of Object.entries(more)) assert.equal(error[name], value, name);
  return error;
}

/** A client that a scripted server has accepted. */
export async function connected(t, options, conf) {
  const fake = await startFake(t);
  const { client, events, seen } = makeClient(t, fake.url, options);
  const [peer] = await Promise.all([fake.accepted(conf), client.connect({ timeout: PATIENCE })]);
  return { fake, client, events, seen, peer };
}
