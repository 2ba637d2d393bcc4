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
const NOWHERE = { keep: async () => false, stored: async () => {} };

class LatestWriter {
  /**
   * @param {string} what named in log lines, for people
   * @param {string} path where the appliance takes it
   * @param {number} waitMs how long a caller waits at most for its write
   * @param {object} box where a write is kept meanwhile: `keep(body)` resolves to whether it is, `stored(body)` is
   *   called once the appliance has it
   */
  constructor(what, path, waitMs, box = NOWHERE) {
    this.what = what;
    this.path = path;
    this.waitMs = waitMs;
    this.box = box;
    this.newest = null;
    this.running = null;
    this.failures = 0;
  }

  /**
   * Resolves when `value`, or a newer one, is stored, is kept on this box, is definitely refused (logged), or
   * `waitMs` have passed.
   */
  async write(value) {
    const attempt = { body: Buffer.from(JSON.stringify(value)), id: randomUUID() };
    const kept = new Promise((resolve) => {
      attempt.kept = resolve;
    });
    this.newest = attempt;
    if (this.failures > 0) {
      await this.keep(attempt);
    }
    this.running ??= this.drain().finally(() => {
      this.running = null;
    });
    await Promise.race([this.running, kept, pause(this.waitMs, { unref: true })]);
  }

  async drain() {
    while (this.newest !== null) {
      const attempt = this.newest;
      const error = await this.post(attempt);
      if (error === null && this.newest === attempt) {
        await this.box.stored(attempt.body);
      }
      if (error === null || !error.passing) {
        this.failures = 0;
        this.newest = this.newest === attempt ? null : this.newest;
      }
      if (error !== null) {
        await this.failed(error, attempt);
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

  async keep(attempt) {
    if (await this.box.keep(attempt.body)) {
      attempt.kept();
    }
  }

  async failed(error, attempt) {
    if (!error.passing) {
      log("error", `Weir refused the ${this.what}: ${error.message}. They last only until a restart.`);
      return;
    }
    this.failures += 1;
    if (this.failures === 1) {
      log("warn", `The ${this.what} are not stored yet: ${error.message}. Trying until Weir takes them.`);
      await this.keep(attempt);
    }
    await pause(backoffMs(this.failures, RETRY), { unref: true });
  }
}

module.exports = { LatestWriter };
