"use strict";
/**
 * The library of the team, beside the local one in Node-RED's dialogs: a library source, as Node-RED's plugins may
 * bring them. It is a plugin of its own, because Node-RED makes sources only of what its registry loads.
 */

const { randomUUID } = require("node:crypto");
const { parsed, persist } = require("../appliance.js");
const { boot } = require("../boot.js");

const ID = "weir-team-library";
/** The editor waits for an appliance that restarts. */
const LIMIT_MS = 10_000;

/** Entries are named in the query, not in the path: a client may take `..` out of a path. */
function address(query = {}) {
  return `/storage/library/${encodeURIComponent(boot().teamID)}?${new URLSearchParams(query)}`;
}

function plain(path) {
  return path.replace(/^\/+/, "");
}

function told(verb, error) {
  const away = error.definite ? "" : " Weir is away: try again when it is back.";
  const text = `The team library ${verb}: ${error.message}.${error.hint ? ` ${error.hint}` : away}`;
  return Object.assign(new Error(text), { code: error.code, status: error.definite ? 400 : 503 });
}

class TeamLibrary {
  constructor({ id, label }) {
    this.id = id;
    this.label = label;
    this.type = ID;
  }

  /** A list of a folder's entries, or an entry: nodes for `flows`, text for all else. */
  async getEntry(type, path) {
    try {
      const answer = await persist("GET", address({ type, name: plain(path) }), { limitMs: LIMIT_MS });
      return answer.type.startsWith("application/json") ? parsed(answer) : answer.body.toString("utf8");
    } catch (error) {
      throw told("can't be read", error);
    }
  }

  async saveEntry(type, path, meta, body) {
    try {
      await persist("POST", address(), {
        limitMs: LIMIT_MS,
        body: Buffer.from(JSON.stringify({ name: plain(path), type, meta: meta ?? {}, body })),
        headers: { "content-type": "application/json", "x-weir-request": randomUUID() },
      });
    } catch (error) {
      throw told("did not take it", error);
    }
  }
}

module.exports = (RED) => {
  RED.plugins.registerPlugin(ID, { type: "node-red-library-source", class: TeamLibrary });
};
