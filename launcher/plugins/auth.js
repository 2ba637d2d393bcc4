"use strict";
/** `adminAuth` of settings.js: the editor's users are Weir's, and what they may do is what Weir last said. */

const { editors } = require("./editors.js");
const { WeirStrategy } = require("./oauth.js");

/**
 * Node-RED's `adminAuth`. Opening the editor leads straight to Weir's login.
 * @param {{httpAdminRoot?: string, forgeURL: string}} options `forgeURL` serves when nginx names no platform
 */
function adminAuth(options) {
  return {
    type: "strategy",
    strategy: {
      name: "weir",
      label: "Log in with Weir",
      icon: "fa-sign-in",
      autoLogin: true,
      strategy: WeirStrategy,
      options,
    },
    users: (username) => editors.find(username),
  };
}

module.exports = { adminAuth };
