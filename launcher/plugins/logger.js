"use strict";
/**
 * The console as the launcher reads it: one JSON object a line, `{ts, level, type, name, id, msg}`.
 * `ts` is in ms, `level` a name. Nothing here throws, and no line is longer than the launcher keeps.
 */

const util = require("node:util");
const { secrets } = require("./boot.js");

/** The launcher cuts lines at 16 kB; a cut line is no longer JSON, so ours stay below. */
const MAX_LINE_BYTES = 15_000;

const LEVELS = {
  10: "fatal",
  20: "error",
  30: "warn",
  40: "info",
  50: "debug",
  60: "trace",
  98: "audit",
  99: "metric",
};

function withoutSecrets(text) {
  return secrets().reduce((clean, secret) => clean.replaceAll(secret, "[secret]"), text);
}

function errorText(error) {
  const stack = typeof error.stack === "string" ? error.stack : "";
  const message = String(error.message ?? error);
  return stack.includes(message) ? stack : `${message}\n${stack}`.trim();
}

/**
 * A message as text or plain JSON, whatever a node has logged: errors with their stack, cycles by inspection.
 */
function printable(message) {
  if (util.types.isNativeError(message) || message instanceof Error) {
    return errorText(message);
  }
  if (message === null || typeof message !== "object") {
    return typeof message === "string" ? message : util.inspect(message);
  }
  try {
    return JSON.parse(JSON.stringify(message));
  } catch {
    return util.inspect(message, { depth: 4, maxArrayLength: 100, maxStringLength: MAX_LINE_BYTES });
  }
}

function shortened(entry, bytes) {
  const text = typeof entry.msg === "string" ? entry.msg : JSON.stringify(entry.msg);
  // Escapes make JSON longer than its text: scale by what this text really cost.
  const keep = Math.max(100, Math.floor((text.length * (MAX_LINE_BYTES - 1000)) / bytes));
  return { ...entry, msg: `${text.slice(0, keep)}… (${text.length - keep} more characters)` };
}

/** Half of a surrogate pair (a text cut in the middle of an emoji) is JSON that strict readers refuse. */
function json(entry) {
  return JSON.stringify(entry, (_, value) => (typeof value === "string" ? value.toWellFormed() : value));
}

/** The line of one entry, without the newline. */
function line(entry) {
  let text = json(entry);
  for (let bytes = Buffer.byteLength(text); bytes > MAX_LINE_BYTES; bytes = Buffer.byteLength(text)) {
    entry = shortened(entry, bytes);
    text = json(entry);
  }
  return withoutSecrets(text);
}

function short(value) {
  return value === undefined || value === null ? undefined : String(value).slice(0, 200);
}

/** Prints one message of Node-RED's logger. */
function print(message) {
  let text;
  try {
    const payload = message.msg === undefined && message.event !== undefined ? { ...message } : message.msg;
    text = line({
      ts: message.timestamp ?? Date.now(),
      level: LEVELS[message.level] ?? "info",
      type: short(message.type),
      name: short(message.name),
      id: short(message.id),
      msg: printable(payload),
    });
  } catch (error) {
    text = line({ ts: Date.now(), level: "error", msg: `A log message could not be printed: ${error}` });
  }
  process.stdout.write(`${text}\n`);
}

/** Prints a line of our own; `level` is a name. */
function log(level, msg) {
  process.stdout.write(`${line({ ts: Date.now(), level, type: "weir", msg })}\n`);
}

/** For `logging.console.handler`: Node-RED calls it with its settings and logs through what it returns. */
function handler() {
  return print;
}

module.exports = { handler, line, log, print };
