/** Compiled, never run: what users of the types may write, and what not. */
import {
  Client,
  Payload,
  WebwireError,
  utf16,
  type ErrorName,
  type Events,
  type Options,
  type Session,
  type Status,
} from "webwire-client";

declare class SomeWebSocket {
  constructor(url: string | URL, protocols?: string[]);
}

const options: Options = {
  subprotocol: "chat",
  requestTimeout: 1000,
  storage: localStorage,
  WebSocket: SomeWebSocket,
};
const client = new Client(new URL("wss://localhost"), options);
const plain: Client = new Client("/join");

const status: Status = client.status;
const session: Session | null = client.session;
const limit: number | undefined = client.serverLimits?.messageBuffer;
const user: unknown = session?.info.user;

const stop: () => void = client.on("signal", ({ name, payload }) => {
  const text: string = name + payload.text;
  const first: number = payload.bytes[0];
});
client.on("status", (next, reason) => {
  if (next === "disabled" && reason?.kind === "incompatible-version") stop();
});
client.on("session", (next, reason) => next?.creation.getTime() ?? reason?.kind);
client.on("retry", (retry) => retry.in + retry.attempt);
const listener: Events["retry"] = async () => {};

async function calls(): Promise<void> {
  const reply: Payload = await client.request("name", "text", { timeout: 5 });
  await client.request("name", new Uint8Array(4), { signal: AbortSignal.timeout(5) });
  await client.request("name", utf16("text"));
  await client.request("name", reply);
  await client.request("name", null);
  await client.request("name");
  const nothing: void = await client.signal("name", reply.bytes);
  const restored: Session = await client.restoreSession("key", {});
  await client.closeSession();
  await client.connect({ timeout: 5 });
  client.close();
  try {
    (await client.request("name")).json();
  } catch (error) {
    if (error instanceof WebwireError && !error.isTimeout) {
      const kind: ErrorName = error.kind;
      const code: string | undefined = error.code;
    }
  }
}

// @ts-expect-error: no such event
client.on("nothing", () => {});
// @ts-expect-error: a number is no payload
void client.request("name", 5);
// @ts-expect-error: an object is none either
void client.signal("name", { text: "" });
// @ts-expect-error: a name is needed
void client.request();
// @ts-expect-error: read only
client.status = "connected";
// @ts-expect-error: no such option
new Client("/", { timeout: 5 });
// @ts-expect-error: a listener of another event
client.on("status", (signal: Signal) => signal.name);
// @ts-expect-error: no such kind
const wrong: ErrorName = "tls";
// @ts-expect-error: may be null
client.session.key;

export { calls, limit, listener, plain, status, user, wrong };
