import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Outbox, Reason } from "../../../examples/chatroom/page/outbox.js";

const NOW = 1_000_000;

/* An outbox with these texts, said by `user`; a text is its own cid. */
function holding(texts, { user = "ann", ...options } = {}) {
  const outbox = new Outbox({ random: () => 0.5, ...options });
  for (const text of texts) outbox.add({ cid: text, text, user }, NOW);
  return outbox;
}
const states = (outbox) => outbox.items.map(({ cid, state }) => `${cid} ${state}`);

/* What is to be done next, in short. */
function next(outbox, { user = "ann", now = NOW } = {}) {
  const action = outbox.next(user, now);
  if (action?.say) return `say ${action.say.cid}`;
  if (action?.check) return `check ${action.check.cid}`;
  return action?.wait === undefined ? action : `wait ${action.wait}`;
}

describe("in good times", () => {
  test("one after the other, in their order", () => {
    const outbox = holding(["a", "b"]);
    assert.equal(next(outbox), "say a");
    assert.equal(next(outbox), null, "one at a time");
    assert.ok(outbox.acknowledge("a", { id: "7-1", time: NOW }));
    assert.equal(next(outbox), "say b");
    assert.equal(outbox.remove("a").id, "7-1");
    assert.equal(outbox.remove("a"), null);
    assert.deepEqual(states(outbox), ["b sending"]);
  });
  test("it may come from the log before its reply", () => {
    const outbox = holding(["a"]);
    next(outbox);
    assert.equal(outbox.remove("a").cid, "a");
    assert.equal(outbox.acknowledge("a"), false);
    assert.equal(next(outbox), null);
  });
  test("no more than the limit", () => {
    const outbox = holding(["a", "b"], { limit: 2 });
    assert.ok(outbox.full);
    assert.equal(outbox.add({ cid: "c", text: "c", user: null }, NOW), null);
    assert.equal(outbox.items.length, 2);
  });
});

describe("when the connection breaks", () => {
  const broken = () => {
    const outbox = holding(["a", "b"]);
    next(outbox);
    outbox.disconnected();
    return outbox;
  };
  test("what was on its way is looked for before it is said again", () => {
    assert.deepEqual(states(broken()), ["a pending", "b pending"]);
    assert.equal(next(broken()), "check a");
  });
  test("it is in the log: done, and never said again", () => {
    const outbox = broken();
    assert.deepEqual(outbox.joined(new Set(["a"])), []);
    assert.deepEqual(states(outbox), ["b pending"]);
    assert.equal(next(outbox), "say b");
  });
  test("it is not in the log: said again, under the same cid, first", () => {
    const outbox = broken();
    outbox.joined(new Set());
    assert.equal(next(outbox), "say a");
  });
  test("it was acknowledged, and the log has moved on beyond it: shown, not said", () => {
    const outbox = holding(["a"]);
    next(outbox);
    outbox.acknowledge("a", { id: "7-1" });
    outbox.disconnected();
    assert.deepEqual(outbox.joined(new Set(["z"])).map(({ cid }) => cid), ["a"]);
    assert.deepEqual(states(outbox), []);
  });
  test("that is no attempt: any number of times", () => {
    const outbox = holding(["a"], { attempts: 2 });
    for (let i = 0; i < 20; i++) {
      assert.equal(next(outbox), "say a");
      outbox.disconnected();
      outbox.joined(new Set());
    }
  });
});

