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

const commands = new Map();
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
 * Node-RED's settings need the document while they load, so the first lines are read before the event loop
 * runs.
 */
function readLine(fd, deadline) {
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

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    // The parser's own message quotes the text, and that text is secret.
    throw new Error("A first line of the launcher is not JSON.");
  }
}

/** Says that all is loaded, and sleeps in the kernel until the launcher lets it take over: hours, for a spare. */
function waitForTurn(opened, fd) {
  opened._handle.setBlocking(true);
  fs.writeSync(fd, '{"event":"warm"}\n');
  const line = readLine(fd, Infinity);
  opened._handle.setBlocking(false);
  return parse(line);
}

/** One line of the launcher: `{"<command>": value}`. A command nobody registered for is ignored by contract. */
function obey(line) {
  let document;
  try {
    document = JSON.parse(line);
  } catch {
    return;
  }
  for (const [command, value] of Object.entries(document ?? {})) {
    try {
      commands.get(command)?.(value);
    } catch (error) {
      log("error", `The launcher's command ${command} failed: ${error.message}`);
    }
  }
}

function received(chunk) {
  rest = Buffer.concat([rest, chunk]);
  const end = rest.lastIndexOf(10);
  if (end < 0) {
    rest = rest.length > MAX_LINE_BYTES ? Buffer.alloc(0) : rest;
    return;
  }
  const lines = rest.subarray(0, end).toString("utf8");
  rest = rest.subarray(end + 1);
  lines.split("\n").forEach(obey);
}

/** Calls `act(value)` for each `{"<command>": value}` of the launcher; one owner per command. */
function on(command, act) {
  commands.set(command, act);
}

function lost(error) {
  if (socket === null) {
    return;
  }
  socket = null;
  const cause = error ? ` (${error.code ?? error.message})` : "";
  log("warn", `The launcher is gone${cause}: the flows carry on without it until a restart.`);
}

/**
 * Opens the channel on `fd`, waits for the boot document, returns it. Throws when there is none. A launcher that
 * wants a successor first sends `{"standby": …}`: then `getReady` is called, and the boot document comes when its
 * turn does.
 */
function open(fd, getReady) {
  // The socket first: it makes the descriptor non-blocking, so a silent launcher meets the deadline above.
  const opened = new net.Socket({ fd, readable: true, writable: true, manualStart: true });
  let first = parse(readLine(fd, Date.now() + BOOT_DEADLINE_MS));
  if (first.standby) {
    getReady();
    first = waitForTurn(opened, fd);
  }
  socket = opened;
  socket.on("error", lost);
  socket.on("close", () => lost(null));
  socket.on("data", received);
  socket.unref();
  // What came in one piece with the document; its owners register while the settings load.
  setImmediate(received, Buffer.alloc(0)).unref();
  return first.boot;
}

/** Sends one report; dropped when the launcher is gone or does not read. */
function send(report) {
  if (socket !== null && socket.writable && socket.writableLength < MAX_UNSENT_BYTES) {
    socket.write(`${JSON.stringify(report)}\n`);
  }
}

module.exports = { on, open, send };
