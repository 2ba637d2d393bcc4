"use strict";
/**
 * A stop without victims: the server takes no more connections (they wait in the launcher's socket for the next
 * process), what has begun is answered by the flows that are still there, and only then Node-RED stops them.
 */

/** How long begun requests may take; the launcher's own patience with a stop is longer. */
const LIMIT_MS = 1_000;

class Drain {
  /** Follows the connections of `server`, an http.Server that does not listen yet. */
  constructor(server) {
    this.server = server;
    /** Connections that have not been answered: socket → response, null before the request is there. */
    this.begun = new Map();
    this.then = null;
    server.on("connection", (socket) => {
      this.begun.set(socket, null);
      socket.once("close", () => this.ended(socket));
    });
    server.prependListener("request", (req, res) => {
      this.begun.set(req.socket, res);
      this.lastOnes();
      res.once("close", () => this.ended(req.socket));
    });
    server.on("upgrade", (req, socket) => this.ended(socket));
  }

  /** Calls `then` once, when all begun requests are answered or the limit has passed. */
  run(then) {
    if (this.then !== null) {
      return;
    }
    this.then = then;
    if (this.server.listening) {
      this.server.close();
    }
    this.lastOnes();
    this.timer = setTimeout(() => this.finish(), LIMIT_MS);
    this.ended(null);
  }

  /** No connection is kept for a further request: it would meet stopped flows. */
  lastOnes() {
    if (this.then === null) {
      return;
    }
    for (const response of this.begun.values()) {
      if (response !== null && !response.headersSent) {
        response.setHeader("Connection", "close");
      }
    }
  }

  ended(socket) {
    this.begun.delete(socket);
    if (this.then !== null && this.begun.size === 0) {
      this.finish();
    }
  }

  finish() {
    clearTimeout(this.timer);
    const then = this.then;
    this.then = () => {};
    then();
  }
}

/** Puts the drain of `server` before what Node-RED itself does on SIGTERM. */
function drainBeforeStop(server, stopListening) {
  const drain = new Drain(server);
  const stop = process.listeners("SIGTERM").find((listener) => listener.name === "exitWhenStopped");
  if (stop !== undefined) {
    process.removeListener("SIGTERM", stop);
  }
  process.on("SIGTERM", () => {
    stopListening();
    drain.run(stop ?? (() => {}));
  });
}

module.exports = { Drain, drainBeforeStop };
