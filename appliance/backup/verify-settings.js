"use strict";
/**
 * Settings of a Node-RED that only proves that a backup can be started: nothing of its flows runs, no module of the
 * palette is loaded, and nobody but the prover gets in, to read. Secrets come through standard input.
 */

const { timingSafeEqual } = require("node:crypto");
const { readFileSync } = require("node:fs");

const given = JSON.parse(readFileSync(0, "utf8"));
const expected = Buffer.from(given.token);

function isOurs(token) {
  const shown = Buffer.from(String(token));
  return shown.length === expected.length && timingSafeEqual(shown, expected);
}

module.exports = {
  credentialSecret: given.credentialSecret,
  flowFile: "flows.json",
  uiHost: "127.0.0.1",
  uiPort: given.port,
  httpAdminRoot: "/",
  httpNodeRoot: false,
  disableEditor: true,
  safeMode: true,
  runtimeState: { enabled: true },
  telemetry: { enabled: false, updateNotification: false },
  externalModules: {
    autoInstall: false,
    palette: { allowInstall: false, allowUpload: false },
    modules: { allowInstall: false },
  },
  adminAuth: {
    type: "credentials",
    users: [],
    tokens: async (token) => (isOurs(token) ? { username: "verify", permissions: "read" } : null),
  },
  logging: { console: { level: "info", metrics: false, audit: false } },
};
