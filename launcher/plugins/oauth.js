"use strict";
/**
 * The login of the editor: OAuth 2 authorization code with PKCE, as a passport strategy without passport's
 * packages. A login belongs to the browser that began it (a cookie) and its `state` is good once.
 */

const crypto = require("node:crypto");
const account = require("./account.js");
const { boot } = require("./boot.js");
const { editors } = require("./editors.js");
const { log } = require("./logger.js");
const { version } = require("./package.json");

const ATTEMPT_MS = 600_000;
const MAX_ATTEMPTS = 1_000;

/** An error whose whole text is for the person at the browser: Node-RED puts it into a URL as it is. */
class LoginError extends Error {
  toString() {
    return this.message.replace(/[^\p{L}\p{N} .,:;'()/_-]/gu, " ").slice(0, 300);
  }
}

function random() {
  return crypto.randomBytes(32).toString("base64url");
}

function sha256(text) {
  return crypto.createHash("sha256").update(text).digest();
}

/** Logins under way: state → what the callback needs. Bounded; the oldest give way. */
class Attempts {
  constructor() {
    this.byState = new Map();
  }

  add(attempt) {
    const now = Date.now();
    for (const [state, { expiresAt }] of this.byState) {
      if (expiresAt > now && this.byState.size < MAX_ATTEMPTS) {
        break;
      }
      this.byState.delete(state);
    }
    const state = random();
    this.byState.set(state, { ...attempt, expiresAt: now + ATTEMPT_MS });
    return state;
  }

  /** The attempt of `state` if `browser` began it, and never again; otherwise undefined. */
  take(state, browser) {
    const attempt = this.byState.get(state);
    if (attempt === undefined || !crypto.timingSafeEqual(attempt.browser, sha256(browser))) {
      return undefined;
    }
    this.byState.delete(state);
    return attempt.expiresAt > Date.now() ? attempt : undefined;
  }
}

function header(req, name) {
  return String(req.headers[name] ?? "").split(",")[0].trim();
}

function cookie(req, name) {
  const pairs = String(req.headers.cookie ?? "").split(/;\s*/);
  const found = pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
  return found !== undefined && /^[A-Za-z0-9_-]{43}$/.test(found) ? found : null;
}

/**
 * A cookie of ours. Wherever browsers take it its name begins with `__Host-`, so that no page at another name below the
 * same domain can set one that we would take for ours (RFC 6265bis §4.1.3.2). That asks for TLS and for the path `/`:
 * below a path, which is one origin with all other instances anyway, we do without.
 */
class OwnCookie {
  constructor(name, instancePath) {
    this.plain = name;
    this.whole = !instancePath;
  }

  sealed(req) {
    return this.whole && header(req, "x-forwarded-proto") === "https";
  }

  name(req) {
    return this.sealed(req) ? `__Host-${this.plain}` : this.plain;
  }

  of(req) {
    return cookie(req, this.name(req));
  }

  set(req, res, value, { path, maxAge }) {
    const secure = header(req, "x-forwarded-proto") === "https" ? "; Secure" : "";
    const lifetime = maxAge === undefined ? "" : `; Max-Age=${maxAge}`;
    const where = this.sealed(req) ? "/" : path;
    res.append("Set-Cookie", `${this.name(req)}=${value}; Path=${where}${lifetime}; HttpOnly; SameSite=Lax${secure}`);
  }
}

/** Scheme and host as the browser sees them: nginx tells; without it, the request's own. */
function browserOrigin(req) {
  const host = header(req, "x-forwarded-host") || header(req, "host");
  const scheme = header(req, "x-forwarded-proto") === "https" ? "https" : "http";
  if (!/^[A-Za-z0-9._-]+(:\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](:\d{1,5})?$/.test(host)) {
    throw new LoginError("The login cannot start: the request names no usable host.");
  }
  return `${scheme}://${host}`;
}

/** Where the login goes on: at the platform that nginx names, else at `platform`. */
function authorizeURL(req, { platform, scope, redirectUri, state, verifier }) {
  const named = header(req, "x-weir-platform");
  const origin = /^https?:\/\/[^\s/?#@]+$/.test(named) ? named : platform.replace(/\/$/, "");
  const query = new URLSearchParams({
    response_type: "code",
    client_id: boot().clientID,
    redirect_uri: redirectUri,
    scope,
    state,
    code_challenge: sha256(verifier).toString("base64url"),
    code_challenge_method: "S256",
  });
  return `${origin}/account/authorize?${query}`;
}

class WeirStrategy {
  /**
   * @param {{httpAdminRoot?: string, forgeURL: string, path?: string}} options `path`: of all the instance has
   * @param {(profile: object, done: Function) => void} verify Node-RED's own, given by its editor-api
   */
  constructor(options, verify) {
    this.name = "weir";
    this.verify = verify;
    this.forgeURL = options.forgeURL;
    const root = `/${options.httpAdminRoot || ""}`.replace(/\/+/g, "/").replace(/\/$/, "");
    this.startPath = `${root}/auth/strategy`;
    this.cookie = new OwnCookie(`weir_oauth_${boot().instanceId}`, options.path);
    this.attempts = new Attempts();
  }

  /** Called by passport for `/auth/strategy` and its callback; ends in redirect, success or error. */
  authenticate(req) {
    req.res.setHeader("Cache-Control", "no-store");
    try {
      if (req.path.endsWith("/callback")) {
        this.finish(req).catch((error) => this.refuse(error));
      } else {
        this.begin(req);
      }
    } catch (error) {
      this.refuse(error);
    }
  }

  begin(req) {
    const redirectUri = `${browserOrigin(req)}${this.startPath}/callback`;
    // Two tabs may log in at once: they share the browser's cookie, each has its own state.
    const browser = this.cookie.of(req) ?? random();
    const verifier = random();
    const state = this.attempts.add({ redirectUri, verifier, browser: sha256(browser) });
    this.cookie.set(req, req.res, browser, { path: this.startPath, maxAge: ATTEMPT_MS / 1000 });
    const scope = `editor-${version}`;
    this.redirect(authorizeURL(req, { platform: this.forgeURL, scope, redirectUri, state, verifier }));
  }

  async finish(req) {
    const { code, error, state } = req.query;
    const attempt = this.attempts.take(String(state ?? ""), this.cookie.of(req) ?? "");
    if (attempt === undefined) {
      throw new LoginError("This login was not begun in this browser, or is used or too old: log in again.");
    }
    if (error !== undefined) {
      const reason = error === "access_denied" ? "you have no access to this instance" : String(error);
      throw new LoginError(`Weir refused the login: ${reason.slice(0, 60)}. Ask an owner of the team.`);
    }
    if (typeof code !== "string" || code === "") {
      throw new LoginError("Weir sent no login code: log in again.");
    }
    const profile = await this.profileFor(code, attempt);
    this.verify(profile, (failure, user) => (user ? this.success(user) : this.refuse(failure)));
  }

  async profileFor(code, { redirectUri, verifier }) {
    try {
      const grant = await account.exchange({ code, redirectUri, verifier });
      const profile = await account.profile(grant.accessToken);
      editors.admit(profile, grant);
      return profile;
    } catch (error) {
      const next = error.status === 0 ? "Weir is away, try again in a moment" : "log in again";
      throw new LoginError(`The login failed: ${error.message}; ${next}.`);
    }
  }

  refuse(error) {
    if (!(error instanceof LoginError)) {
      log("error", `A login failed: ${error?.stack ?? error}`);
    }
    const failed = new LoginError("The login failed; the instance's log tells why.");
    this.error(error instanceof LoginError ? error : failed);
  }
}

module.exports = { Attempts, OwnCookie, WeirStrategy, authorizeURL, browserOrigin, random, sha256 };
