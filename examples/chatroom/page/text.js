/* text.js - what people write: its size, its links, and how names look. Pure. */

const HUES = 12;
const MESSAGE_BUFFER = 8192; /* until the server has told */
const REPLY_HEAD = 9;
const SIGNAL_HEAD = 2;
const LONGEST_ID = "18446744073709551615-18446744073709551615";
const A_TIME = "2026-01-01T00:00:00.000Z";
const LONGEST_NODE = 64;
const A_CID = 64;

/* --- Size ------------------------------------------------------------------- */

const encoder = new TextEncoder();

function bytesOf(value) {
  return encoder.encode(JSON.stringify(value)).length;
}

/** How many bytes of UTF-8 are left in a message; negative: too many by that. It
 * must fit into a signal, and into the history that a newcomer gets. */
export function bytesLeft(text, user, messageBuffer = MESSAGE_BUFFER) {
  const said = { user: user ?? "Anonymous", msg: text, cid: "c".repeat(A_CID) };
  const signal = SIGNAL_HEAD + bytesOf(said);
  const history = [{ ...said, time: A_TIME, id: LONGEST_ID }];
  const reply = REPLY_HEAD + bytesOf({ node: "n".repeat(LONGEST_NODE), history });
  return messageBuffer - Math.max(signal, reply);
}

/** Without what no chat needs: half characters, control characters but tabs and
 * line breaks, space around it. */
export function tidy(text) {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/\p{Surrogate}/gu, "\uFFFD")
    .replace(/[\u0000-\u0008\u000B-\u001F\u007F]/g, "")
    .replace(/^(?:[ \t]*\n)+|\s+$/g, "");
}

/* --- Links ------------------------------------------------------------------ */

const LINK = /https?:\/\/[^\s<>"'`]+/giu;
const TRAILING = new Set(".,;:!?…»”’)]}");

/* How much of it is the address: not the full stop behind it, nor a bracket that
 * was opened before it. */
function linkLength(text) {
  let open = 0;
  for (const char of text) open += char === "(" ? 1 : char === ")" ? -1 : 0;
  let end = text.length;
  while (end > 0 && TRAILING.has(text[end - 1])) {
    if (text[end - 1] === ")" && open++ >= 0) break;
    end--;
  }
  return end;
}

/* Only what leads where it says: no other scheme, no user before the host. */
function safeAddress(text) {
  try {
    const url = new URL(text);
    const isWeb = url.protocol === "http:" || url.protocol === "https:";
    return isWeb && url.username === "" && url.password === "" ? url.href : null;
  } catch {
    return null;
  }
}

/** The text in pieces: {text}, and {text, href} for addresses of the Web. */
export function pieces(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    const link = match[0].slice(0, linkLength(match[0]));
    const href = safeAddress(link);
    if (!href) continue;
    if (match.index > at) found.push({ text: text.slice(at, match.index) });
    found.push({ text: link, href });
    at = match.index + link.length;
  }
  if (at < text.length || found.length === 0) found.push({ text: text.slice(at) });
  return found;
}

/* --- Names ------------------------------------------------------------------ */

/** One of 12 colours, the same for the same name everywhere. */
export function hueOf(name) {
  let hash = 2166136261;
  for (const byte of encoder.encode(name)) hash = Math.imul(hash ^ byte, 16777619);
  hash ^= hash >>> 15;
  return (hash >>> 0) % HUES;
}

const segmenter = Intl.Segmenter ? new Intl.Segmenter() : null;

/** The first character that a reader sees. */
export function initialOf(name) {
  const trimmed = name.trim();
  if (!segmenter) return [...trimmed][0] ?? "?";
  const first = segmenter.segment(trimmed)[Symbol.iterator]().next();
  return first.value ? first.value.segment.toLocaleUpperCase() : "?";
}

/** Anonymous people share a name; the first part of their cids tells those of one
 * browser tab from those of another. */
export function voiceOf({ user, cid }, isAnonymous) {
  const tab = isAnonymous && cid ? cid.split(".", 1)[0] : "";
  return tab === "" ? user : `${user} ${tab}`;
}
