"use strict";
/** Tells from Node-RED's events when the flows are loaded, have started, or have stopped and why. */

const MOST_NAMES = 50;
/** Credentials that cannot be decrypted are reset and the flows start all the same. */
const STARTS_ANYWAY = "notification.warnings.credentials_load_failed_reset";

/** Names of the node types or modules that are not there, in bounds. */
function missing({ types, modules }) {
  const names = types ?? modules?.map((each) => each?.module) ?? [];
  return names.slice(0, MOST_NAMES).map((name) => String(name).slice(0, 100));
}

/**
 * Watches `events` (RED.events).
 * @param {{loaded: () => void, settled: () => void, report: (report: object) => void}} listener
 */
function watch(events, { loaded, settled, report }) {
  let last = "";

  function stopped(reason, names = []) {
    const state = `stopped ${reason} ${names}`;
    if (state !== last) {
      last = state;
      report({ event: "flows-stopped", value: { reason, names } });
    }
  }

  events.on("flows:started", () => {
    last = "started";
    report({ event: "flows-started" });
    settled();
  });
  events.on("flows:stopped", () => stopped("stopped"));
  events.on("runtime-event", ({ id, payload }) => {
    if (id !== "runtime-state") {
      return;
    }
    if (!payload || payload.text === STARTS_ANYWAY) {
      loaded();
    } else if (payload.state !== "start") {
      // Missing types or modules, safe mode, stopped by the user: the editor is where people repair that.
      stopped(payload.error ?? "stopped", missing(payload));
      settled();
    }
  });
}

module.exports = { watch };
