"use strict";
/**
 * The people logged in to this editor, in memory only. Rights are lists that are changed in place: every
 * session of a person holds the same list, so a changed role or a revocation reaches tokens that were given
 * out before.
 *
 * After a restart of Node-RED its sessions come back from the platform and the refresh tokens from the
 * launcher's memory (`boot().kept`); each person is evaluated by the platform anew at first use. Nothing of
 * this is written to disk.
 */

const account = require("./account.js");
const { backoffMs, pause } = require("./backoff.js");
const { boot, booted } = require("./boot.js");
const control = require("./control.js");
const { log } = require("./logger.js");

const REFRESH_AT = 0.8;
/** How soon a role that was taken away is noticed, in open editors too. */
const LOOK_MS = 20_000;
const RETRY = { baseMs: 2_000, capMs: 30_000 };
/** How long one request of the editor waits for the platform's word on its user. */
const EVALUATION_MS = 5_000;
/** A login is complete only when the browser has traded its code; until then it has no session. */
const LOGIN_MS = 60_000;
/** What the launcher keeps for us is one line: the most recent people suffice. */
const MAX_KEPT = 30;
const MAX_IMAGE = 700;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A record before the platform's first word on it. */
const FRESH = { verified: false, failures: 0, nextTry: 0, refreshing: null, timer: null, admittedAt: 0 };

const PERMISSIONS = { "*": ["*"], read: ["read"] };

class Editors {
  constructor() {
    this.records = new Map();
    this.permissions = new Map();
    this.forgotten = () => {};
    this.restored = false;
  }

  /** `callback(username)` runs when somebody may no longer use this editor. */
  onForgotten(callback) {
    this.forgotten = callback;
  }

  /** The live list of what `username` may do; empty while nobody of that name is logged in. */
  permissionsOf(username) {
    let list = this.permissions.get(username);
    if (list === undefined) {
      list = [];
      this.permissions.set(username, list);
    }
    return list;
  }

  /** Logs a person in with a fresh grant. Throws when its scope allows nothing here. */
  admit(profile, grant) {
    if (PERMISSIONS[grant.scope] === undefined) {
      throw new Error("your role does not let you open this editor");
    }
    this.restore();
    clearTimeout(this.records.get(profile.username)?.timer);
    clearTimeout(this.records.get(profile.username)?.lookTimer);
    this.records.delete(profile.username);
    const record = { profile, ...FRESH, admittedAt: Date.now() };
    this.records.set(profile.username, record);
    this.apply(record, grant, grant.scope);
  }

  /**
   * The user as Node-RED wants it, or null. Waits for the platform only when the last word on them has run
   * out.
   */
  async find(username) {
    this.restore();
    const record = this.records.get(username);
    if (record === undefined) {
      return null;
    }
    if (!this.current(record) && Date.now() >= record.nextTry) {
      await Promise.race([this.renew(record), pause(EVALUATION_MS, { unref: true })]);
    }
    return this.current(this.records.get(username)) ? this.user(username) : null;
  }

  /** The platform's id of a user, for the audit log. */
  idOf(username) {
    return this.records.get(username)?.profile.userId;
  }

  /** The last session of `username` has ended. */
  leave(username) {
    const record = this.records.get(username);
    if (record !== undefined && Date.now() - record.admittedAt > LOGIN_MS) {
      this.remove(record);
    }
  }

  // -- inside ---------------------------------------------------------------------------------------------

  user(username) {
    // A copy: Node-RED hangs the tokens of a login on it, and two logins of one person may overlap.
    return { ...this.records.get(username).profile, permissions: this.permissionsOf(username) };
  }

  current(record) {
    return record !== undefined && record.verified && Date.now() < record.expiresAt;
  }

  allow(record, scope) {
    const list = this.permissionsOf(record.profile.username);
    list.splice(0, list.length, ...(PERMISSIONS[scope] ?? []));
    record.scope = scope;
    record.verified = true;
  }

