"use strict";
/**
 * The deferred listen: Node-RED's own server takes over the launcher's listening socket, and only when the
 * flows have settled. Until then clients wait in the socket's backlog instead of being refused. Other servers
 * are left alone.
 */

const net = require("node:net");
const { drainBeforeStop } = require("./drain.js");

class ListenGate {
  /**
   * @param {number} fd the inherited listening socket
   * @param {number} limitMs how long loaded flows may take to start before the editor opens without them
   */
  constructor(fd, limitMs) {
    this.fd = fd;
    this.limitMs = limitMs;
    this.server = null;
    this.listenNow = null;
    this.settled = false;
    this.timer = null;
  }

  /**
   * Replaces `listen` for the server that `ownServer()` returns; `onListening` runs after the real listen.
   */
  install(ownServer, onListening) {
    const gate = this;
    const listen = net.Server.prototype.listen;
    net.Server.prototype.listen = function (...args) {
      if (gate.server !== null || this !== ownServer()) {
        return listen.apply(this, args);
      }
      const callback = args.find((argument) => typeof argument === "function");
      if (callback) {
        this.once("listening", callback);
      }
      this.once("listening", onListening);
      gate.hold(this, () => listen.call(this, { fd: gate.fd }));
      return this;
    };
  }

  hold(server, listenNow) {
    this.server = server;
    this.listenNow = listenNow;
    drainBeforeStop(server, () => {
      this.listenNow = null;
    });
    this.open();
  }

  /** The flows are loaded and about to start: from now on the wait for them is bounded. */
  loaded() {
    if (this.timer === null && !this.settled) {
      this.timer = setTimeout(() => this.settle(), this.limitMs);
      this.timer.unref();
    }
  }

  /** The flows have started, or will not without somebody's repair. */
  settle() {
    clearTimeout(this.timer);
    this.settled = true;
    this.open();
  }

  open() {
    if (this.settled && this.listenNow !== null) {
      const listenNow = this.listenNow;
      this.listenNow = null;
      listenNow();
    }
  }
}

module.exports = { ListenGate };
