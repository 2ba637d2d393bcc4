"use strict";
/** What Node-RED says of itself: counted in step with its hooks, reported in bounds, never in the way. */

const assert = require("node:assert");
const { test, mock } = require("node:test");
const { start } = require("../../launcher/plugins/metrics.js");

/** Hooks as Node-RED keeps them: what is added is called with one payload, and may not answer. */
function fakeHooks() {
  const added = {};
  return {
    add(id, callback) {
      added[id.split(".")[0]] = callback;
    },
    trigger(id, payload) {
      assert.strictEqual(added[id].length, 1, "more parameters would make Node-RED wait for a callback");
      assert.strictEqual(added[id](payload), undefined, "an answer could halt the message");
    },
  };
}

test("counts and measures, every ten seconds", () => {
  mock.timers.enable({ apis: ["setInterval"] });
  const hooks = fakeHooks();
  const sent = [];
  start(hooks, (report) => sent.push(report));
  hooks.trigger("onSend", [{}, {}, {}]);
  hooks.trigger("onSend", []);
  hooks.trigger("onReceive", {});
  const until = Date.now() + 250;
  while (Date.now() < until) {}
  mock.timers.tick(9_999);
  assert.deepStrictEqual(sent, []);
  mock.timers.tick(1);
  const { event, value } = sent[0];
  assert.strictEqual(event, "metrics");
  const { nrmsgs, nrsend, nrrecv, ...measured } = value;
  assert.deepStrictEqual({ nrmsgs, nrsend, nrrecv }, { nrmsgs: 1, nrsend: 3, nrrecv: 1 });
  assert.deepStrictEqual(Object.keys(measured).sort(), ["ela", "el99", "heap", "heapLimit"].sort());
  for (const number of Object.values(measured)) {
    assert.ok(Number.isFinite(number) && number >= 0, JSON.stringify(value));
  }
  assert.ok(measured.heap > 1 && measured.heap < measured.heapLimit);
  hooks.trigger("onReceive", {});
  mock.timers.tick(10_000);
  assert.strictEqual(sent[1].value.nrrecv, 2, "counters grow");
  mock.timers.reset();
});

test("a loop that stands still longer than from one report to the next is not on time", async () => {
  const sent = [];
  start(fakeHooks(), (report) => sent.push(report), 0.02);
  const until = performance.now() + 2_000;
  while (performance.now() < until && sent.length < 4) {
    const end = performance.now() + 350;
    while (performance.now() < end) {}
    await new Promise(setImmediate);
  }
  assert.ok(sent.length >= 4);
  for (const { value } of sent.slice(1)) {
    assert.ok(value.ela > 0.15 && value.el99 > 0.15, JSON.stringify(value));
  }
});

test("keeps no process alive", () => {
  const { execFileSync } = require("node:child_process");
  const path = require.resolve("../../launcher/plugins/metrics.js");
  const code = `require(${JSON.stringify(path)}).start({ add() {} }, () => {})`;
  execFileSync(process.execPath, ["-e", code], { timeout: 8_000 });
});
