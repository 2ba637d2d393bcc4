"use strict";
/** What flows get of the message broker: variables, and the object that nodes which link instances look for. */

const { before, test } = require("node:test");
const assert = require("node:assert/strict");
const path = require("node:path");

const use = (name) => require(path.join(__dirname, "..", "..", "launcher", "plugins", name));
const NAMES = ["WEIR_BROKER_URL", "WEIR_BROKER_USERNAME", "WEIR_BROKER_PASSWORD"];

before(() => {
  use("boot.js").provide({
    instanceId: "one",
    teamID: "team",
    applianceURL: "http://127.0.0.1:1",
    nodeRedToken: "fft_first",
    brokerURL: "",
  });
});

test("a box without a broker sets nothing", () => {
  use("broker.js").expose();
  assert.deepEqual(NAMES.map((name) => process.env[name]), [undefined, undefined, undefined]);
  assert.deepEqual(use("broker.js").links(), {});
});

test("credentials that are renewed are those of now, also in what was handed out before", () => {
  const { boot, renew, secrets } = use("boot.js");
  renew({ brokerURL: "mqtt://127.0.0.1:1883", brokerUsername: "project:team:one", brokerPassword: "ffbp_1" });
  use("broker.js").expose();
  const { projectLink } = use("broker.js").links();
  assert.deepEqual(NAMES.map((name) => process.env[name]), ["mqtt://127.0.0.1:1883", "project:team:one", "ffbp_1"]);
  assert.equal(projectLink.token, "fft_first");
  renew({ nodeRedToken: "fft_second", brokerPassword: "ffbp_2" });
  assert.equal(projectLink.token, "fft_second");
  assert.deepEqual({ ...projectLink.broker }, { url: boot().brokerURL, username: "project:team:one", password: "ffbp_2" });
  assert.ok(secrets().includes("ffbp_2"), "it is kept out of what is printed");
});
