import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { rowsOf } from "../../../examples/chatroom/page/rows.js";
import { bytesLeft, hueOf, initialOf, pieces, tidy } from "../../../examples/chatroom/page/text.js";
import { announcement, composerHint, dayText, signInProblem, stateText, statusText }
  from "../../../examples/chatroom/page/words.js";

/* Addresses in angle brackets, the rest as it is. */
function marked(text) {
  const all = pieces(text);
  assert.equal(all.map((piece) => piece.text).join(""), text, "nothing is added or lost");
  return all.map((piece) => (piece.href ? `<${piece.text}>` : piece.text)).join("");
}

describe("links", () => {
  for (const [text, expected] of [
    ["see https://a.example/b?c=d#e.", "see <https://a.example/b?c=d#e>."],
    ["(http://a.example/x_(y))", "(<http://a.example/x_(y)>)"],
    ["http://a.example, http://b.example!", "<http://a.example>, <http://b.example>!"],
    ['"https://a.example"onmouseover="x"', '"<https://a.example>"onmouseover="x"'],
    ["javascript:alert(1) data:text/html,x file:///etc", "javascript:alert(1) data:text/html,x file:///etc"],
    ["https://bank.example@evil.example/", "https://bank.example@evil.example/"],
    ["https://user:pass@a.example", "https://user:pass@a.example"],
    ["https:// http://. https://[", "https:// http://. https://["],
    ["", ""],
  ]) {
    test(JSON.stringify(text), () => assert.equal(marked(text), expected));
  }
  test("what it leads to is of the Web", () => {
    const [{ href }] = pieces("HTTPS://A.EXAMPLE/x y");
    assert.equal(href, "https://a.example/x");
  });
  test("long text is no burden", () => {
    const begun = performance.now();
    for (const part of ["http://", "https://a(", "(((((", "..."]) pieces(part.repeat(20_000));
    assert.ok(performance.now() - begun < 5000);
  });
});

describe("what is sent", () => {
  for (const [text, expected] of [
    ["hi", "hi"],
    ["  two\r\nlines \n", "  two\nlines"],
    ["\n \n  code", "  code"],
    ["a\u0000b\u0007c\td", "abc\td"],
    ["half \ud83d", "half \ufffd"],
    ["\ud83d\ude42", "\ud83d\ude42"],
    [" \n\t ", ""],
  ]) {
    test(JSON.stringify(text), () => assert.equal(tidy(text), expected));
  }
  test("its bytes count, as JSON has them", () => {
    const left = bytesLeft("", "ann");
    assert.equal(bytesLeft("abc", "ann"), left - 3);
    assert.equal(bytesLeft("\u20ac\ud83d\ude42", "ann"), left - 7);
    assert.equal(bytesLeft('"\n', "ann"), left - 4);
    assert.equal(bytesLeft("", "anna"), left - 1);
    assert.equal(bytesLeft("", "ann", 10_000) - left, 10_000 - 8192);
    assert.ok(bytesLeft("x".repeat(left + 1), "ann") < 0);
  });
});

test("names: a colour of twelve, always the same; a first letter", () => {
  const hues = new Set(Array.from({ length: 200 }, (_, i) => hueOf(`name ${i}`)));
  assert.deepEqual([...hues].sort((a, b) => a - b), Array.from({ length: 12 }, (_, i) => i));
  assert.equal(hueOf("Frodo"), hueOf("Frodo"));
  assert.deepEqual(["frodo", " \u00e9a", "e\u0301a", "", "\ud83d\udc69\u200d\ud83d\udcbbx"].map(initialOf),
    ["F", "\u00c9", "E\u0301", "?", "\ud83d\udc69\u200d\ud83d\udcbb"]);
});

describe("rows", () => {
  const DAY = 24 * 3600 * 1000;
  const NOON = new Date(2026, 5, 1, 12).getTime();
  const said = (key, fields) => ({ key, user: "ann", msg: "x", time: NOON, ...fields });
  const me = { user: "bob", tab: "tab" };
  const kinds = (rows) => rows.map(({ kind }) => kind);

  test("a row per day, message and gap; what waits comes last", () => {
    const entries = [said(1), { key: 2, gap: true }, said(3, { time: NOON + DAY })];
    const items = [{ cid: "tab.1", text: "y", user: "bob", time: NOON + DAY, state: "sending" }];
    const rows = rowsOf(entries, items, me);
    assert.deepEqual(kinds(rows), ["day", "message", "gap", "day", "message", "message"]);
    assert.equal(new Set(rows.map(({ key }) => key)).size, rows.length);
    assert.deepEqual([rows.at(-1).state, rows.at(-1).own], ["pending", true]);
  });
  test("own: said in this tab, or under one's name", () => {
    const entries = [said(1), said(2, { user: "bob" }), said(3, { user: "Anonymous", cid: "tab.1" })];
    const own = rowsOf(entries, [], me).filter(({ kind }) => kind === "message").map((row) => row.own);
    assert.deepEqual(own, [false, true, true]);
    const [, guest] = rowsOf([said(1, { user: "Anonymous", cid: "x.1" })], [], { user: null, tab: "tab" });
    assert.equal(guest.own, false);
  });
  test("what one person says within minutes stands together", () => {
    const entries = [said(1), said(2), said(3, { time: NOON + 6 * 60_000 }), said(4, { user: "eve" })];
    const rows = rowsOf(entries, [], me).filter(({ kind }) => kind === "message");
    assert.deepEqual(rows.map(({ first, last }) => [first, last]),
      [[true, false], [false, true], [true, true], [true, true]]);
  });
});

describe("words", () => {
  test("the connection's state", () => {
    assert.equal(statusText("online", "node-1", false), "Connected to node-1");
    assert.equal(statusText("reconnecting", "node-1", false), "Reconnecting\u2026");
    assert.equal(statusText("reconnecting", "node-1", true), "You are offline");
    assert.match(statusText("failed", null, true), /reload/);
  });
  test("codes of the server stay behind the scenes", () => {
    for (const [code, wrong] of [
      ["INEXISTENT_USER", "name"],
      ["WRONG_PASSWORD", "pass"],
      ["SESSION_ACTIVE", null],
      ["toString", null],
    ]) {
      const { field, text } = signInProblem({ kind: "request", code });
      assert.equal(field, wrong);
      assert.doesNotMatch(text, /[A-Z]{3}/);
    }
    assert.equal(signInProblem({ kind: "timeout" }).field, null);
  });
  test("messages and hints", () => {
    const few = [{ user: "ann", msg: "hi" }, { user: "bob", msg: "ho" }];
    assert.equal(announcement(few), "ann: hi\nbob: ho");
    assert.equal(announcement([...few, ...few]), "4 new messages");
    assert.equal(composerHint({ status: "online", left: -1, full: false }), "Too long by 1 byte");
    assert.equal(composerHint({ status: "online", left: 5000, full: false }), "");
    assert.match(stateText({ state: "failed", reason: "toString" }, "online"), /^Not sent\.$/);
    assert.equal(stateText({ state: "pending" }, "online"), "Sending\u2026");
  });
  test("days", () => {
    const now = new Date(2026, 2, 30, 1).getTime(); // behind a change of the clocks
    const day = (n) => new Date(2026, 2, n).getTime();
    assert.equal(dayText(day(30), now), "Today");
    assert.equal(dayText(day(29), now), "Yesterday");
    assert.match(dayText(day(28), now), /Saturday/);
    assert.match(dayText(new Date(2025, 2, 1).getTime(), now), /2025/);
  });
});
