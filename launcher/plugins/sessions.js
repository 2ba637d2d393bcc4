"use strict";
/**
 * The editor's sessions. Node-RED works on the object that `restore` returns, so this module sees and can end
 * every session: what a session may do is the live permission list of its user, never what was stored with
 * it.
 */

const { parsed, request } = require("./appliance.js");
const { backoffMs, pause } = require("./backoff.js");
const { boot } = require("./boot.js");
const { editors } = require("./editors.js");
const { LatestWriter } = require("./latest.js");
const { log } = require("./logger.js");

/** How long a login may wait for the stored sessions before it goes on without them. */
const WAIT_MS = 10_000;
const RETRY = { baseMs: 200, capMs: 5_000 };

const live = {};
const ending = new Set();
let known = new Map();
let loading = null;
let writer = null;

function path() {
  return `/storage/${encodeURIComponent(boot().instanceId)}/sessions`;
}

function adopt(stored) {
  for (const [token, session] of Object.entries(stored ?? {})) {
    if (!Object.hasOwn(live, token) && typeof session?.user === "string" && session.expires > Date.now()) {
      live[token] = { ...session, accessToken: token, scope: editors.permissionsOf(session.user) };
      known.set(token, session.user);
    }
  }
}

async function load() {
  for (let failures = 1; ; failures += 1) {
    try {
      adopt(parsed(await request("GET", path())));
      return;
    } catch (error) {
      if (failures === 1 || !error.passing) {
        log("warn", `No sessions of the editor yet: ${error.message}. People may have to log in again.`);
      }
      if (!error.passing) {
        return;
      }
      await pause(backoffMs(failures, RETRY), { unref: true });
    }
  }
}

function bounded(promise) {
  return Promise.race([promise, pause(WAIT_MS, { unref: true })]);
}

/** The object of all sessions, filled as soon as the appliance answers. Never rejects; waits at most 10 s. */
async function restore() {
  loading ??= load();
  await bounded(loading);
  return live;
}

/** Node-RED closes the websockets of a session only when it expires: let it expire. */
function end(token) {
  ending.add(token);
  live[token] = { user: "", accessToken: token, scope: [], expires: 0 };
  try {
    const tokens = process.mainModule.require("@node-red/editor-api/lib/auth/tokens");
    tokens.get(token).finally(() => ending.delete(token));
  } catch (error) {
    log("warn", `A revoked editor stays connected until its page is closed: ${error.message}`);
    delete live[token];
    ending.delete(token);
  }
}

function endAllOf(username) {
  for (const [token, session] of Object.entries(live)) {
    if (session.user === username) {
      end(token);
    }
  }
}

/** Ends what was revoked since the last save; who has no session left is forgotten. */
function notice() {
  const gone = [...known].filter(([token]) => !Object.hasOwn(live, token));
  known = new Map(Object.entries(live).map(([token, session]) => [token, session.user]));
  const present = new Set(known.values());
  for (const [token, username] of gone) {
    if (!ending.has(token)) {
      end(token);
    }
    if (!present.has(username)) {
      editors.leave(username);
    }
  }
}

/** Stores the sessions; never rejects, waits at most 10 s and goes on in the background. */
async function save() {
  notice();
  writer ??= new LatestWriter("editor's sessions", path(), WAIT_MS);
  // Written before the stored ones were read, they would replace them.
  await bounded((loading ?? Promise.resolve()).then(() => writer.write(live)));
}

editors.onForgotten(endAllOf);

module.exports = { restore, save };
