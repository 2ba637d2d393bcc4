"use strict";
/**
 * Output that never holds up a flow and never fills its memory: a launcher that is frozen or slow leaves some of it
 * unread, and what goes beyond that is dropped and counted.
 */

const { line } = require("./logger.js");

/** Unread output of one stream: room for what a flow writes in one go, little beside what Node-RED itself takes. */
const MOST_BYTES = 4 << 20;

/** Bounds `stream` (process.stdout or process.stderr). */
function bound(stream) {
  const write = stream.write;
  let dropped = 0;

  function confess() {
    if (dropped > 0) {
      const msg = `${dropped} messages were dropped: the launcher did not read them in time.`;
      dropped = 0;
      write.call(stream, `${line({ ts: Date.now(), level: "warn", type: "weir", msg })}\n`);
    }
  }

  stream.write = function (chunk, encoding, done) {
    if (stream.writableLength < MOST_BYTES) {
      return write.call(stream, chunk, encoding, done);
    }
    dropped += 1;
    const callback = typeof encoding === "function" ? encoding : done;
    if (callback) {
      process.nextTick(callback);
    }
    return false;
  };
  stream.on("drain", confess);
  // When the launcher dies its pipes break; a failed write there must not end the flows.
  stream.on("error", () => {});
}

module.exports = { bound };
