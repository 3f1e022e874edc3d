import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { readMessage, Timeline } from "../../../examples/chatroom/page/timeline.js";

const NOW = 1_700_000_000_000;

/* A message of the log: `n` is its place. */
function logged(n, { user = "ann", msg = `text ${n}`, cid = `cid ${n}`, epoch = 7 } = {}) {
  const message = { user, msg, id: `${epoch}-${n}`, time: NOW + n };
  return cid === null ? message : { ...message, cid };
}
/* The same as it comes live. */
function live({ user, msg, cid }) {
  return cid === undefined ? { user, msg } : { user, msg, cid };
}
function range(from, to, options) {
  return Array.from({ length: to - from }, (_, i) => logged(from + i, options));
}
const seen = (timeline) => timeline.entries.map((entry) => (entry.gap ? "gap" : entry.msg));
const texts = (messages) => messages.map(({ msg }) => msg);

describe("a stranger's message", () => {
  const good = { user: "ann", msg: "hi" };
  for (const [what, value] of [
    ["nothing", undefined],
    ["null", null],
    ["a text", "hi"],
    ["a list", [good]],
    ["no user", { msg: "hi" }],
    ["a user that is no text", { user: 1, msg: "hi" }],
    ["a text that is none", { user: "ann", msg: { toString: "hi" } }],
  ]) {
    test(`${what} is none`, () => assert.equal(readMessage(value), null));
  }
  test("what else it says counts only when it is well-formed", () => {
    const odd = { ...good, cid: "", id: 7, time: "yesterday", extra: true };
    assert.deepEqual(readMessage(odd), good);
    assert.deepEqual(readMessage({ ...good, cid: "c".repeat(65) }), good);
    const all = { ...good, cid: "c", id: "1-2", time: new Date(NOW).toISOString() };
    assert.deepEqual(readMessage(all), { ...good, cid: "c", id: "1-2", time: NOW });
  });
});

describe("live", () => {
  test("each message once, by its cid", () => {
    const timeline = new Timeline();
    assert.equal(timeline.live(live(logged(1)), NOW).msg, "text 1");
    assert.equal(timeline.live(live(logged(1)), NOW), null);
    assert.ok(timeline.has("cid 1"));
    assert.deepEqual(seen(timeline), ["text 1"]);
  });
  test("two that only look the same are two", () => {
    const timeline = new Timeline();
    for (let i = 0; i < 2; i++) timeline.live({ user: "ann", msg: "yes" }, NOW);
    assert.deepEqual(seen(timeline), ["yes", "yes"]);
  });
  test("the list is bounded, the oldest go; so are the cids", () => {
    const timeline = new Timeline({ limit: 3, remembered: 4 });
    for (const message of range(0, 10)) timeline.live(live(message), NOW);
    assert.deepEqual(seen(timeline), texts(range(7, 10)));
    assert.deepEqual([5, 6, 9].map((n) => timeline.has(`cid ${n}`)), [false, true, true]);
  });
  test("time does not run backwards", () => {
    const timeline = new Timeline();
    timeline.live(live(logged(1)), NOW);
    timeline.live(live(logged(2)), NOW - 5000);
    assert.deepEqual(timeline.entries.map(({ time }) => time), [NOW, NOW]);
  });
  test("a reply tells the id and the log's time", () => {
    const timeline = new Timeline();
    const { key } = timeline.live(live(logged(1)), NOW);
    assert.ok(timeline.confirm("cid 1", { id: "7-1", time: NOW + 1 }));
    assert.deepEqual(timeline.entries, [{ ...logged(1), key }]);
    assert.equal(timeline.confirm("cid 2", { id: "7-2" }), false);
  });
});

