"use strict";
/**
 * The one deploy that the appliance does not have yet: acknowledged to the editor once it is on the disk of this
 * box, sent when the appliance is back. Of several the newest counts; it is based on what the first was based on.
 */

const { randomUUID } = require("node:crypto");
const path = require("node:path");
const { request } = require("./appliance.js");
const { boot } = require("./boot.js");
const disk = require("./disk.js");
const { digest } = require("./lastgood.js");
const { log } = require("./logger.js");

const FILE = "deploy.json";
const SEND_MS = 10_000;
/** What of our own may be stored by now because an answer was lost: as much as the appliance looks at. */
const MOST_BASES = 60;
/** The appliance has taken a look and says no; everything else may be otherwise later. */
const REFUSALS = new Set([400, 409, 413, 415]);

/** As it is in the file and on the wire: whoever finds the file can import its flows. */
function written({ flows, credentials, ...about }, more = {}) {
  const head = JSON.stringify({ ...about, ...more }).slice(0, -1);
  return `${head},\n"flows":${flows}${credentials === null ? "" : `,\n"credentials":${credentials}`}}`;
}

function readBack(text) {
  const { flows, credentials, ...about } = JSON.parse(text);
  if (!Array.isArray(flows) || !Array.isArray(about.base) || typeof about.id !== "string") {
    throw new Error("it is not what a deploy looks like");
  }
  // What JSON.stringify wrote, it writes again from what was read: the digests stay right.
  const sealed = credentials === undefined ? null : JSON.stringify(credentials);
  return { credentialsBase: [], ...about, flows: JSON.stringify(flows), credentials: sealed };
}

/** The first is what the platform had when it went away: of too many it stays, with the newest. */
function together(...lists) {
  const [first, ...later] = new Set(lists.flat().filter(Boolean));
  return first === undefined ? [] : [first, ...later.slice(1 - MOST_BASES)];
}

class Deploys {
  /** @param {string} directory where the deploy is kept; empty: nothing can be */
  constructor(directory) {
    this.directory = directory;
    this.pending = null;
    this.sending = null;
    this.loading = null;
    this.turn = Promise.resolve();
  }

  /** File and `pending` change together, one change after the other. */
  inTurn(act) {
    const done = this.turn.then(act);
    this.turn = done.catch(() => {});
    return done;
  }

  get possible() {
    return this.directory !== "";
  }

  get file() {
    return path.join(this.directory, FILE);
  }

  /** Reads what an earlier process left. Never rejects. */
  async load() {
    this.loading ??= this.possible ? this.readFile() : Promise.resolve();
    await this.loading;
  }

  async readFile() {
    await disk.tidy(this.directory).catch(() => {});
    try {
      const content = await disk.read(this.file);
      this.pending ??= content === null ? null : readBack(content.toString("utf8"));
    } catch (error) {
      const name = `deploy-unreadable-${Date.now()}.json`;
      await disk.rename(this.file, name).catch(() => {});
      log("error", `A deploy that was kept on this box can't be read: ${error.message}. It is in ${name}.`);
    }
  }

  /**
   * Keeps a deploy; it is on the disk when this resolves. Rejects when the disk does not take it, and then nothing
   * has changed.
   * @param {object} deploy `flows` and `credentials` (or null) as JSON text, `user`, and `bases()`, asked when no other
   *   deploy is unsent: the revisions that may be stored, `{base, credentialsBase}`
   */
  add(deploy) {
    return this.inTurn(() => this.addNow(deploy));
  }

  async addNow({ flows, credentials, user, bases }) {
    const before = this.pending;
    const { base, credentialsBase } = before ?? bases();
    const record = {
      id: randomUUID(),
      at: new Date().toISOString(),
      user,
      // The one before may be stored although nobody heard of it.
      base: together(base, before ? digest(before.flows) : []),
      credentialsBase: together(credentialsBase, before?.credentials ? digest(before.credentials) : []),
      flows,
      credentials: credentials ?? before?.credentials ?? null,
    };
    await disk.write(this.file, written(record));
    this.pending = record;
  }

  /**
   * Hands the deploy in. Resolves to `{result, name, deploy}`: "stored", "kept" (the platform's flows stand),
   * "refused" (moved aside on this box), or null without a deploy. Rejects with ApplianceError when it is still
   * unsent.
   */
  async send(timeoutMs = SEND_MS) {
    this.sending ??= this.handIn(timeoutMs).finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  async handIn(timeoutMs) {
    const deploy = this.pending;
    if (deploy === null) {
      return null;
    }
    const { result, name } = await this.offer(deploy, timeoutMs);
    return { result, name, deploy };
  }

  /** Lets go of a deploy that was handed in; a newer one that came meanwhile stays. */
  done(deploy) {
    return this.inTurn(async () => {
      if (this.pending === deploy) {
        await disk.remove(this.file);
        this.pending = null;
      }
    });
  }

  async offer(deploy, timeoutMs) {
    try {
      return await this.post(written(deploy), timeoutMs);
    } catch (error) {
      if (!REFUSALS.has(error.status)) {
        throw error;
      }
    }
    // Asked for only now: a first attempt that arrives late must not be kept beside what came after it.
    try {
      return await this.post(written(deploy, { keep: true }), timeoutMs);
    } catch (error) {
      if (!REFUSALS.has(error.status) || error.code === "kept_full") {
        throw error;
      }
      return this.putAside(deploy, error, timeoutMs);
    }
  }

  async putAside(deploy, error, timeoutMs) {
    const file = path.join(this.directory, `deploy-refused-${deploy.id}.json`);
    await disk.write(file, written(deploy));
    const { id, at, user } = deploy;
    const refused = `Weir refused it (${error.message}); it is in ${file} on the box.`;
    const { name } = await this.post(JSON.stringify({ id, at, user, keep: true, refused }), timeoutMs);
    return { result: "refused", name };
  }

  async post(body, timeoutMs) {
    const target = `/storage/${encodeURIComponent(boot().instanceId)}/deploys`;
    const headers = { "content-type": "application/json" };
    const answer = await request("POST", target, { body: Buffer.from(body), headers, timeoutMs });
    return JSON.parse(answer.body.toString("utf8"));
  }
}

module.exports = { Deploys };
