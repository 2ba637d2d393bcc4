"use strict";
/**
 * What only Node-RED itself knows: how late its event loop is, how many messages pass, how full its heap is. It goes
 * to the launcher on the control channel every ten seconds; nothing of it is served on Node-RED's own port.
 */

const { monitorEventLoopDelay } = require("node:perf_hooks");
const v8 = require("node:v8");

const EVERY_MS = 10_000;
/** Ten looks a second: a hundred for each report, and too few to be seen in the processor time of an idle instance. */
const RESOLUTION_MS = 100;
const BYTES_PER_MB = 1 << 20;

/** Counts in step with Node-RED's routing: one addition each, nothing that could fail or halt a message. */
function count(hooks) {
  const counted = { nrmsgs: 0, nrrecv: 0, nrsend: 0 };
  hooks.add("onSend.weir-metrics", (events) => {
    if (events.length > 0) {
      counted.nrmsgs += 1;
      counted.nrsend += events.length;
    }
  });
  // Node-RED tells by the number of parameters that no callback is wanted.
  hooks.add("onReceive.weir-metrics", (event) => {
    counted.nrrecv += 1;
  });
  return counted;
}

/**
 * The histogram holds whole intervals between looks: what is over the resolution is lag. The first look after a reset
 * only begins one; where there was no other, the loop stood still nearly all the time.
 */
function lags(delay, elapsedMs) {
  const standstill = elapsedMs * 1e6;
  const [mean, most] = delay.count > 0 ? [delay.mean, delay.percentile(99)] : [standstill, standstill];
  const lagS = (intervalNs) => Math.max(0, intervalNs / 1e9 - RESOLUTION_MS / 1000);
  return { ela: lagS(mean), el99: lagS(most) };
}

/**
 * Reports through `send` for as long as the process lives, and never keeps it alive.
 * @param {object} hooks RED.hooks
 * @param {(report: object) => void} send
 * @param {number} pace what the ten seconds are multiplied with
 */
function start(hooks, send, pace = 1) {
  const counted = count(hooks);
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const heap = v8.getHeapStatistics();
    const value = {
      ...lags(delay, now - last),
      ...counted,
      heap: heap.used_heap_size / BYTES_PER_MB,
      heapLimit: heap.heap_size_limit / BYTES_PER_MB,
    };
    delay.reset();
    last = now;
    send({ event: "metrics", value });
  }, EVERY_MS * pace);
  timer.unref();
}

module.exports = { start };
