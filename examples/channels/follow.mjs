/** Follow a channel of webwired without missing or repeating a message, through
 * lost connections (docs/channels.md, "Places").
 *
 *   const end = follow(client, "chat:hall", {
 *     message: (text) => ...,      // each once, in order
 *     gap: (what) => ...,          // some are lost, and cannot be read again
 *     failed: (error) => ...,      // not permitted, for example
 *   });
 *   end();                         // stop
 *
 * `client` is a Client of webwire-client, connected or not. */

// An epoch is a text: its number is too long for JavaScript's.
const isAfter = (a, b) =>
  BigInt(a.epoch) > BigInt(b.epoch) || (a.epoch === b.epoch && a.offset > b.offset);

/** The payload of a message out of the log: text, or bytes; null when it was too
 * long for the answer. */
function payloadOf({ encoding, payload, base64 }) {
  if (payload === null || (encoding !== "binary" && !base64)) return payload;
  return Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
}

export function follow(client, channel, { message, gap = () => {}, failed = () => {} }) {
  let place = null; // of the last message that was handed out; null: not known
  let waiting = null; // what arrives while the log is read
  let turn = 0; // of start(): an earlier one that is still under way gives up

  const take = (payload) => {
    if (place) place = { ...place, offset: place.offset + 1 };
    message(payload);
  };

  /** Hand out what the log has between our place and `end`, a page at a time. */
  async function catchUp(end, mine) {
    while (isAfter(end, place)) {
      const wish = JSON.stringify({ after: place });
      const page = (await client.request(`history:${channel}`, wish)).json();
      if (mine !== turn) return;
      const missed = page.messages.filter((one) => !isAfter(one, end));
      const next = missed[0] && missed[0].epoch === place.epoch && missed[0].offset === place.offset + 1;
      if (!next) gap("some are gone from the log");
      for (const one of missed) {
        if (one.epoch !== place.epoch && next) gap("the log began anew");
        place = { epoch: one.epoch, offset: one.offset };
        message(payloadOf(one));
      }
      if (!page.more) return;
    }
  }

  /** Subscribe, and read what was missed; or, when nothing was, ask where we are.
   * What awaits a request runs before the signals that follow its reply. */
  async function start(missing) {
    const mine = ++turn;
    waiting = missing ? [] : null; // a new connection hears nothing before the reply
    const { epoch, offset } = (await client.request(`sub:${channel}`)).json();
    if (mine !== turn) return;
    if (missing && place) await catchUp({ epoch, offset }, mine);
    if (mine !== turn) return;
    place = { epoch, offset };
    const late = waiting ?? [];
    waiting = null;
    late.forEach(take);
  }

  const begin = (missing) =>
    start(missing).catch((error) => {
      if (error.kind !== "disconnected") failed(error); // else it begins again
    });

  const off = [
    client.on("signal", ({ name, payload }) => {
      if (name === `gap:${channel}`) {
        gap(payload.text);
        if (!waiting) begin(false); // where are we now?
      } else if (name === channel) {
        const content = payload.encoding === "binary" ? payload.bytes : payload.text;
        if (waiting) waiting.push(content);
        else take(content);
      }
    }),
    client.on("status", (status) => {
      if (status === "connected") begin(true);
    }),
  ];
  if (client.status === "connected") begin(true);
  else client.connect().catch(failed);

  return () => {
    turn++;
    off.forEach((remove) => remove());
    return client.request(`unsub:${channel}`).catch(() => {});
  };
}
