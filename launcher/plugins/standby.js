"use strict";
/**
 * A successor gets ready: Node-RED's own modules, those of the stack's core nodes and what these need are loaded
 * while another process serves. Loading them does nothing else; modules of the instance's palette are left for the
 * start, because theirs may do anything.
 */

const fs = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");

/** What red.js itself loads beside lib/red.js. One that another version does without is no loss. */
const OF_RED_JS = ["semver", "express", "@node-rs/bcrypt", "nopt", "fs-extra", "cors", "basic-auth"];
/** Parts of Node-RED that it loads as late as its start. (Not all of its files: some of them are programs.) */
const LATE = [
  ...["index", "ui", "projects", "locales", "library", "credentials"].map((name) => `editor-api/lib/editor/${name}`),
  "editor-api/lib/admin",
  "runtime/lib/storage/localfilesystem",
  "runtime/lib/library/local",
  "runtime/lib/library/examples",
  "runtime/lib/flows/Subflow",
  "runtime/lib/flows/Group",
  "nodes/core/network/lib/proxyHelper.js",
  "nodes/core/parsers/lib/csv",
].map((name) => `@node-red/${name}`);
/** Node's own that come as late. */
const BUILTIN = ["vm", "cluster"];
const NODES = "@node-red/nodes";
/** Our own, as settings.js names them. */
const PLUGINS = ["logger.js", "audit.js", "storage.js", "auth.js"];

function tryTo(load) {
  try {
    return load();
  } catch {
    // Only slower: the start itself meets the same fault and says it where people look.
    return null;
  }
}

function scriptsBelow(directory) {
  const entries = fs.readdirSync(directory, { withFileTypes: true, recursive: true });
  const scripts = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".js"));
  return scripts.map((entry) => path.join(entry.parentPath, entry.name));
}

/** Whether it is a node of its own, and no part that one of them loads. */
function isNode(script) {
  return fs.existsSync(script.replace(/\.js$/, ".html"));
}

/** Core nodes load the packages they stand on inside the function that registers them. */
function nodesAndTheirPackages(wanted) {
  const description = wanted.resolve(`${NODES}/package.json`);
  const ofNodes = createRequire(description);
  Object.keys(ofNodes(description).dependencies).forEach((name) => tryTo(() => ofNodes(name)));
  const core = path.join(path.dirname(description), "core");
  scriptsBelow(core).filter(isNode).forEach((node) => tryTo(() => wanted(node)));
}

/** At its start Node-RED reads the description of every package beside its own, in search of nodes. */
function descriptions(wanted, script) {
  const modules = path.join(path.dirname(script), "..");
  for (const name of fs.readdirSync(modules)) {
    const scope = name.startsWith("@") ? path.join(modules, name) : null;
    const packages = scope ? fs.readdirSync(scope).map((inner) => path.join(scope, inner)) : [path.join(modules, name)];
    packages.forEach((folder) => tryTo(() => wanted(path.join(folder, "package.json"))));
  }
}

/** Loads what a start of `script` (Node-RED's red.js) will need. Never throws. */
function load(script) {
  const wanted = createRequire(script);
  tryTo(() => wanted(path.join(path.dirname(script), "lib", "red.js")));
  [...OF_RED_JS, ...LATE, ...BUILTIN].forEach((name) => tryTo(() => wanted(name)));
  tryTo(() => nodesAndTheirPackages(wanted));
  tryTo(() => descriptions(wanted, script));
  PLUGINS.forEach((name) => tryTo(() => require(path.join(__dirname, name))));
}

module.exports = { load };
