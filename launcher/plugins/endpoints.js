"use strict";
/**
 * Who may use the HTTP endpoints, dashboards and websockets of the flows. `httpNodeAuth` guards everything that nodes
 * mount; what bypasses express (upgrades, and the long polling of socket.io) is guarded at the server itself.
 *
 * Somebody who logged in, or a program with a token, is looked up at the platform again after GOOD_MS at the latest.
 * While the platform is away, whoever was let in lately stays in; nobody new comes in.
 */

const account = require("./account.js");
const { request } = require("./appliance.js");
const { boot } = require("./boot.js");
const { log } = require("./logger.js");
const { Attempts, OwnCookie, authorizeURL, browserOrigin, random, sha256 } = require("./oauth.js");
const { version } = require("./package.json");

const CALLBACK = "/_ffAuth/callback";
const GOOD_MS = 20_000;
const REFUSED_MS = 2_000;
const GRACE_MS = 600_000;
const SESSION_MS = 7 * 24 * 3600_000;
const MOST = 10_000;
const TIMEOUT_MS = 8_000;
const TOKEN = /^Bearer (ffhttp_[A-Za-z0-9_-]{43})$/;
const OPEN = { ok: true };
const DENIED = { ok: false, status: 401 };
const FOREIGN = { ok: false, status: 403 };
const AWAY = { ok: false, status: 503 };
const TEXTS = {
  401: "Log in, or send a valid token.",
  403: "This request comes from another site.",
  503: "Weir is away and can't say who you are; try again in a moment.",
};

/** Keeps the newest MOST. */
function remember(map, key, value) {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST) {
    map.delete(map.keys().next().value);
  }
}

/** What the platform said of tokens, by their hash. One question at a time for each. */
class Verdicts {
  constructor(ask = askPlatform, now = Date.now) {
    this.ask = ask;
    this.now = now;
    this.goodMs = boot().endpointsGoodMs ?? GOOD_MS;
    this.known = new Map();
  }

  /** OPEN, DENIED or AWAY. */
  async of(token, path) {
    const key = sha256(token).toString("base64");
    const known = this.known.get(key);
    if (known !== undefined && this.now() < known.until) {
      return known.verdict;
    }
    if (known?.pending) {
      return known.pending;
    }
    const pending = this.renew(key, token, path, known);
    remember(this.known, key, { ...known, until: 0, pending });
    return pending;
  }

  async renew(key, token, path, known) {
    const asked = this.now();
    let verdict = OPEN;
    let goodAt = asked;
    try {
      await this.ask(token, path);
    } catch (error) {
      verdict = [400, 401, 403, 404].includes(error.status) ? DENIED : AWAY;
      goodAt = known?.goodAt ?? -Infinity;
      if (verdict === AWAY && asked - goodAt < GRACE_MS) {
        verdict = OPEN;
      }
    }
    const fresh = goodAt === asked;
    remember(this.known, key, { verdict, goodAt, until: asked + (fresh ? this.goodMs : Math.min(this.goodMs, REFUSED_MS)), pending: null });
    if (verdict === DENIED) {
      this.known.get(key).goodAt = -Infinity;
    }
    return verdict;
  }
}

function askPlatform(token, path) {
  const query = new URLSearchParams({ path: path.slice(0, 1024) });
  const url = `/account/check/http/${encodeURIComponent(boot().instanceId)}?${query}`;
  return request("GET", url, { token, timeoutMs: TIMEOUT_MS });
}

/** A page of another instance is "same site" to a browser: cookies are sent along, only Origin tells. */
function foreign(req) {
  const { origin } = req.headers;
  const safe = ["GET", "HEAD", "OPTIONS"].includes(req.method) && req.headers.upgrade === undefined;
  if (origin === undefined || safe) {
    return false;
  }
  try {
    return origin !== browserOrigin(req);
  } catch {
    return true;
  }
}

function pathOf(req) {
  return (req.originalUrl ?? req.url).split("?")[0];
}

/** Users of Weir, by a login in the browser; programs, by a token. */
class WeirGuard {
  constructor({ forgeURL, path }, verdicts = new Verdicts()) {
    this.forgeURL = forgeURL;
    this.verdicts = verdicts;
    this.attempts = new Attempts();
    this.sessions = new Map();
    this.cookie = new OwnCookie(`weir_http_${boot().instanceId}`, path);
    this.attemptCookie = new OwnCookie(`weir_http_login_${boot().instanceId}`, path);
  }

