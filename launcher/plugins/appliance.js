"use strict";
/** Requests to the appliance: one attempt (`request`), or attempts until a deadline (`persist`). */

const http = require("node:http");
const https = require("node:https");
const { boot, renew } = require("./boot.js");
const { backoffMs, pause } = require("./backoff.js");
const broker = require("./broker.js");
const control = require("./control.js");

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 128 << 20;
const RETRY = { baseMs: 100, capMs: 2_000 };
const PASSING_STATUS = new Set([408, 425, 429]);
/** What the appliance cannot cure by itself within a deadline: somebody must act, so he is told at once. */
const LASTING_CODES = new Set(["disk_full", "store_read_only", "store_corrupt"]);

// Agents of our own: the global one may send the instance's token through a proxy named in the environment.
const kept = {
  "http:": new http.Agent({ keepAlive: true }),
  "https:": new https.Agent({ keepAlive: true }),
};

const renewals = [];

/**
 * Why a request failed. `definite`: repeating it will not help. `absent`: nobody listens. `status` is 0 when nothing
 * answered; `hint` is the appliance's own word on what to do, or empty.
 */
class ApplianceError extends Error {
  constructor(message, { definite = false, absent = false, status = 0, code = "appliance_away", hint = "" } = {}) {
    super(message);
    this.name = "ApplianceError";
    this.definite = definite;
    this.absent = absent;
    this.hint = hint;
    this.status = status;
    this.code = code;
  }

  /**
   * It may be otherwise later: the appliance is away or unwell; or it does not know our token, because the
   * launcher is just trading its ticket for new ones.
   */
  get passing() {
    return !this.definite || this.status === 401;
  }
}

function refused(status, body) {
  let answer = {};
  try {
    answer = JSON.parse(body.toString("utf8"));
  } catch {
    // Not JSON: the status alone has to do.
  }
  const text = answer.description ?? answer.error ?? answer.code ?? "no reason given";
  return new ApplianceError(`${text} (status ${status})`, {
    definite: LASTING_CODES.has(answer.code) || (status < 500 && !PASSING_STATUS.has(status)),
    hint: String(answer.hint ?? ""),
    status,
    code: answer.code ?? answer.error ?? "unexpected_error",
  });
}

function unanswered(error) {
  const late = error.name === "AbortError" || error.name === "TimeoutError";
  const absent = error.code === "ECONNREFUSED";
  return new ApplianceError(late ? "no answer in time" : (error.code ?? error.message), { absent });
}

function collect(response, resolve, reject) {
  const chunks = [];
  let bytes = 0;
  response.on("data", (chunk) => {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      response.destroy(new Error(`the answer is larger than ${MAX_ANSWER_BYTES >> 20} MB`));
      return;
    }
    chunks.push(chunk);
  });
  response.on("error", (error) => reject(unanswered(error)));
  response.on("end", () => {
    const body = Buffer.concat(chunks);
    if (response.statusCode >= 200 && response.statusCode < 300) {
      resolve({ status: response.statusCode, type: response.headers["content-type"] ?? "", body });
    } else {
      reject(refused(response.statusCode, body));
    }
  });
}

/**
 * One attempt. Resolves to `{status, type, body}` for 2xx; rejects with ApplianceError for everything else.
 * @param {object} options `body` a Buffer; `token` null sends none; `fresh` uses a connection of its own
 */
function request(method, path, options = {}) {
  const { body = null, headers = {}, timeoutMs = TIMEOUT_MS, fresh = false } = options;
  const { token = boot().nodeRedToken } = options;
  const url = new URL(boot().applianceURL + path);
  const client = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const sent = client.request(url, {
      method,
      agent: fresh ? new client.Agent({ keepAlive: false }) : kept[url.protocol],
      signal: AbortSignal.timeout(Math.max(1, Math.round(timeoutMs))),
      headers: {
        "user-agent": "Weir-Node-RED",
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === null ? {} : { "content-length": body.length }),
        ...headers,
      },
    });
    sent.on("response", (response) => collect(response, resolve, reject));
    sent.on("error", (error) => reject(unanswered(error)));
    sent.end(body ?? undefined);
  });
}

/**
 * The same request until it succeeds, is definitely refused, or `limitMs` has passed; the last error is
 * thrown.
 * @param {object} options those of `request`, `limitMs`, and `absentMs`, the limit while nobody listens
 */
async function persist(method, path, { limitMs, absentMs = limitMs, ...options }) {
  const began = performance.now();
  const left = (error) => (error?.absent ? absentMs : limitMs) - (performance.now() - began);
  for (let failures = 1; ; failures += 1) {
    try {
      return await request(method, path, { ...options, timeoutMs: Math.min(TIMEOUT_MS, left()) });
    } catch (error) {
      const wait = backoffMs(failures, RETRY);
      if (error.definite || wait >= left(error)) {
        throw error;
      }
      await pause(wait);
    }
  }
}

/** The JSON of an answer. Throws ApplianceError when it is not JSON. */
function parsed({ body, type }) {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw new ApplianceError(`the answer is not JSON (${type || "no content type"})`, { definite: true });
  }
}

/** Calls `act` whenever the launcher hands over new credentials: the appliance is back. */
function onRenewed(act) {
  renewals.push(act);
}

control.on("credentials", (credentials) => {
  renew(credentials);
  broker.expose();
  renewals.forEach((act) => act());
});

module.exports = { ApplianceError, onRenewed, parsed, persist, request };
