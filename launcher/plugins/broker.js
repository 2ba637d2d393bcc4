"use strict";
/**
 * What the flows of this instance log in to the box's message broker with. Unlike the rest of the boot document it is
 * meant for nodes: for those that link instances in RED.settings, where they look for it, and for nodes of any kind as
 * variables of the environment, so that a broker of Node-RED's own MQTT nodes can be set to ${WEIR_BROKER_URL}. What it
 * opens is this instance's alone.
 */

const { boot } = require("./boot.js");

const VARIABLES = { WEIR_BROKER_URL: "brokerURL", WEIR_BROKER_USERNAME: "brokerUsername", WEIR_BROKER_PASSWORD: "brokerPassword" };

/** Sets the variables, before the settings load; none on a box without a broker. */
function expose() {
  for (const [name, field] of Object.entries(VARIABLES)) {
    if (boot()[field]) {
      process.env[name] = boot()[field];
    }
  }
}

/** The part of `settings.flowforge` that the nodes read; read anew each time, since credentials are renewed. */
function links() {
  if (!boot().brokerURL) {
    return {};
  }
  const broker = {
    get url() {
      return boot().brokerURL;
    },
    get username() {
      return boot().brokerUsername;
    },
    get password() {
      return boot().brokerPassword;
    },
  };
  const projectLink = {
    get token() {
      return boot().nodeRedToken;
    },
    broker,
  };
  return { projectLink };
}

module.exports = { expose, links };
