"use strict";
/**
 * The line to the launcher: newline-delimited JSON over one inherited socket.
 * It never keeps the process alive, never blocks it, and its loss is a log line: the flows go on.
 */

const fs = require("node:fs");
const net = require("node:net");
const { log } = require("./logger.js");

const BOOT_DEADLINE_MS = 10_000;
const MAX_LINE_BYTES = 1 << 20;
/** Reports the launcher has not read yet; beyond it they are dropped, newest first. */
const MAX_UNSENT_BYTES = 256 << 10;

let socket = null;
let rest = Buffer.alloc(0);

function pause(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function readSome(fd, buffer, deadline) {
  while (Date.now() < deadline) {
    try {
      return fs.readSync(fd, buffer);
    } catch (error) {
      if (error.code !== "EAGAIN") {
        throw error;
      }
      pause(2);
    }
  }
  throw new Error(`The launcher sent no boot document within ${BOOT_DEADLINE_MS / 1000} s.`);
}

/**
 * Node-RED's settings need the document while they load, so the first line is read before the event loop
 * runs.
 */
function readFirstLine(fd) {
  const deadline = Date.now() + BOOT_DEADLINE_MS;
  const buffer = Buffer.alloc(65_536);
  for (;;) {
    const end = rest.indexOf(10);
    if (end >= 0) {
      const first = rest.subarray(0, end).toString("utf8");
      rest = rest.subarray(end + 1);
      return first;
    }
    const count = readSome(fd, buffer, deadline);
    if (count === 0 || rest.length > MAX_LINE_BYTES) {
      throw new Error("The launcher closed the control channel before it sent the boot document.");
    }
    rest = Buffer.concat([rest, buffer.subarray(0, count)]);
  }
}

function parseBoot(line) {
  try {
    return JSON.parse(line).boot;
  } catch {
    // The parser's own message quotes the text, and that text is secret.
    throw new Error("The first line of the launcher is not JSON.");
  }
}

function received(chunk) {
  rest = Buffer.concat([rest, chunk]);
  // No command exists yet for Node-RED; unknown ones are ignored by contract, so lines are only taken off.
  const end = rest.lastIndexOf(10);
  if (end >= 0 || rest.length > MAX_LINE_BYTES) {
    rest = rest.subarray(end >= 0 ? end + 1 : rest.length);
  }
}

function lost(error) {
  if (socket === null) {
    return;
  }
  socket = null;
  const cause = error ? ` (${error.code ?? error.message})` : "";
  log("warn", `The launcher is gone${cause}: the flows carry on without it until a restart.`);
}

/** Opens the channel on `fd`, waits for the first line, returns its document. Throws when there is none. */
function open(fd) {
  // The socket first: it makes the descriptor non-blocking, so a silent launcher meets the deadline above.
  const opened = new net.Socket({ fd, readable: true, writable: true, manualStart: true });
  const document = parseBoot(readFirstLine(fd));
  socket = opened;
  socket.on("error", lost);
  socket.on("close", () => lost(null));
  socket.on("data", received);
  socket.unref();
  return document;
}

/** Sends one report; dropped when the launcher is gone or does not read. */
function send(report) {
  if (socket !== null && socket.writable && socket.writableLength < MAX_UNSENT_BYTES) {
    socket.write(`${JSON.stringify(report)}\n`);
  }
}

module.exports = { open, send };
