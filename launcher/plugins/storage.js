"use strict";
/**
 * Node-RED's storage module: everything is kept by the appliance. While that is away, what it last gave is read from
 * this box and a deploy is kept here until it is back. This object itself is `storageModule` in settings.js.
 */

const { randomUUID } = require("node:crypto");
const { ApplianceError, parsed, persist } = require("./appliance.js");
const { boot } = require("./boot.js");
const { CatchUp } = require("./catchup.js");
const { Deploys } = require("./deploys.js");
const { LastGood, digest } = require("./lastgood.js");
const { LatestWriter } = require("./latest.js");
const { log } = require("./logger.js");
const sessions = require("./sessions.js");

/** How long a read waits for the appliance when there is nothing on this box to go on with. */
const READ_LIMIT_MS = 60_000;
/** The same when there is: an appliance that restarts, and one that listens but does not answer. */
const READ_PATIENCE = { absentMs: 2_000, limitMs: 5_000 };
/** Not again for each document, when the one before it had to be read here. */
const READ_IMPATIENCE = { absentMs: 0, limitMs: 1_000 };
const AWAY_FOR_MS = 10_000;
/** A deploy is kept on this box when the appliance does not take it in this time, and a second more per MB. */
const WRITE_PATIENCE_MS = 3_000;
/** Where it can't be kept, the editor waits for an appliance that restarts. */
const WRITE_LIMIT_MS = 25_000;
/** Exit status for "the appliance did not give the flows": sysexits' EX_TEMPFAIL, not a crash of a flow. */
const EXIT_UNLOADED = 75;
const KEPT_HERE = "Weir is away: the deploy is kept on this box and sent when it is back.";

const loaded = new Set();
/** What the platform has, by revision, as far as we know: what a deploy is based on. */
const base = { flows: null, credentials: null };
let settingsWriter = null;
let lastGood = null;
let deploys = null;
let catchUp = null;
/** Credentials that Node-RED saved and that go with the next flows: neither the platform nor the disk has them. */
let staged = null;
/** Whether the disk refused what is staged. */
let unkept = false;
let awayAt = -Infinity;