  async verdict(req) {
    const token = TOKEN.exec(req.headers.authorization ?? "")?.[1];
    if (token !== undefined) {
      return this.verdicts.of(token, pathOf(req));
    }
    const session = this.session(req);
    if (session === undefined) {
      return DENIED;
    }
    if (foreign(req)) {
      return FOREIGN;
    }
    const verdict = await this.alive(session, req);
    if (verdict.ok) {
      req.user ??= session.user;
      req.session ??= { user: session.user };
    }
    return verdict;
  }

  session(req) {
    const key = sha256(this.cookie.of(req) ?? "").toString("base64");
    const session = this.sessions.get(key);
    if (session !== undefined && session.endsAt <= Date.now()) {
      this.sessions.delete(key);
      return undefined;
    }
    return session;
  }

  async alive(session, req) {
    if (Date.now() >= session.expiresAt) {
      session.refreshing ??= this.refresh(session).finally(() => {
        session.refreshing = null;
      });
      await session.refreshing;
    }
    const verdict = session.ended ? DENIED : await this.verdicts.of(session.accessToken, pathOf(req));
    if (verdict === DENIED) {
      this.sessions.delete(session.key);
    }
    return verdict;
  }

  async refresh(session) {
    try {
      const grant = await account.refresh(session.refreshToken);
      session.accessToken = grant.accessToken;
      session.refreshToken = grant.refreshToken ?? session.refreshToken;
      session.expiresAt = Date.now() + grant.lifetimeS * 800;
    } catch (error) {
      session.ended = [400, 401, 403, 404].includes(error.status);
    }
  }

  async handle(req, res, next) {
    if (req.path === CALLBACK && req.method === "GET") {
      await this.finish(req, res);
      return;
    }
    const verdict = await this.verdict(req);
    if (verdict.ok) {
      next();
    } else if (verdict === DENIED && this.mayLogIn(req)) {
      this.begin(req, res);
    } else {
      refuse(res, verdict.status);
    }
  }

  mayLogIn(req) {
    return req.method === "GET" && /\btext\/html\b/.test(req.headers.accept ?? "") && !req.headers.authorization;
  }

  begin(req, res) {
    // `baseUrl` is what all paths of the instance begin with, empty where it has an origin of its own.
    const redirectUri = `${browserOrigin(req)}${req.baseUrl}${CALLBACK}`;
    const browser = this.attemptCookie.of(req) ?? random();
    const verifier = random();
    const target = /^\/(?![/\\])/.test(req.originalUrl) ? req.originalUrl : `${req.baseUrl}/`;
    const state = this.attempts.add({ redirectUri, verifier, browser: sha256(browser), target });
    res.setHeader("Cache-Control", "no-store");
    this.attemptCookie.set(req, res, browser, { path: `${req.baseUrl}${CALLBACK}`, maxAge: 600 });
    const scope = `httpAuth-${version}`;
    res.redirect(authorizeURL(req, { platform: this.forgeURL, scope, redirectUri, state, verifier }));
  }

  async finish(req, res) {
    res.setHeader("Cache-Control", "no-store");
    const { code, error, state } = req.query;
    const attempt = this.attempts.take(String(state ?? ""), this.attemptCookie.of(req) ?? "");
    if (attempt === undefined) {
      res.status(401).type("text").send("This login was not begun in this browser, or is used or too old. Open the page again.");
    } else if (error !== undefined || typeof code !== "string") {
      res.status(403).type("text").send("You have no access to the pages of this instance. Ask an owner of the team.");
    } else {
      await this.admit(req, res, { code, ...attempt });
    }
  }

