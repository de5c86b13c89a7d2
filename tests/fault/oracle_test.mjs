// The oracle finds what it is there to find: a true log passes, and each kind of doctored one is named. Without this no rig proves anything.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { check, Log, overdue } from "./oracle.mjs";

/* Three agents' worth of honest history in one: what was told and what is there agree. */
function honest() {
  const log = new Log();
  const one = log.invoke("a", "row"), two = log.invoke("a", "pair");
  one.ok({ ids: [1] });
  two.ok({ ids: [2, 3] });
  const lost = log.invoke("a", "row"), kept = log.invoke("a", "ws"), refused = log.invoke("a", "refuse");
  lost.unknown();
  kept.unknown();
  refused.fail();
  const older = log.invoke("a", "swap");
  older.ok();
  const newer = log.invoke("a", "swap");
  newer.ok();
  const both = log.invoke("a", "txn"), value = log.invoke("a", "kv"), early = log.invoke("a", "alarm"), late = log.invoke("a", "alarm");
  for (const op of [both, value, early, late]) op.ok();
  const state = {
    rows: [[1, one.key], [2, `${two.key}<`], [3, `${two.key}>`], [4, kept.key], [5, both.key]],
    kv: [[both.key, both.key], [value.key, value.key]],
    slot: newer.key, count: 5, armed: [late.key], fired: [{ key: early.key, due: 10, at: 11 }],
  };
  return { log, state, one, two, lost, kept, refused, older, newer, both, value, early, late };
}

const rules = ({ log, state }) => check(log, "a", state).map(({ rule }) => rule);
const drop = (state, at) => { state.rows.splice(at, 1); state.count--; };

describe("the oracle", () => {
  it("has nothing to say of an honest log", () => assert.deepEqual(rules(honest()), []));

  const doctored = {
    "an acknowledged row is lost": ["lost", (h) => drop(h.state, 4)],
    "an acknowledged value is lost": ["lost", (h) => h.state.kv.pop()],
    "an acknowledged alarm is lost": ["lost", (h) => h.state.armed.pop()],
    "a row is there twice": ["twice", (h) => { h.state.rows.push([6, h.one.key]); h.state.count++; }],
    "an unknown row is there twice": ["twice", (h) => { h.state.rows.push([6, h.kept.key]); h.state.count++; }],
    "an alarm is armed still, and has fired": ["twice", (h) => h.state.armed.push(h.early.key)],
    "what was refused is there": ["undead", (h) => { h.state.rows.push([6, h.refused.key]); h.state.count++; }],
    "half a pair is there": ["torn", (h) => drop(h.state, 2)],
    "half a transaction is there": ["torn", (h) => h.state.kv.shift()],
    "rows and their count disagree": ["torn", (h) => h.state.count++],
    "a row that nobody wrote": ["invented", (h) => { h.state.rows.push([6, "forged"]); h.state.count++; }],
    "a value that nobody wrote": ["invented", (h) => h.state.kv.push(["forged", "forged"])],
    "a value of another key": ["invented", (h) => { h.state.kv[0][1] = "forged"; }],
    "an alarm that nobody set": ["invented", (h) => h.state.armed.push("forged")],
    "a later row comes first": ["order", (h) => h.state.rows.splice(0, 5, ...[4, 0, 1, 2, 3].map((at, i) => [i + 1, h.state.rows[at][1]]))],
    "a row has another id than was told": ["moved", (h) => { h.state.rows.at(-1)[0] = 9; h.state.rows.forEach((row) => row[0]++); }],
    "an older value is in the slot": ["lost", (h) => { h.state.slot = h.older.key; }],
    "nothing is in the slot": ["lost", (h) => { h.state.slot = null; }],
    "the slot holds what nobody wrote": ["invented", (h) => { h.state.slot = "forged"; }],
    "an alarm fired early": ["early", (h) => { h.state.fired[0].at = 9; }],
  };
  for (const [what, [rule, doctor]] of Object.entries(doctored)) {
    it(`names it when ${what}`, () => {
      const history = honest();
      doctor(history);
      assert.ok(rules(history).includes(rule), `${rule} is missing in [${rules(history)}]`);
    });
  }

  it("holds to what was seen, heard or found after a crash", () => {
    const seen = honest();
    seen.log.saw("a", seen.lost.key);
    assert.deepEqual(rules(seen), ["lost"]);

    const found = honest();
    found.log.settle("a", found.state);
    assert.deepEqual(rules(found), []);
    drop(found.state, 3);
    assert.deepEqual(rules(found), ["lost"]);

    const undead = honest();
    undead.log.settle("a", undead.state);
    undead.state.rows.push([6, undead.lost.key]);
    undead.state.count++;
    assert.ok(rules(undead).includes("undead"));
  });

  it("names alarms that did not fire", () => {
    const { log, state } = honest();
    assert.deepEqual(overdue(log, "a", state).map(({ rule }) => rule), ["silent"]);
  });
});
