"use strict";
/**
 * Loaded by `node --require` before Node-RED: takes the two inherited descriptors and the boot document, and
 * puts the deferred listen in place. In any other process (a fork or worker of a flow) it does nothing.
 */

const path = require("node:path");
const { isMainThread } = require("node:worker_threads");

/** How long loaded flows may take to start before the editor opens without them. */
const FLOWS_START_LIMIT_MS = 15_000;

function takeDescriptor(name) {
  const value = process.env[name];
  delete process.env[name];
  return /^\d+$/.test(value ?? "") ? Number(value) : null;
}

/** Node's forks and workers repeat execArgv: without this each of them would load this file again. */
function dropOwnFlag() {
  const at = process.execArgv.indexOf(__filename);
  if (at > 0) {
    process.execArgv.splice(at - 1, 2);
  }
}

function nodeRed() {
  const main = process.mainModule;
  return main && require.cache[path.join(path.dirname(main.filename), "lib", "red.js")]?.exports;
}

function attach(gate) {
  const { log } = require("./logger.js");
  const { send } = require("./control.js");
  const red = nodeRed();
  if (!red?.events) {
    log("error", "This stack's Node-RED has no lib/red.js: use Node-RED 4.1 or 5 (weir stack build).");
    process.exit(1);
  }
  require("./flows.js").watch(red.events, {
    loaded: () => gate.loaded(),
    settled: () => gate.settle(),
    report: send,
  });
  require("./metrics.js").start(red.hooks, send, require("./boot.js").boot().pace);
  require("./modules.js").install(process.mainModule.filename);
}

function receiveBoot(controlFd) {
  try {
    const getReady = () => require("./standby.js").load(process.argv[1]);
    require("./boot.js").provide(require("./control.js").open(controlFd, getReady));
    require("./broker.js").expose();
  } catch (error) {
    require("./logger.js").log("fatal", `Node-RED cannot start: ${error.message}`);
    process.exit(1);
  }
}

function start(listenFd, controlFd) {
  dropOwnFlag();
  [process.stdout, process.stderr].forEach(require("./output.js").bound);
  require("./npmversion.js").answerFromFile();
  receiveBoot(controlFd);
  const { ListenGate } = require("./listen.js");
  const { send } = require("./control.js");
  const limitMs = require("./boot.js").boot().flowsStartLimitMs ?? FLOWS_START_LIMIT_MS;
  const gate = new ListenGate(listenFd, limitMs);
  const ownServer = () => nodeRed()?.server;
  gate.install(ownServer, () => {
    // No request is read before this: the event comes before the first turn of the loop that could.
    require("./endpoints.js").watch(ownServer());
    send({ event: "listening" });
  });
  // Ticks run after red.js's own lines and before the promise in which it starts the runtime.
  process.nextTick(attach, gate);
}

const listenFd = takeDescriptor("WEIR_LISTEN_FD");
const controlFd = takeDescriptor("WEIR_CONTROL_FD");
if (isMainThread && listenFd !== null && controlFd !== null) {
  start(listenFd, controlFd);
}
