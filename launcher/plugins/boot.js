"use strict";
/**
 * The only door to the boot document: who this instance is, where the appliance answers, and the secrets it
 * was given. The document stays in this module's memory. It never enters RED.settings, process.env, a file or
 * a log line; broker.js tells the one exception.
 */

/** Fields of the document whose values must never be printed. */
const SECRET_FIELDS = ["nodeRedToken", "clientSecret", "credentialSecret", "brokerPassword"];
/** Minted anew by the appliance at each boot of a launcher. */
const RENEWED = ["nodeRedToken", "clientID", "clientSecret", "brokerURL", "brokerUsername", "brokerPassword"];

let document = null;

/** Sets the document, once per process; called by preload.js with what the launcher sent. */
function provide(received) {
  if (document !== null) {
    throw new Error("The boot document was already given to this process.");
  }
  for (const field of ["instanceId", "teamID", "applianceURL", "nodeRedToken"]) {
    if (typeof received?.[field] !== "string" || received[field] === "") {
      throw new Error(`The boot document has no ${field}: launcher and plugins differ, reinstall Weir.`);
    }
  }
  document = Object.freeze({ ...received });
}

/**
 * Takes what a launcher that started without the appliance was given later: the fields of RENEWED that are there
 * replace those of the document, nothing else can.
 */
function renew(received) {
  const fresh = RENEWED.filter((field) => typeof received?.[field] === "string" && received[field] !== "");
  document = Object.freeze({ ...boot(), ...Object.fromEntries(fresh.map((field) => [field, received[field]])) });
}

/** The boot document (frozen). Throws when this process was not started by the launcher. */
function boot() {
  if (document === null) {
    throw new Error("No boot document: Node-RED is started by Weir's launcher (weir instance start NAME).");
  }
  return document;
}

/** True once the document is there. */
function booted() {
  return document !== null;
}

/** Values to keep out of anything printed; empty before the boot. */
function secrets() {
  const values = SECRET_FIELDS.map((field) => document?.[field]);
  return values.filter((value) => value);
}

module.exports = { boot, booted, provide, renew, secrets };
