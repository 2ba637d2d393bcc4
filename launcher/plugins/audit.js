"use strict";
/**
 * Node-RED's audit events to the appliance: in order, one at a time, each until it is taken. Node-RED never
 * waits for it and never fails by it; when the queue is full the oldest go and the loss is logged.
 */

const { randomUUID } = require("node:crypto");
const { request } = require("./appliance.js");
const { backoffMs, pause } = require("./backoff.js");
const { boot } = require("./boot.js");
const { editors } = require("./editors.js");
const { log } = require("./logger.js");
const { asListed } = require("./modules.js");

const MAX_QUEUE = 500;
const MAX_EVENT_BYTES = 256 << 10;
const RETRY = { baseMs: 200, capMs: 30_000 };

function isWanted(event) {
  if (typeof event !== "string" || event.startsWith("comms.") || event.endsWith(".get")) {
    return false;
  }
  return !event.startsWith("auth") || event.startsWith("auth.log");
}

function userId(user, username) {
  return user?.userId ?? editors.idOf(user?.username ?? username);
}

/** The body of one event: Node-RED's message, its user reduced to the platform's id. */
function body({ level, username, user, ...event }) {
  const text = JSON.stringify({ ...event, user: userId(user, username) });
  if (text.length <= MAX_EVENT_BYTES) {
    return Buffer.from(text);
  }
  const { timestamp, path, ip } = event;
  const message = "the event was too large to be sent whole";
  return Buffer.from(JSON.stringify({ event: event.event, timestamp, path, ip, message }));
}

class AuditQueue {
  constructor() {
    this.waiting = [];
    this.dropped = 0;
    this.sending = false;
  }

  add(message) {
    this.waiting.push({ body: body(message), id: randomUUID() });
    if (this.waiting.length > MAX_QUEUE) {
      this.waiting.shift();
      this.dropped += 1;
    }
    if (!this.sending) {
      this.sending = true;
      this.drain().finally(() => {
        this.sending = false;
      });
    }
  }

  async drain() {
    for (let failures = 0; this.waiting.length > 0; ) {
      const first = this.waiting[0];
      const error = await this.post(first);
      if (error?.passing) {
        failures += 1;
        await pause(backoffMs(failures, RETRY), { unref: true });
        continue;
      }
      failures = 0;
      this.sent(first, error);
    }
  }

  async post(entry) {
    try {
      await request("POST", `/logging/${encodeURIComponent(boot().instanceId)}/audit`, {
        body: entry.body,
        headers: { "content-type": "application/json", "x-weir-request": entry.id },
      });
      return null;
    } catch (error) {
      return error;
    }
  }

  sent(entry, error) {
    if (this.waiting[0] === entry) {
      this.waiting.shift();
    }
    if (error !== null) {
      log("warn", `Weir did not take an audit event: ${error.message}`);
    }
    if (this.dropped > 0) {
      log("warn", `${this.dropped} audit events were lost while the appliance was away.`);
      this.dropped = 0;
    }
  }
}

/**
 * For `logging.auditLogger.handler`: Node-RED calls it with its settings and logs through what it returns.
 */
function handler() {
  const queue = new AuditQueue();
  return (message) => {
    try {
      if (isWanted(message.event)) {
        queue.add(asListed(message));
      }
    } catch (error) {
      log("warn", `An audit event could not be sent: ${error.message}`);
    }
  };
}

module.exports = { AuditQueue, handler };
