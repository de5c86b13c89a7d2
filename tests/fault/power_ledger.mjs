// power_ledger — what the host remembers of the agents' writes, and the judgement: every acknowledged write is there exactly once, every other
// at most once, and nothing is there that nobody wrote.

const UNSAID = 2; // of each lane: one acknowledged whose line was cut off, one in flight

export function ledger() {
  const lanes = new Map(); // "name lane" → { seqs: acknowledged, high, kind: "row" or "alarm" }
  const failures = [];
  const counts = { acks: 0, alarms: 0, dumps: 0 }, unheard = new Set();
  const lanesOf = (name) => [...lanes].filter(([key]) => key.startsWith(`${name} `)).map(([key, lane]) => [Number(key.split(" ")[1]), lane]);

  function ack(kind, name, lane, seq) {
    const key = `${name} ${lane}`;
    if (!lanes.has(key)) lanes.set(key, { kind, seqs: new Set(), high: 0 });
    const one = lanes.get(key);
    one.seqs.add(seq);
    one.high = Math.max(one.high, seq);
    counts[kind === "row" ? "acks" : "alarms"]++;
  }

  const fail = (cut, what) => { failures.push(`after cut ${cut}: ${what}`); };

  /* What the agent NAME told of itself. */
  function judge(cut, name, { check, row, twin, armed, fired, bad }) {
    counts.dumps++;
    if (check.join() !== "ok") fail(cut, `${name}: quick_check says ${check.join("; ").slice(0, 300)}`);
    if (bad) fail(cut, `${name}: ${bad} rows have other bytes than were written`);
    if (JSON.stringify(row) !== JSON.stringify(twin)) fail(cut, `${name}: half a commit: rows ${JSON.stringify(row)} but twins ${JSON.stringify(twin)}`);
    const there = { row: spread(row), alarm: spread([...armed, ...fired]) };
    for (const [lane, { kind, seqs, high }] of lanesOf(name)) {
      const found = there[kind].get(lane) ?? new Map();
      const lost = [...seqs].filter((seq) => !found.has(seq));
      if (lost.length) fail(cut, `${name}: LOST ${lost.length} of ${seqs.size} acknowledged ${kind}s of lane ${lane}: ${lost.slice(0, 10)}`);
      for (const [seq, times] of found) {
        if (times > 1) fail(cut, `${name}: ${kind} ${seq} of lane ${lane} is there ${times} times`);
        if (seq > high + UNSAID || seq < 1) fail(cut, `${name}: ${kind} ${seq} of lane ${lane} was never written (last acknowledged: ${high})`);
        if (!seqs.has(seq)) unheard.add(`${name} ${lane} ${seq}`);
      }
    }
  }

  return { ack, judge, fail, failures, counts, unheard };
}

/* lane → seq → how often. */
function spread(lanes) {
  const found = new Map();
  for (const [lane, low, high, , seqs] of lanes) {
    const one = found.get(lane) ?? new Map();
    found.set(lane, one);
    for (const seq of seqs ?? Array.from({ length: high - low + 1 }, (_, i) => low + i)) one.set(seq, (one.get(seq) ?? 0) + 1);
  }
  return found;
}
