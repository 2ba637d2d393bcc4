"use strict";
/**
 * What the palette and function nodes install goes through the instance's own `npm`: beside what is in use, one
 * install at a time, with a time limit and without the environment of the flows. And what the platform is told of it
 * is what package.json says afterwards, so that the next start finds nothing to change.
 */

const fs = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");
const { boot } = require("./boot.js");

const OF_MODULES = new Set(["nodes.install", "modules.install"]);
const NPM = /[\\/]npm-cli\.js$/;

/** Lets Node-RED's own runner of programs call `npm` where it would call the one it brought along. */
function route(exec, npm) {
  const run = exec.run.bind(exec);
  exec.run = (command, args, options, emit) =>
    NPM.test(args?.[0] ?? "") ? run(npm, args.slice(1), options, emit) : run(command, args, options, emit);
}

/** Puts it in place for the Node-RED whose red.js is `script`. Node-RED 4 takes `npm` from PATH, where ours is. */
function install(script) {
  const { npm } = boot();
  const { exec } = createRequire(script)("@node-red/util");
  if (npm && exec?.run) {
    route(exec, npm);
  }
}

/** What the list of modules says of one, or null. */
function listed(name) {
  try {
    const { dependencies } = JSON.parse(fs.readFileSync(path.join(boot().userDir, "package.json"), "utf8"));
    return typeof dependencies?.[name] === "string" ? dependencies[name] : null;
  } catch {
    return null;
  }
}

/** An audit message of an install, with the version range that was saved instead of the one asked for. */
function asListed(message) {
  if (!OF_MODULES.has(message.event) || message.error || typeof message.module !== "string") {
    return message;
  }
  const version = listed(message.module);
  return version === null ? message : { ...message, version };
}

module.exports = { asListed, install, route };