describe("when the room can't say", () => {
  test("unavailable: again, without a look, after longer and longer", () => {
    const outbox = holding(["a"], { attempts: 7 });
    const waits = [];
    for (let now = NOW; next(outbox, { now }) === "say a"; ) {
      outbox.unavailable("a", now);
      const { wait = 0 } = outbox.next("ann", now) ?? {};
      if (wait) waits.push(wait);
      now += wait;
    }
    assert.deepEqual(waits, [750, 1500, 3000, 6000, 7500, 7500]);
    assert.deepEqual(states(outbox), ["a failed"]);
    assert.equal(outbox.items[0].reason, Reason.UNREACHABLE);
  });
  test("unknown: looked for after a wait, and not said when it is there", () => {
    const outbox = holding(["a"]);
    next(outbox);
    outbox.uncertain("a", NOW);
    assert.equal(next(outbox), "wait 750");
    assert.equal(next(outbox, { now: NOW + 750 }), "check a");
    outbox.looked(new Set(["a"]));
    assert.deepEqual(states(outbox), ["a acknowledged"]);
    assert.equal(next(outbox, { now: NOW + 5000 }), null);
  });
  test("once uncertain, it stays so until somebody looked", () => {
    const outbox = holding(["a"]);
    next(outbox);
    outbox.uncertain("a", NOW);
    outbox.unavailable("a", NOW);
    assert.equal(next(outbox, { now: NOW + 20_000 }), "check a");
    outbox.looked(new Set());
    assert.equal(next(outbox, { now: NOW + 20_000 }), "say a");
  });
  test("a late failure doesn't undo an acknowledgement", () => {
    const outbox = holding(["a"]);
    next(outbox);
    outbox.acknowledge("a");
    outbox.uncertain("a", NOW);
    assert.deepEqual(states(outbox), ["a acknowledged"]);
  });
  test("what fails keeps nobody waiting, and goes behind the others when retried", () => {
    const outbox = holding(["a", "b"]);
    next(outbox);
    outbox.refuse("a", Reason.TOO_LONG);
    assert.equal(outbox.retry("b", "ann"), false, "it has not failed");
    assert.ok(outbox.retry("a", "ann"));
    assert.equal(next(outbox), "say b");
    outbox.remove("b");
    assert.equal(next(outbox), "say a");
  });
});

test("what failed while uncertain is looked for when retried", () => {
  const outbox = holding(["a"], { attempts: 1 });
  next(outbox);
  outbox.uncertain("a", NOW);
  assert.deepEqual(states(outbox), ["a failed"]);
  outbox.retry("a", "ann");
  assert.equal(next(outbox), "check a");
});

describe("under whose name", () => {
  test("nobody's words are said under another name", () => {
    const outbox = holding(["a"], { user: "ann" });
    assert.equal(next(outbox, { user: null }), null);
    assert.equal(outbox.items[0].reason, Reason.IDENTITY);
    outbox.retry("a", null);
    assert.equal(next(outbox, { user: null }), "say a");
  });
  test("who wrote before it was known takes the name that turns out", () => {
    const outbox = holding(["a"]);
    outbox.items[0].user = undefined;
    assert.equal(next(outbox, { user: "bob" }), "say a");
    assert.equal(outbox.items[0].user, "bob");
  });
});

describe("over a reload", () => {
  test("what is unsaid comes back, as uncertain; what has failed as that", () => {
    const outbox = holding(["done", "sent", "failed", "waits"]);
    next(outbox);
    outbox.acknowledge("done");
    outbox.refuse("failed");
    next(outbox);
    const again = new Outbox();
    again.load(outbox.save());
    assert.deepEqual(states(again), ["sent pending", "failed failed", "waits pending"]);
    assert.equal(next(again), "check sent");
    again.looked(new Set(["sent"]));
    assert.equal(next(again), "say waits");
  });
  for (const text of ["", "null", "{}", "[1, null, {}]", '[{"cid":"a"}]', "[", '"a"']) {
    test(`${JSON.stringify(text)} holds nothing`, () => {
      const outbox = new Outbox();
      outbox.load(text);
      assert.deepEqual(outbox.items, []);
    });
  }
  test("nor more than the limit, nor anything twice", () => {
    const saved = JSON.parse(holding(["a", "b", "c"]).save());
    const outbox = new Outbox({ limit: 2 });
    outbox.load(JSON.stringify([saved[0], ...saved]));
    assert.deepEqual(states(outbox), ["a pending", "b pending"]);
  });
});
