"use strict";
/**
 * At each start Node-RED runs `npm -v` and waits for it, only to learn that there is one: a fifth of the whole start.
 * The npm that it brought along says its version in a file, which is read instead.
 */

const childProcess = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const NPM = /[\\/]npm-cli\.js$/;

function versionOf(script) {
  try {
    return JSON.parse(fs.readFileSync(path.join(script, "..", "..", "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}

/** The script of the npm whose version, and nothing else, is asked for; or null. */
function asked(args, done) {
  const plain = Array.isArray(args) && args.length === 2 && args[1] === "-v" && typeof done === "function";
  return plain && NPM.test(args[0]) ? args[0] : null;
}

/** Answers the first such question of this process; everything else, and all that comes later, is run. */
function answerFromFile() {
  const run = childProcess.execFile;
  function execFile(file, args, done, ...more) {
    const script = file === process.execPath ? asked(args, done) : null;
    const version = script && versionOf(script);
    if (!version) {
      return run.call(this, file, args, done, ...more);
    }
    childProcess.execFile = run;
    process.nextTick(done, null, `${version}\n`, "");
    return undefined;
  }
  // What others have found on the original (util.promisify's own way of it, for one) is found here too.
  childProcess.execFile = Object.defineProperties(execFile, Object.getOwnPropertyDescriptors(run));
}

module.exports = { answerFromFile };
