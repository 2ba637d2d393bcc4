"use strict";
/**
 * What the appliance last gave or acknowledged, as files of this instance, so that Node-RED can start while the
 * appliance is away. Each holds the bytes as they were on the wire: their digest is the revision they are known by.
 */

const { createHash } = require("node:crypto");
const path = require("node:path");
const disk = require("./disk.js");
const { log } = require("./logger.js");

/** The revision of a document: SHA-256 of its bytes, as the appliance computes it. */
function digest(content) {
  return createHash("sha256").update(content).digest("hex");
}

class LastGood {
  /** @param {string} directory where the files are; empty: nothing is kept */
  constructor(directory) {
    this.directory = directory;
    this.known = new Map();
  }

  file(what) {
    return path.join(this.directory, `${what}.json`);
  }

  /** The bytes kept of `what`, or null. Never rejects. */
  async read(what) {
    if (this.directory === "") {
      return null;
    }
    try {
      return await disk.read(this.file(what));
    } catch (error) {
      log("warn", `What was kept of the ${what} can't be read: ${error.message}`);
      return null;
    }
  }

  /** Keeps `content`; the same as before is not written again. Resolves to whether it is kept; never rejects. */
  async keep(what, content) {
    if (this.directory === "") {
      return false;
    }
    const revision = digest(content);
    if (this.known.get(what) === revision) {
      return true;
    }
    this.known.delete(what);
    try {
      if (!(await disk.read(this.file(what)))?.equals(Buffer.from(content))) {
        await disk.write(this.file(what), content);
      }
      this.known.set(what, revision);
      return true;
    } catch (error) {
      log("warn", `The ${what} can't be kept for a start without Weir: ${error.message}`);
      await this.forget(what);
      return false;
    }
  }

  /** Removes what is kept: an older state must not pass for the last one. Never rejects. */
  async forget(what) {
    this.known.delete(what);
    try {
      await disk.remove(this.file(what));
    } catch (error) {
      if (error.code !== "ENOENT") {
        log("warn", `What was kept of the ${what} can't be removed: ${error.message}`);
      }
    }
  }
}

module.exports = { LastGood, digest };
