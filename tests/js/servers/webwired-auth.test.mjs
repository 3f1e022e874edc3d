/** Signing in to webwired with JSON Web Tokens, and its rates. */
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";

import { until } from "../lib/until.mjs";
import { subprotocol, webwired } from "../lib/webwired.mjs";
import { makeClient, rejects } from "../client/kit.mjs";

const SECRET = "a secret of more than thirty-two bytes";
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const pem = (pair) => pair.publicKey.export({ type: "spki", format: "pem" });

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const now = () => Math.floor(Date.now() / 1000);

/** How each algorithm signs. */
const signers = {
  HS256: (text, secret = SECRET) => createHmac("sha256", secret).update(text).digest(),
  RS256: (text) => sign("sha256", text, rsa.privateKey),
  ES256: (text) => sign("sha256", text, { key: ec.privateKey, dsaEncoding: "ieee-p1363" }),
  none: () => Buffer.alloc(0),
};

function token(claims, { alg = "HS256", kid, secret } = {}) {
  const text = `${part({ alg, typ: "JWT", kid })}.${part({ exp: now() + 60, ...claims })}`;
  return `${text}.${signers[alg](text, secret).toString("base64url")}`;
}

const config = `auth = {
  mode = "jwt"; issuer = "us"; audience = "them"; leeway = 0; info-claims = ["role", "rooms"];
  keys = ( { id = "h"; algorithm = "HS256"; secret-file = "DIR/secret"; },
           { id = "r"; algorithm = "RS256"; public-key-file = "DIR/rsa.pem"; },
           { id = "e"; algorithm = "ES256"; public-key-file = "DIR/ec.pem"; } );
};
channels = { presence = true; namespaces = (
  { prefix = "staff:"; publish = "info:role=staff"; subscribe = "session"; },
  { prefix = "own:"; subscribe = "info:rooms"; } );
};
`;
const files = { secret: `${SECRET}\n`, "rsa.pem": pem(rsa), "ec.pem": pem(ec) };
const ANN = { iss: "us", aud: "them", sub: "ann" };

/** Sign in; the session's info, but for its end, which is the token's. */
async function signIn(client, options, claims = {}) {
  const { exp = now() + 60 } = claims;
  const { expires, ...info } = (await client.request("auth", token({ ...ANN, ...claims, exp }, options))).json();
  assert.ok(Math.abs(expires - exp) <= 1, `${expires}, not ${exp}`);
  return info;
}

test("webwired: tokens of three algorithms", async (t) => {
  const server = await webwired(t, config, files);
  for (const alg of ["HS256", "RS256", "ES256"]) {
    for (const kid of [undefined, alg[0].toLowerCase()]) {
      const { client, seen } = makeClient(t, server.url, { subprotocol });
      assert.deepEqual(await signIn(client, { alg, kid }), { username: "ann" });
      assert.equal((await seen("session"))[1].info.username, "ann");
      client.close();
    }
  }
});

test("webwired: tokens that are wrong", async (t) => {
  const server = await webwired(t, `${config} limits = { sign-in-burst = 100; };`, files);
  const { client } = makeClient(t, server.url, { subprotocol });
  const good = token(ANN);
  const bad = {
    "not a token": "nonsense",
    empty: " ",
    "changed claims": good.replace(/\..*\./, `.${part({ ...ANN, exp: now() + 60, sub: "root" })}.`),
    "another secret": token(ANN, { secret: "another secret of thirty-two bytes, too" }),
    unsigned: token(ANN, { alg: "none" }),
    "a public key as a secret": token(ANN, { secret: pem(rsa) }),
    "another key's name": token(ANN, { kid: "r" }),
    "nobody's name": token(ANN, { kid: "x" }),
    "another issuer": token({ ...ANN, iss: "x" }),
    "another audience": token({ ...ANN, aud: ["x", "y"] }),
    "without an end": token({ ...ANN, exp: undefined }),
    "without a name": token({ ...ANN, sub: undefined }),
  };
  for (const [what, text] of Object.entries(bad)) {
    const error = await rejects(client.request("auth", text), "request");
    assert.equal(error.code, "BAD_TOKEN", what);
  }
  const old = token({ ...ANN, exp: now() - 1 });
  await rejects(client.request("auth", old), "request", { code: "EXPIRED_TOKEN" });
  assert.deepEqual(await signIn(client, {}, { aud: ["x", "them"] }), { username: "ann" });
});

test("webwired: a session ends with its token, on all connections", async (t) => {
  const server = await webwired(t, config, files);
  const ann = makeClient(t, server.url, { subprotocol });
  const tab = makeClient(t, server.url, { subprotocol });
  await Promise.all([ann, tab].map(({ client }) => client.connect()));
  await signIn(ann.client, {}, { exp: now() + 4 });
  const { key } = ann.client.session;
  await ann.client.request("sub:staff:x");
  await tab.client.restoreSession(key);
  for (const { client, seen } of [ann, tab]) {
    await seen("session", null);
    await seen("status", "connected");
    assert.equal(client.session, null);
    await rejects(client.request("sub:staff:x"), "request", { code: "SIGN_IN_FIRST" });
    await rejects(client.restoreSession(key), "session-not-found");
  }
  await signIn(ann.client);
  await ann.client.request("sub:staff:x");
});

