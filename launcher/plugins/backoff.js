"use strict";
/**
 * Waiting between attempts: exponential with jitter, so that many instances do not return to the appliance at
 * once.
 */

/**
 * Milliseconds to wait after the `failures`-th failure in a row (1, 2, …): `baseMs`, doubled each time, up to
 * `capMs`; ± 50 %.
 */
function backoffMs(failures, { baseMs, capMs }) {
  const full = Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 20));
  return full * (0.5 + Math.random());
}

/** Resolves after `ms`; with `unref` the wait does not keep the process alive. */
function pause(ms, { unref = false } = {}) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    if (unref) {
      timer.unref();
    }
  });
}

module.exports = { backoffMs, pause };
