"use strict";
/**
 * What Weir says of a person: the OAuth token endpoint and the two profile routes an editor's token may read.
 */

const { ApplianceError, parsed, request } = require("./appliance.js");
const { boot } = require("./boot.js");
const { portrait } = require("./portrait.js");

const DEFAULT_LIFETIME_S = 1800;
const ROLE_NAMES = { 5: "dashboard", 10: "viewer", 30: "member", 50: "owner", 99: "admin" };
const ADMIN = 99;
const MEMBER = 30;
const VIEWER = 10;

async function grant(fields) {
  const { clientID, clientSecret } = boot();
  const form = new URLSearchParams({ ...fields, client_id: clientID, client_secret: clientSecret });
  const answer = parsed(
    await request("POST", "/account/token", {
      body: Buffer.from(form.toString()),
      headers: { "content-type": "application/x-www-form-urlencoded" },
      token: null,
      // Codes and refresh tokens are good once: no reused connection that may turn out closed after sending.
      fresh: true,
    }),
  );
  if (typeof answer.access_token !== "string") {
    throw new ApplianceError("the answer holds no access token", { definite: true, status: 400 });
  }
  return {
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token ?? null,
    lifetimeS: answer.expires_in > 0 ? Number(answer.expires_in) : DEFAULT_LIFETIME_S,
    scope: typeof answer.scope === "string" ? answer.scope : null,
  };
}

/** Trades an authorization code for `{accessToken, refreshToken, lifetimeS, scope}`. */
function exchange({ code, redirectUri, verifier }) {
  const grantType = { grant_type: "authorization_code" };
  return grant({ ...grantType, code, redirect_uri: redirectUri, code_verifier: verifier });
}

/** The same for a refresh token; `scope` is null when the platform did not evaluate it again. */
function refresh(refreshToken) {
  return grant({ grant_type: "refresh_token", refresh_token: refreshToken });
}

function membership(accessToken) {
  const path = `/api/v1/teams/${encodeURIComponent(boot().teamID)}/user`;
  return request("GET", path, { token: accessToken }).then(parsed);
}

/** `{username, name, email, image, userId, role}` of the person the token belongs to. */
async function profile(accessToken) {
  const user = parsed(await request("GET", "/api/v1/user", { token: accessToken }));
  const team = await membership(accessToken).catch((error) => {
    // An administrator of the box need not be a member of the team.
    if (error.status === 404) {
      return {};
    }
    throw error;
  });
  if (typeof user.username !== "string" || user.username === "") {
    throw new ApplianceError("the profile holds no username", { definite: true, status: 400 });
  }
  return {
    username: user.username,
    name: user.name ?? user.username,
    email: user.email,
    image: portrait(String(user.name || user.username)),
    userId: user.id,
    role: ROLE_NAMES[team.role] ?? "none",
  };
}

/** `*`, `read` or `none` by the present role in the team, for a platform that refreshes without a scope. */
async function scopeByRole(accessToken) {
  const { role = 0 } = await membership(accessToken);
  if (role >= MEMBER) {
    return "*";
  }
  return role >= VIEWER ? "read" : "none";
}

/** Whether the platform would still give this `scope`; an administrator who is no member may only look. */
async function stillHolds(accessToken, scope) {
  const { role = 0 } = await membership(accessToken);
  if (role === ADMIN) {
    return true;
  }
  return role >= VIEWER && scope === (role >= MEMBER ? "*" : "read");
}

module.exports = { exchange, profile, refresh, scopeByRole, stillHolds };