  async admit(req, res, { code, redirectUri, verifier, target }) {
    try {
      const grant = await account.exchange({ code, redirectUri, verifier });
      const user = await account.profile(grant.accessToken);
      const id = random();
      const key = sha256(id).toString("base64");
      const expiresAt = Date.now() + grant.lifetimeS * 800;
      const endsAt = Date.now() + SESSION_MS;
      const { accessToken, refreshToken } = grant;
      remember(this.sessions, key, { key, user, accessToken, refreshToken, expiresAt, endsAt, refreshing: null });
      this.cookie.set(req, res, id, { path: `${req.baseUrl}/` });
      res.redirect(target);
    } catch (error) {
      log("warn", `A login to the flows' pages failed: ${error.message}`);
      const status = error.status === 0 ? 503 : 403;
      res.status(status).type("text").send(status === 503 ? TEXTS[503] : "The login failed. Open the page again.");
    }
  }
}

/** One user and a password, as Node-RED's own `httpNodeAuth`; this one is for what bypasses that. */
class BasicGuard {
  constructor({ user, pass }, compare = comparePasswords) {
    this.user = user;
    this.pass = pass;
    this.compare = compare;
    this.good = null;
  }

  async verdict(req) {
    const sent = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(req.headers.authorization ?? "")?.[1];
    if (sent === undefined) {
      return DENIED;
    }
    const given = sha256(sent).toString("base64");
    if (given === this.good) {
      return OPEN;
    }
    const [name, ...rest] = Buffer.from(sent, "base64").toString("utf8").split(":");
    if (name !== this.user || !(await this.compare(rest.join(":"), this.pass))) {
      return DENIED;
    }
    this.good = given;
    return OPEN;
  }
}

function comparePasswords(password, hash) {
  const paths = [process.mainModule.filename];
  for (const name of ["@node-rs/bcrypt", "bcryptjs"]) {
    try {
      return require(require.resolve(name, { paths })).compare(password, hash);
    } catch {
      // The other one: which of the two Node-RED brings depends on its version and the machine.
    }
  }
  return Promise.resolve(false);
}

/** Settings that can't be carried out must not leave open what somebody wanted closed. */
class ClosedGuard {
  async verdict() {
    return DENIED;
  }

  async handle(_req, res) {
    refuse(res, 401);
  }
}

function refuse(res, status) {
  res.setHeader("Cache-Control", "no-store");
  res.status(status).type("text").send(TEXTS[status]);
}

let guard = null;
let commsPath = "/comms";

/**
 * The value of `httpNodeAuth`, and the guard of all that bypasses it.
 * @param {{type: string, user?: string, pass?: string, httpAdminRoot: string, forgeURL?: string, path?: string}} options
 */
function protect(options) {
  commsPath = `${options.httpAdminRoot}/comms`;
  if (options.type === "basic") {
    guard = new BasicGuard(options);
    return { user: options.user, pass: options.pass };
  }
  guard = options.type === "flowforge-user" ? new WeirGuard(options) : new ClosedGuard();
  return (req, res, next) => {
    // A browser asks with OPTIONS before it sends credentials; the answer says nothing but what is allowed.
    if (req.method === "OPTIONS") {
      next();
      return;
    }
    guard.handle(req, res, next).catch((error) => {
      log("error", `The access to ${pathOf(req)} could not be checked: ${error.stack ?? error}`);
      refuse(res, 503);
    });
  };
}

function bypasses(event, req) {
  const path = pathOf(req);
  return event === "upgrade" ? path !== commsPath : event === "request" && /\/socket\.io(\/|$)/.test(path);
}

function turnAway(event, [, answer], status) {
  if (event === "request") {
    answer.writeHead(status, { "Content-Type": "text/plain", "Cache-Control": "no-store" });
    answer.end(TEXTS[status]);
  } else {
    answer.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  }
}

/** Guards upgrades and socket.io of Node-RED's server: these never come to express. */
function watch(server) {
  if (guard === null) {
    return;
  }
  const emit = server.emit;
  server.emit = function (event, ...args) {
    if ((event !== "upgrade" && event !== "request") || !bypasses(event, args[0])) {
      return emit.call(this, event, ...args);
    }
    const failed = () => {};
    args[1].on("error", failed);
    guard
      .verdict(args[0])
      .catch(() => AWAY)
      .then((verdict) => {
        args[1].off("error", failed);
        if (verdict.ok) {
          emit.call(this, event, ...args);
        } else {
          args[1].on("error", failed);
          turnAway(event, args, verdict.status);
        }
      });
    return true;
  };
}

module.exports = { BasicGuard, Verdicts, WeirGuard, protect, watch };