test("webwired: a newer token makes a session last", async (t) => {
  const server = await webwired(t, config, files);
  const { client, events, seen } = makeClient(t, server.url, { subprotocol });
  await client.connect();
  const end = now() + 4;
  await signIn(client, {}, { exp: end });
  await client.request("sub:staff:x");
  const first = client.session.key;
  await rejects(client.request("auth", token({ ...ANN, sub: "bob" })), "request", { code: "BAD_REQUEST" });
  await rejects(client.request("auth", "nonsense"), "request", { code: "BAD_TOKEN" });
  assert.equal(client.session.key, first);
  assert.deepEqual(await signIn(client, {}, { role: "staff" }), { role: "staff", username: "ann" });
  assert.notEqual(client.session.key, first);
  await until(() => now() > end, { what: "the first token's end" });
  await client.request("pub:staff:x", "still subscribed, and staff by now");
  await seen("signal");
  assert.ok(!events.some(([type, value]) => type === "status" && value !== "connected"));
});

test("webwired: a session that ends by signing out", async (t) => {
  const server = await webwired(t, config.replace("leeway = 0;", 'leeway = 0; session-end = "signout";'), files);
  const { client } = makeClient(t, server.url, { subprotocol });
  await client.connect();
  const end = now() + 3; // more than two seconds, and up to three
  const reply = await client.request("auth", token({ ...ANN, exp: end }));
  assert.deepEqual(reply.json(), { username: "ann" });
  await rejects(client.request("auth", token(ANN)), "request", { code: "BAD_REQUEST" });
  await until(() => now() > end, { what: "the token's end" });
  await client.request("sub:staff:x");
});

test("webwired: what a session permits, across a reconnect", async (t) => {
  const server = await webwired(t, config, files);
  const { client, seen } = makeClient(t, server.url, { subprotocol });
  await rejects(client.request("sub:staff:x"), "request", { code: "SIGN_IN_FIRST" });
  await rejects(client.request("sub:own:a"), "request", { code: "SIGN_IN_FIRST" });
  await client.request("auth", token({ ...ANN, role: "guest", rooms: ["own:a", "own:b*"] }));
  await client.request("sub:staff:x");
  await rejects(client.request("pub:staff:x", "x"), "request", { code: "NOT_PERMITTED" });
  await client.request("sub:own:a");
  await client.request("sub:own:bc");
  await rejects(client.request("sub:own:c"), "request", { code: "NOT_PERMITTED" });
  const present = (await client.request("presence:own:a")).json();
  assert.deepEqual(present, { subscribers: 1, members: [{ name: "ann", connections: 1 }], more: false });
  await client.request("signout");
  await rejects(client.request("sub:staff:y"), "request", { code: "SIGN_IN_FIRST" });
  await client.request("auth", token({ ...ANN, role: ["x", "staff"] }));
  await seen("session");
  client.close();
  await client.connect();
  await client.request("pub:staff:x", "x");
});

test("webwired: a key is changed without a restart", async (t) => {
  const server = await webwired(t, config, files);
  const { client } = makeClient(t, server.url, { subprotocol });
  await client.request("auth", token(ANN));
  await server.configure(config.replace('algorithm = "HS256"; secret-file = "DIR/secret"', 'secret = "the next secret, which is long enough"'));
  server.signal("SIGHUP");
  await until(() => server.stderr.includes("settings read again"), { what: "read again" });
  await client.request("signout");
  await rejects(client.request("auth", token(ANN)), "request", { code: "BAD_TOKEN" });
  await client.request("auth", token(ANN, { secret: "the next secret, which is long enough" }));
  assert.ok(!server.stderr.includes("next secret"));
});

test("webwired: too much at a time", async (t) => {
  const server = await webwired(t, "limits = { requests-per-second = 1; request-burst = 5; };");
  const { client } = makeClient(t, server.url, { subprotocol });
  const other = makeClient(t, server.url, { subprotocol });
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => client.request("pub:a", "x")));
  const refused = results.filter(({ status }) => status === "rejected");
  assert.ok(refused.length >= 1 && refused.length <= 15, `${refused.length} of 20`);
  for (const { reason } of refused) assert.equal(reason.code, "RATE_LIMITED");
  await other.client.request("pub:a", "x");
});

test("webwired: a connection tries many tokens", async (t) => {
  const server = await webwired(t, config, files);
  const { client } = makeClient(t, server.url, { subprotocol });
  const other = makeClient(t, server.url, { subprotocol });
  const results = await Promise.allSettled(Array.from({ length: 30 }, () => client.request("auth", "x.y.z")));
  const codes = results.map(({ reason }) => reason.code);
  assert.deepEqual([...new Set(codes)].sort(), ["BAD_TOKEN", "RATE_LIMITED"]);
  assert.equal(codes.indexOf("RATE_LIMITED"), 10);
  await other.client.request("auth", token(ANN));
});

test("webwired: too many connections of one address", async (t) => {
  const server = await webwired(t, "limits = { connections-per-address = 2; };");
  const clients = [1, 2].map(() => makeClient(t, server.url, { subprotocol }).client);
  for (const client of clients) await client.request("sub:a");
  const third = makeClient(t, server.url, { subprotocol, autoconnect: false });
  await assert.rejects(third.client.connect());
  clients[0].close();
  await until(() => third.client.connect().then(() => true, () => false), { what: "room for another" });
});
