"use strict";
/**
 * Makes up for the time without the appliance: hands in the deploy that is kept on this box, and loads the platform's
 * flows when they are others than those that run here. Goes on in the background until that is done.
 */

const { onRenewed } = require("./appliance.js");
const { backoffMs } = require("./backoff.js");
const { log } = require("./logger.js");

const RETRY = { baseMs: 500, capMs: 5_000 };
/** Flows that never report that they have started hold nothing up for longer. */
const STARTED_MS = 60_000;

class CatchUp {
  /**
   * @param {import("./deploys.js").Deploys} deploys
   * @param {object} platform `acknowledged(deploy)`, `isOutdated()` and Node-RED's `runtime`
   */
  constructor(deploys, { acknowledged, isOutdated, runtime }) {
    this.deploys = deploys;
    this.acknowledged = acknowledged;
    this.isOutdated = isOutdated;
    this.runtime = runtime;
    this.unsure = false;
    this.mustReload = false;
    this.wasRead = false;
    this.said = "";
    this.running = null;
    this.wake = () => {};
    onRenewed(() => this.wake());
    this.started = new Promise((resolve) => {
      runtime.events.once("flows:started", resolve);
      setTimeout(resolve, STARTED_MS).unref();
    });
  }

  /** The flows that run were read on this box: see to it that they are those of the platform. */
  compare() {
    this.unsure = true;
    this.start();
  }

  /** The flows of the platform are about to be read: what was to be loaded anew is. */
  reading() {
    this.unsure = false;
    this.mustReload = false;
  }

  /** They have been, and their credentials. */
  read() {
    this.wasRead = true;
  }

  /** Go on until nothing is left to be made up for. Never rejects. */
  start() {
    this.running ??= this.run().finally(() => {
      this.running = null;
    });
  }

  /** One attempt to hand in the deploy, within `timeoutMs`; null when the appliance is away. Never rejects. */
  async now(timeoutMs) {
    try {
      return await this.handIn(timeoutMs);
    } catch (error) {
      log("warn", `The deploy that is kept on this box is not sent yet: ${error.message}`);
      return null;
    } finally {
      this.start();
    }
  }

  get isDone() {
    return this.deploys.pending === null && !this.unsure && !this.mustReload;
  }

  async run() {
    for (let failures = 0; !this.isDone; ) {
      try {
        await this.step();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!error.passing && error.message !== this.said) {
          this.said = error.message;
          log("warn", `Weir is back, but not all is made up for yet: ${error.message}. ${error.hint ?? ""}`);
        }
        await this.pause(backoffMs(failures, RETRY));
      }
    }
  }

  async step() {
    if (this.deploys.pending !== null) {
      await this.handIn();
      return;
    }
    await this.started;
    if (this.unsure && !this.mustReload) {
      this.mustReload = await this.isOutdated();
    }
    this.unsure = false;
    if (this.mustReload) {
      await this.reload();
    }
  }

  async handIn(timeoutMs) {
    const handedIn = await this.deploys.send(timeoutMs);
    if (handedIn === null) {
      return null;
    }
    const { result, name, deploy } = handedIn;
    if (result === "stored") {
      await this.acknowledged(deploy);
      log("info", "Weir is back and has stored the deploy that was kept on this box.");
    } else {
      const why = result === "kept" ? "the flows were changed meanwhile" : "it can't be stored";
      log("warn", `Weir keeps the deploy as '${name}': ${why}. Its own flows stand. See: weir instance kept`);
      this.mustReload = true;
    }
    await this.deploys.done(deploy);
    return handedIn;
  }

  /** Rejects when the flows could not be read: then it is to be tried again. */
  async reload() {
    log("info", "Loading the flows of Weir in place of those that were kept on this box.");
    this.mustReload = this.wasRead = false;
    try {
      await this.load();
    } catch (error) {
      if (!this.wasRead) {
        this.mustReload = true;
        throw error;
      }
      // Flows that are there and do not start would not start the next time either.
      log("error", `The flows of Weir could not be loaded: ${error.message}. Restart the instance.`);
    }
  }

  load() {
    if (this.runtime.settings.safeMode) {
      return this.runtime.flows.loadFlows(false);
    }
    // By the same door as deploys, which take turns there.
    const red = process.mainModule.require("./lib/red.js");
    return red.runtime.flows.setFlows({ deploymentType: "reload" });
  }

  pause(ms) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, ms).unref();
    });
  }
}

module.exports = { CatchUp };