function path(what) {
  return `/storage/${encodeURIComponent(boot().instanceId)}/${what}`;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// -- reading ---------------------------------------------------------------------------------------------------

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

function patience(here) {
  if (here === null) {
    return { limitMs: READ_LIMIT_MS };
  }
  return performance.now() - awayAt < AWAY_FOR_MS ? READ_IMPATIENCE : READ_PATIENCE;
}

async function fetched(what, isRight, limits) {
  const answer = await persist("GET", path(what), limits);
  const value = parsed(answer);
  if (!isRight(value)) {
    throw new ApplianceError(`the answer is not what ${what} look like`, { definite: true });
  }
  await lastGood.keep(what, answer.body);
  return { value, body: answer.body };
}

function opened(what, isRight, here) {
  try {
    const value = JSON.parse(here.toString("utf8"));
    return isRight(value) ? { value, body: here } : null;
  } catch {
    return null;
  }
}

/** From the box, when the appliance is away; null where nothing usable is there. */
function fromHere(what, isRight, here, error) {
  const found = error.passing && here !== null ? opened(what, isRight, here) : null;
  if (found !== null) {
    awayAt = performance.now();
    log("warn", `Weir is away (${error.message}): going on with the ${what} it gave last.`);
    catchUp.compare();
  }
  return found;
}

async function read(what, isRight) {
  const here = await lastGood.read(what);
  let found = null;
  try {
    found = await fetched(what, isRight, patience(here));
  } catch (error) {
    found = fromHere(what, isRight, here, error) ?? unloaded(what, error);
  }
  loaded.add(what);
  if (Object.hasOwn(base, what)) {
    base[what] = digest(found.body);
  }
  return found.value;
}

async function getFlows() {
  await deploys.load();
  if (deploys.pending !== null) {
    await catchUp.now(performance.now() - awayAt < AWAY_FOR_MS ? 1_000 : WRITE_PATIENCE_MS);
  }
  if (deploys.pending === null) {
    catchUp.reading();
    return read("flows", Array.isArray);
  }
  log("warn", "Weir is away: starting with the deploy that is kept on this box.");
  loaded.add("flows");
  return JSON.parse(deploys.pending.flows);
}

async function getCredentials() {
  const unsent = deploys.pending?.credentials ?? null;
  const found = unsent === null ? await read("credentials", isObject) : JSON.parse(unsent);
  catchUp.read();
  return found;
}

async function getSettings() {
  const unsent = await lastGood.read("unsent-settings");
  const found = unsent === null ? null : opened("settings", isObject, unsent);
  if (found === null) {
    return read("settings", isObject);
  }
  // In the background: it never rejects.
  settingsWriter.write(found.value);
  loaded.add("settings");
  return found.value;
}

// -- writing ---------------------------------------------------------------------------------------------------

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

/** Why an unsent deploy is not on the disk either. */
function notKept(error) {
  const full = error.code === "ENOSPC" || error.code === "EDQUOT";
  const why = full ? "the disk of this box is full" : error.message;
  const text = `Weir is away, and the deploy can't be kept on this box: ${why}. Your changes are still in this editor.`;
  return Object.assign(new Error(text), { code: full ? "disk_full" : "not_kept", status: 503 });
}

/** Whether the flows go by way of the box: the appliance is away, or something else is stored there by now. */
function isForLater(error) {
  return deploys.possible && (error.passing || error.code === "flows_changed");
}

async function store(what, text, headers = {}) {
  const body = Buffer.from(text);
  const soon = { limitMs: WRITE_PATIENCE_MS + (body.length >> 10), absentMs: 0 };
  await persist("POST", path(what), {
    ...(deploys.possible ? soon : { limitMs: WRITE_LIMIT_MS }),
    body,
    // One id for all attempts: a repeated POST is one write to the platform. The base: one that arrives late must
    // not undo what came after it.
    headers: {
      "content-type": "application/json",
      "x-weir-request": randomUUID(),
      ...(base[what] === null ? {} : { "x-weir-base": base[what] }),
      ...headers,
    },
  });
  base[what] = digest(body);
  await lastGood.keep(what, body);
}

async function saveCredentials(credentials) {
  const text = JSON.stringify(credentials);
  if (deploys.pending !== null) {
    staged = text;
    return;
  }
  try {
    await store("credentials", text);
    staged = null;
  } catch (error) {
    if (!isForLater(error)) {
      throw notStored("credentials", error);
    }
    staged = text;
  }
}

/** Credentials that the disk did not take with their flows: to the platform, if it is back. */
async function storeStaged() {
  try {
    await store("credentials", staged);
    staged = null;
  } catch (error) {
    if (!isForLater(error)) {
      throw notStored("credentials", error);
    }
  }
}

async function keepHere(flows, user) {
  try {
    await deploys.add({
      flows,
      credentials: staged,
      user,
      bases: () => ({ base: [base.flows], credentialsBase: [base.credentials] }),
    });
  } catch (error) {
    unkept = true;
    throw notKept(error);
  }
  staged = null;
  unkept = false;
}

/** The platform's flows are others by now: the deploy is kept there under a name, and the editor says so. */
async function conflicting() {
  const handedIn = await catchUp.now(WRITE_PATIENCE_MS);
  if (handedIn?.result === "kept" || handedIn?.result === "refused") {
    const text =
      `Weir's flows were changed meanwhile (rollback, import or another deploy) and stand. ` +
      `Your deploy was kept as '${handedIn.name}': see weir instance kept. The editor loads the others now.`;
    throw Object.assign(new Error(text), { code: "flows_changed", status: 400 });
  }
}

async function saveFlows(flows, user) {
  const text = JSON.stringify(flows);
  const userId = user?.userId ? String(user.userId) : null;
  let changed = false;
  if (deploys.pending === null && staged !== null && unkept) {
    await storeStaged();
  }
  if (deploys.pending === null && staged === null) {
    try {
      await store("flows", text, userId === null ? {} : { "ff-user": userId });
      return;
    } catch (error) {
      if (!isForLater(error)) {
        throw notStored("flows", error);
      }
      changed = error.code === "flows_changed";
    }
  }
  await keepHere(text, userId);
  if (changed) {
    await conflicting();
    return;
  }
  log("warn", KEPT_HERE);
  catchUp.start();
}

/** The platform has the deploy now: it is what the next one is based on. */
async function acknowledged({ flows, credentials }) {
  base.flows = digest(flows);
  await lastGood.keep("flows", flows);
  if (credentials !== null) {
    base.credentials = digest(credentials);
    await lastGood.keep("credentials", credentials);
  }
}

/** Whether the platform has other flows or credentials than those that run here. */
async function isOutdated() {
  for (const [what, isRight] of [
    ["flows", Array.isArray],
    ["credentials", isObject],
  ]) {
    const answer = await persist("GET", path(what), { limitMs: WRITE_PATIENCE_MS, absentMs: 0 });
    if (base[what] !== null && isRight(parsed(answer)) && digest(answer.body) !== base[what]) {
      return true;
    }
  }
  return false;
}

async function getLibraryEntry(type, name) {
  const query = `library/${encodeURIComponent(type)}?${new URLSearchParams({ name })}`;
  const answer = await persist("GET", path(query), { limitMs: WRITE_LIMIT_MS });
  return answer.type.startsWith("application/json") ? parsed(answer) : answer.body.toString("utf8");
}

async function saveLibraryEntry(type, name, meta, body) {
  const what = `library/${encodeURIComponent(type)}`;
  try {
    await persist("POST", path(what), {
      limitMs: WRITE_LIMIT_MS,
      body: Buffer.from(JSON.stringify({ name, meta: meta ?? {}, body })),
      headers: { "content-type": "application/json", "x-weir-request": randomUUID() },
    });
  } catch (error) {
    throw notStored(what, error);
  }
}

async function init(_settings, runtime) {
  const directory = boot().storage?.directory ?? "";
  lastGood = new LastGood(directory);
  deploys = new Deploys(directory);
  catchUp = new CatchUp(deploys, { acknowledged, isOutdated, runtime });
  settingsWriter = new LatestWriter("settings of Node-RED", path("settings"), WRITE_LIMIT_MS, {
    keep: (body) => lastGood.keep("unsent-settings", body),
    stored: async (body) => {
      await lastGood.keep("settings", body);
      await lastGood.forget("unsent-settings");
    },
  });
}

module.exports = {
  init,
  getFlows,
  saveFlows,
  getCredentials,
  saveCredentials,
  getSettings,
  saveSettings: (settings) => settingsWriter.write(settings),
  getSessions: () => sessions.restore(),
  // The object that `restore` gave out is the one Node-RED works on: there is no other to save.
  saveSessions: () => sessions.save(),
  getLibraryEntry,
  saveLibraryEntry,
};
