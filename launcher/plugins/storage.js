"use strict";
/**
 * Node-RED's storage module: everything is kept by the appliance. Reads wait for an appliance that is
 * restarting; a deploy does too, and when it fails the editor says why. This object itself is `storageModule`
 * in settings.js.
 */

const { randomUUID } = require("node:crypto");
const { ApplianceError, parsed, persist } = require("./appliance.js");
const { boot } = require("./boot.js");
const { LatestWriter } = require("./latest.js");
const { log } = require("./logger.js");
const sessions = require("./sessions.js");

const READ_LIMIT_MS = 60_000;
/** The appliance may be away for 20 s during a deploy; the rest is for the last attempt. */
const WRITE_LIMIT_MS = 25_000;
/** Exit status for "the appliance did not give the flows": sysexits' EX_TEMPFAIL, not a crash of a flow. */
const EXIT_UNLOADED = 75;

let settingsWriter = null;
const loaded = new Set();

function path(what) {
  return `/storage/${encodeURIComponent(boot().instanceId)}/${what}`;
}

/**
 * An empty editor on top of unread flows would overwrite them with its first deploy, so a process that cannot
 * load ends and is started again; only what was read once may fail later and be reported to the editor.
 */
function unloaded(what, error) {
  const message = `Weir did not give this instance its ${what}: ${error.message}. Check 'weir status'.`;
  if (!loaded.has(what)) {
    log("fatal", message);
    process.exit(EXIT_UNLOADED);
  }
  throw Object.assign(new Error(message), { code: error.code });
}

async function read(what, isRight) {
  try {
    const value = parsed(await persist("GET", path(what), { limitMs: READ_LIMIT_MS }));
    if (!isRight(value)) {
      throw new ApplianceError(`the answer is not what ${what} look like`, { definite: true });
    }
    loaded.add(what);
    return value;
  } catch (error) {
    return unloaded(what, error);
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nextStep(error) {
  if (error.hint) {
    return error.hint;
  }
  return error.definite ? "The log and 'weir doctor' tell more." : "Weir is away: deploy again when it is back.";
}

function notStored(what, error) {
  const text = `The ${what} were not stored: ${error.message}. Your changes are still in this editor. ${nextStep(error)}`;
  return Object.assign(new Error(text), { code: error.code, status: error.definite ? 400 : 503 });
}

async function write(what, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value));
  try {
    await persist("POST", path(what), {
      limitMs: WRITE_LIMIT_MS,
      body,
      // One id for all attempts: a repeated POST is one write to the platform.
      headers: { "content-type": "application/json", "x-weir-request": randomUUID(), ...headers },
    });
  } catch (error) {
    throw notStored(what, error);
  }
}

async function getLibraryEntry(type, name) {
  const query = `library/${encodeURIComponent(type)}?${new URLSearchParams({ name })}`;
  const answer = await persist("GET", path(query), { limitMs: WRITE_LIMIT_MS });
  return answer.type.startsWith("application/json") ? parsed(answer) : answer.body.toString("utf8");
}

module.exports = {
  async init() {
    settingsWriter = new LatestWriter("settings of Node-RED", path("settings"), WRITE_LIMIT_MS);
  },
  getFlows: () => read("flows", Array.isArray),
  saveFlows: (flows, user) => write("flows", flows, user?.userId ? { "ff-user": String(user.userId) } : {}),
  getCredentials: () => read("credentials", isObject),
  saveCredentials: (credentials) => write("credentials", credentials),
  getSettings: () => read("settings", isObject),
  saveSettings: (settings) => settingsWriter.write(settings),
  getSessions: () => sessions.restore(),
  // The object that `restore` gave out is the one Node-RED works on: there is no other to save.
  saveSessions: () => sessions.save(),
  getLibraryEntry,
  saveLibraryEntry: (type, name, meta, body) =>
    write(`library/${encodeURIComponent(type)}`, { name, meta: meta ?? {}, body }),
};