describe("joining again", () => {
  const joined = (history, options) => {
    const timeline = new Timeline(options);
    timeline.merge(history, NOW);
    return timeline;
  };
  test("what was missed comes behind what is there; keys stay", () => {
    const timeline = joined(range(0, 5));
    timeline.live(live(logged(5)), NOW);
    const before = timeline.entries.map(({ key }) => key);
    const added = timeline.merge(range(2, 9), NOW);
    assert.deepEqual(texts(added), texts(range(6, 9)));
    assert.deepEqual(seen(timeline), texts(range(0, 9)));
    assert.deepEqual(timeline.entries.slice(0, 6).map(({ key }) => key), before);
  });
  test("nothing was missed: nothing is new", () => {
    const timeline = joined(range(0, 5));
    assert.deepEqual(timeline.merge(range(0, 5), NOW), []);
    assert.deepEqual(seen(timeline), texts(range(0, 5)));
  });
  test("more was missed than the history holds: a gap, once", () => {
    const timeline = joined(range(0, 5));
    timeline.merge(range(20, 25), NOW);
    assert.deepEqual(seen(timeline), [...texts(range(0, 5)), "gap", ...texts(range(20, 25))]);
    timeline.merge(range(40, 42), NOW);
    assert.equal(seen(timeline).filter((one) => one === "gap").length, 2);
    timeline.merge(range(40, 42), NOW);
    assert.equal(seen(timeline).filter((one) => one === "gap").length, 2);
  });
  test("the log is empty now: what was seen stays", () => {
    const timeline = joined(range(0, 3));
    assert.deepEqual(timeline.merge([], NOW), []);
    assert.deepEqual(seen(timeline).slice(0, 3), texts(range(0, 3)));
    timeline.merge(range(0, 2, { epoch: 8, user: "bob", cid: null }), NOW);
    assert.equal(seen(timeline).filter((one) => one === "gap").length, 1);
  });
  test("the log moved to another epoch, its messages with it", () => {
    const timeline = joined(range(0, 5));
    const moved = range(3, 8).map((message) => ({ ...message, id: `8-${message.id}` }));
    timeline.merge(moved, NOW);
    assert.deepEqual(seen(timeline), texts(range(0, 8)));
  });
  test("a message that somebody said twice is shown once", () => {
    const timeline = joined([logged(0), logged(1, { cid: "cid 0", msg: "text 0" }), logged(2)]);
    assert.deepEqual(seen(timeline), ["text 0", "text 2"]);
  });
  test("nor when it is said again later", () => {
    const timeline = joined(range(0, 8));
    const added = timeline.merge([...range(5, 9), logged(9, { cid: "cid 0", msg: "again" })], NOW);
    assert.deepEqual(texts(added), ["text 8"]);
  });
  test("a cid that somebody stole is no meeting point", () => {
    const timeline = new Timeline();
    for (const message of range(0, 3)) timeline.live(live(message), NOW);
    const stolen = logged(22, { cid: "cid 2", msg: "stolen" });
    timeline.merge([...range(20, 22), stolen, logged(23)], NOW);
    const expected = [...texts(range(0, 3)), "gap", ...texts(range(20, 22)), "text 23"];
    assert.deepEqual(seen(timeline), expected);
  });
  test("the log has lost its end: what was seen of it stays, before a gap", () => {
    const timeline = joined(range(0, 3));
    for (const message of range(3, 5)) timeline.live(live(message), NOW);
    timeline.merge([...range(0, 3), logged(3, { epoch: 8, cid: "new", msg: "new" })], NOW);
    assert.deepEqual(seen(timeline), [...texts(range(0, 5)), "gap", "new"]);
  });
  test("what only looks the same is not, by its place in the log", () => {
    const yes = (n) => logged(n, { msg: "yes", cid: null });
    const timeline = joined([yes(1)]);
    timeline.merge([yes(2)], NOW);
    assert.deepEqual(seen(timeline), ["yes", "gap", "yes"]);
  });
  test("two that look the same came live: each is found again", () => {
    const yes = (n) => logged(n, { msg: "yes", cid: null });
    const timeline = joined([logged(0)]);
    for (const n of [1, 2]) timeline.live(live(yes(n)), NOW);
    const before = timeline.entries.map(({ key }) => key);
    assert.deepEqual(texts(timeline.merge([logged(0), yes(1), yes(2), logged(3)], NOW)), ["text 3"]);
    assert.deepEqual(timeline.entries.slice(0, 3).map(({ key }) => key), before);
  });
  test("a gap at the beginning of the list is none", () => {
    const timeline = joined(range(0, 2), { limit: 3 });
    timeline.merge(range(10, 13), NOW);
    assert.deepEqual(seen(timeline), texts(range(10, 13)));
  });
});

/* --- Any history ---------------------------------------------------------------- */

function randomFrom(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/* Messages that stand side by side in the list do so in the log; the last one is
 * the last. Older programs' messages have no cid: then a gap may be shown where
 * nothing is missing, but never none where something is. */
function assertHonest(timeline, log, what) {
  let before = null;
  for (const entry of timeline.entries) {
    const at = entry.gap ? null : Number(entry.msg.split(" ")[1]);
    if (at !== null && before !== null) assert.equal(at, before + 1, what);
    before = at;
  }
  assert.equal(timeline.entries.at(-1)?.msg, log.at(-1)?.msg, what);
  const places = timeline.entries.filter(({ gap }) => !gap).map(({ msg }) => Number(msg.split(" ")[1]));
  assert.deepEqual(places, [...new Set(places)].sort((a, b) => a - b), what);
}

/* Live while connected, missing while not, joining again. With cids the list is
 * the end of the log, with a gap exactly where more was missed than came. */
function readALog(seed, { withCid }) {
  const random = randomFrom(seed);
  const log = [];
  const timeline = new Timeline({ limit: 40 });
  let expected = [];
  const say = (isLive) => {
    log.push(logged(log.length, withCid || random(2) === 0 ? {} : { cid: null }));
    if (!isLive) return;
    timeline.live(live(log.at(-1)), NOW + log.length);
    expected.push(log.at(-1).msg);
  };
  for (let round = 0; round < 30; round++) {
    for (let n = random(12); n > 0; n--) say(true);
    const missed = random(20);
    for (let n = 0; n < missed; n++) say(false);
    const history = log.slice(-(1 + random(16)));
    const hasGap = expected.length > 0 && missed >= history.length;
    const fresh = history.slice(Math.max(0, history.length - missed));
    expected = [...expected, ...(hasGap ? ["gap"] : []), ...texts(fresh)].slice(-40);
    if (expected[0] === "gap") expected.shift();
    timeline.merge(history, NOW + log.length);
    const what = `seed ${seed}, round ${round}`;
    if (withCid) assert.deepEqual(seen(timeline), expected, what);
    assertHonest(timeline, log, what);
  }
  const keys = timeline.entries.map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length);
}

test("any comings and goings", () => {
  for (let seed = 1; seed <= 100; seed++) readALog(seed, { withCid: seed % 2 === 0 });
});

test("what the list and the log have both gets the log's id", () => {
  const timeline = new Timeline();
  timeline.merge(range(1, 2), NOW);
  timeline.live(live(logged(2)), NOW);
  assert.equal(timeline.entries.at(-1).id, undefined);
  timeline.merge(range(1, 3), NOW);
  assert.deepEqual(timeline.entries.map(({ id }) => id), ["7-1", "7-2"]);
});
