"use strict";
/**
 * Writes of which only the newest matters (settings, sessions). Node-RED often does not wait for these, and a
 * rejected promise nobody waits for would end it; so a write never rejects: it goes on in the background
 * until it is stored.
 */

const { randomUUID } = require("node:crypto");
const { request } = require("./appliance.js");
const { backoffMs, pause } = require("./backoff.js");
const { log } = require("./logger.js");

const RETRY = { baseMs: 200, capMs: 5_000 };

class LatestWriter {
  /**
   * @param {string} what named in log lines, for people
   * @param {string} path where the appliance takes it
   * @param {number} waitMs how long a caller waits at most for its write
   */
  constructor(what, path, waitMs) {
    this.what = what;
    this.path = path;
    this.waitMs = waitMs;
    this.newest = null;
    this.running = null;
  }

  /**
   * Resolves when `value`, or a newer one, is stored, is definitely refused (logged), or `waitMs` have
   * passed.
   */
  async write(value) {
    this.newest = { body: Buffer.from(JSON.stringify(value)), id: randomUUID() };
    this.running ??= this.drain().finally(() => {
      this.running = null;
    });
    await Promise.race([this.running, pause(this.waitMs, { unref: true })]);
  }

  async drain() {
    for (let failures = 0; this.newest !== null; ) {
      const attempt = this.newest;
      const error = await this.post(attempt);
      if (error === null || error.definite) {
        failures = 0;
        this.newest = this.newest === attempt ? null : this.newest;
      }
      if (error !== null) {
        failures = await this.failed(error, failures + 1);
      }
    }
  }

  async post({ body, id }) {
    try {
      const headers = { "content-type": "application/json", "x-weir-request": id };
      await request("POST", this.path, { body, headers });
      return null;
    } catch (error) {
      return error;
    }
  }

  async failed(error, failures) {
    if (error.definite) {
      log("error", `Weir refused the ${this.what}: ${error.message}. They last only until a restart.`);
      return 0;
    }
    if (failures === 1) {
      log("warn", `The ${this.what} are not stored yet: ${error.message}. Trying until Weir takes them.`);
    }
    await pause(backoffMs(failures, RETRY), { unref: true });
    return failures;
  }
}

module.exports = { LatestWriter };