  apply(record, grant, scope) {
    record.refreshToken = grant.refreshToken ?? record.refreshToken;
    record.accessToken = grant.accessToken;
    record.expiresAt = Date.now() + grant.lifetimeS * 1000;
    record.failures = 0;
    this.allow(record, scope);
    this.schedule(record, grant.lifetimeS * 1000 * REFRESH_AT);
    this.lookAgain(record);
    this.keep();
  }

  lookAgain(record) {
    clearTimeout(record.lookTimer);
    record.lookTimer = setTimeout(() => this.look(record), boot().editorsLookMs ?? LOOK_MS);
    record.lookTimer.unref();
  }

  /** Whether the person may still do what he could; in doubt his login is evaluated anew. Never rejects. */
  async look(record) {
    let doubt = false;
    try {
      doubt = !(await account.stillHolds(record.accessToken, record.scope));
    } catch (error) {
      doubt = [401, 403, 404].includes(error.status);
    }
    if (!this.isOurs(record)) {
      return;
    }
    if (doubt) {
      await this.renew(record);
    }
    if (this.isOurs(record)) {
      this.lookAgain(record);
    }
  }

  schedule(record, ms) {
    clearTimeout(record.timer);
    record.timer = setTimeout(() => this.renew(record), Math.min(ms, MAX_TIMER_MS));
    record.timer.unref();
  }

  /** Asks the platform again; one question at a time per person; never rejects. */
  renew(record) {
    record.refreshing ??= this.evaluate(record).finally(() => {
      record.refreshing = null;
    });
    return record.refreshing;
  }

  async evaluate(record) {
    try {
      const grant = await account.refresh(record.refreshToken);
      record.refreshToken = grant.refreshToken ?? record.refreshToken;
      const scope = grant.scope ?? (await account.scopeByRole(grant.accessToken));
      if (this.isOurs(record)) {
        this.accept(record, grant, scope);
      }
    } catch (error) {
      if (this.isOurs(record)) {
        this.failed(record, error);
      }
    }
  }

  /** False once the person has logged in anew or was forgotten while the platform was asked. */
  isOurs(record) {
    return this.records.get(record.profile.username) === record;
  }

  accept(record, grant, scope) {
    if (PERMISSIONS[scope] === undefined) {
      this.forget(record, "their role no longer allows it");
    } else {
      this.apply(record, grant, scope);
    }
  }

  failed(record, error) {
    if ([400, 401, 403, 404].includes(error.status)) {
      this.forget(record, error.message);
      return;
    }
    const now = Date.now();
    record.failures += 1;
    const wait = backoffMs(record.failures, RETRY);
    record.nextTry = now + RETRY.baseMs;
    if (now >= record.expiresAt) {
      // Nobody vouches for them any more; the next request asks again.
      this.permissionsOf(record.profile.username).length = 0;
      record.verified = false;
      log("warn", `${record.profile.username} can't use the editor until Weir answers: ${error.message}`);
      return;
    }
    this.allow(record, record.scope);
    this.schedule(record, Math.min(wait, record.expiresAt - now + 1));
  }

  forget(record, reason) {
    log("info", `${record.profile.username} must log in again: ${reason}`);
    this.remove(record);
    this.forgotten(record.profile.username);
  }

  remove(record) {
    clearTimeout(record.timer);
    clearTimeout(record.lookTimer);
    this.records.delete(record.profile.username);
    this.permissionsOf(record.profile.username).length = 0;
    this.keep();
  }

  keep() {
    const recent = [...this.records.values()].slice(-MAX_KEPT);
    const people = recent.map(({ profile, refreshToken, expiresAt, scope }) => {
      // A picture may be a whole data URL, and all of this has to fit one line.
      const image = profile.image?.length > MAX_IMAGE ? undefined : profile.image;
      return { profile: { ...profile, image }, refreshToken, expiresAt, scope };
    });
    control.send({ event: "keep", value: { editors: people } });
  }

  restore() {
    if (this.restored || !booted()) {
      return;
    }
    this.restored = true;
    for (const { profile, refreshToken, expiresAt, scope } of boot().kept?.editors ?? []) {
      this.records.set(profile.username, { profile, refreshToken, expiresAt, scope, ...FRESH });
    }
  }
}

/** The people of this process. */
const editors = new Editors();

module.exports = { Editors, editors };
