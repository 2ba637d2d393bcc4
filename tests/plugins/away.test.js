"use strict";
/** What the plugins keep on the box while the appliance is away; run by Node's own test runner. */

const assert = require("node:assert/strict");
const { createHash } = require("node:crypto");
const { EventEmitter, once } = require("node:events");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { after, afterEach, before, beforeEach, test } = require("node:test");

const plugins = path.join(__dirname, "..", "..", "launcher", "plugins");
const use = (name) => require(path.join(plugins, name));
const sha = (text) => createHash("sha256").update(text).digest("hex");

let answer = () => ({ status: 200, body: {} });
let asked = [];
let server = null;
let directory = "";
const box = fs.mkdtempSync(path.join(os.tmpdir(), "weir-box-"));

before(async () => {
  server = http.createServer((req, res) => {
    const chunks = [];
    req.on("data", (chunk) => chunks.push(chunk));
    req.on("end", () => {
      const body = JSON.parse(Buffer.concat(chunks).toString() || "null");
      asked.push({ url: req.url, headers: req.headers, body });
      const { status, body: said } = answer({ url: req.url, body });
      res.writeHead(status, { "content-type": "application/json", connection: "close" });
      res.end(JSON.stringify(said));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  use("boot.js").provide({
    instanceId: "one",
    teamID: "team",
    applianceURL: `http://127.0.0.1:${server.address().port}`,
    nodeRedToken: "fft_first",
    credentialSecret: "never replaced",
    storage: { directory: box },
  });
});

after(() => {
  server.close();
  fs.rmSync(box, { recursive: true, force: true });
});

beforeEach(() => {
  asked = [];
  answer = () => ({ status: 200, body: { result: "stored", name: "" } });
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "weir-away-"));
});

afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

/** Lines that the plugins print while `run` runs. */
async function printed(run) {
  const lines = [];
  const write = process.stdout.write;
  process.stdout.write = (chunk, ...rest) =>
    String(chunk).startsWith('{"ts"') ? lines.push(String(chunk)) > 0 : write.call(process.stdout, chunk, ...rest);
  try {
    await run();
  } finally {
    process.stdout.write = write;
  }
  return lines.map((line) => JSON.parse(line).msg);
}

function deploys() {
  const { Deploys } = use("deploys.js");
  return new Deploys(directory);
}

const MINE = { flows: '[{"id":"1"}]', credentials: null, user: "u", bases: () => ({ base: ["old"], credentialsBase: ["c-old"] }) };

test("credentials are renewed by the launcher, and only those that it may renew", async () => {
  const { boot } = use("boot.js");
  const { onRenewed } = use("appliance.js");
  let heard = 0;
  onRenewed(() => (heard += 1));
  const commands = use("control.js");
  assert.equal(typeof commands.on, "function");
  use("boot.js").renew({
    nodeRedToken: "fft_second",
    clientID: 7,
    clientSecret: "",
    credentialSecret: "x",
    applianceURL: "http://evil",
  });
  assert.equal(boot().nodeRedToken, "fft_second");
  assert.equal(boot().credentialSecret, "never replaced");
  assert.match(boot().applianceURL, /127\.0\.0\.1/);
  assert.equal(boot().clientID, undefined);
  assert.equal(heard, 0, "nobody is told by another way than the control channel");
});

test("a deploy is whole on the disk, of one owner, and read back to the byte", async () => {
  const kept = deploys();
  const flows = JSON.stringify([{ id: "1", name: "half \ud83d", 2: "b", 1: "a", "__proto__x": null, n: 1e21 }]);
  await kept.add({ ...MINE, flows, credentials: '{"$":"x"}' });
  const file = path.join(directory, "deploy.json");
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(fs.readdirSync(directory), ["deploy.json"]);
  fs.writeFileSync(path.join(directory, "deploy.json.4711.3.tmp"), "of a process that was killed");
  fs.writeFileSync(path.join(directory, ".grant.json.4711.tmp"), "the launcher's");
  const again = deploys();
  await again.load();
  assert.deepEqual(fs.readdirSync(directory).sort(), [".grant.json.4711.tmp", "deploy.json"]);
  assert.equal(again.pending.flows, flows);
  assert.equal(again.pending.credentials, '{"$":"x"}');
  assert.deepEqual(again.pending.base, ["old"]);
});

test("of several the newest counts, on the base of the first or of what may be stored since", async () => {
  const kept = deploys();
  await kept.add({ ...MINE, credentials: '{"$":"1"}' });
  const bases = () => assert.fail("the base is that of the first");
  await kept.add({ ...MINE, flows: "[2]", bases });
  await kept.add({ ...MINE, flows: "[3]", bases });
  const { base, credentials, credentialsBase } = kept.pending;
  assert.deepEqual(base, ["old", sha(MINE.flows), sha("[2]")]);
  assert.equal(credentials, '{"$":"1"}', "those of the first are still unsent");
  assert.ok(credentialsBase.includes("c-old"));
  for (let number = 0; number < 100; number += 1) {
    await kept.add({ ...MINE, flows: `[${number}]` });
  }
  assert.ok(kept.pending.base.length <= 60);
  assert.equal(kept.pending.base[0], "old", "which the platform still has, if none of them arrived");
  assert.equal(kept.pending.base.at(-1), sha("[98]"));
});

test("a deploy in the moment when the one before it is handed in is not lost", async (t) => {
  const disk = use("disk.js");
  const { remove } = disk;
  t.mock.method(disk, "remove", async (file) => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return remove(file);
  });
  const kept = deploys();
  await kept.add(MINE);
  const bases = () => ({ base: [sha(MINE.flows)], credentialsBase: [] });
  await Promise.all([kept.done(kept.pending), kept.add({ ...MINE, flows: "[2]", bases })]);
  assert.equal(kept.pending?.flows, "[2]");
  assert.deepEqual(kept.pending.base, [sha(MINE.flows)], "what the platform has by then");
  const again = deploys();
  await again.load();
  assert.equal(again.pending?.flows, "[2]", "and it is on the disk");
});

test("a newer deploy that came while an older one was sent stays", async () => {
  const kept = deploys();
  await kept.add(MINE);
  const sent = await kept.send();
  await kept.add({ ...MINE, flows: "[2]" });
  await kept.done(sent.deploy);
  assert.equal(kept.pending.flows, "[2]");
  assert.ok(fs.existsSync(path.join(directory, "deploy.json")));
  await kept.done(kept.pending);
  assert.equal(kept.pending, null);
  assert.deepEqual(fs.readdirSync(directory), []);
});

test("it is asked to be kept only after it was refused, and not when the appliance is unwell", async () => {
  const kept = deploys();
  await kept.add(MINE);
  for (const [status, code] of [[503, "disk_full"], [500, "x"], [401, "unauthorized"], [404, "not_found"], [429, "x"]]) {
    answer = () => ({ status, body: { code, error: "no" } });
    await assert.rejects(kept.send(), { status });
  }
  assert.ok(asked.every(({ body }) => !body.keep));
  assert.notEqual(kept.pending, null);
  answer = ({ body }) =>
    body.keep
      ? { status: 200, body: { result: "kept", name: "deploy-1" } }
      : { status: 409, body: { code: "flows_changed", error: "changed" } };
  const { result, name } = await kept.send();
  assert.deepEqual([result, name], ["kept", "deploy-1"]);
  assert.equal(asked.at(-1).body.id, asked.at(-2).body.id);
  answer = ({ body }) => ({ status: 409, body: { code: body.keep ? "kept_full" : "flows_changed", error: "full" } });
  await assert.rejects(kept.send(), { code: "kept_full" });
});

test("what the appliance can't even keep stays in a file of its own, and it is told where", async () => {
  const kept = deploys();
  await kept.add(MINE);
  answer = ({ body }) =>
    body.refused
      ? { status: 200, body: { result: "kept", name: "deploy-1" } }
      : { status: 413, body: { code: "invalid_request", error: "too large" } };
  const { result, deploy } = await kept.send();
  await kept.done(deploy);
  assert.equal(result, "refused");
  const [file] = fs.readdirSync(directory);
  assert.match(file, /^deploy-refused-/);
  assert.deepEqual(JSON.parse(fs.readFileSync(path.join(directory, file))).flows, [{ id: "1" }]);
  assert.match(asked.at(-1).body.refused, new RegExp(file));
  assert.equal(asked.at(-1).body.flows, undefined);
});

test("a deploy that can't be read is put aside and said", async () => {
  fs.writeFileSync(path.join(directory, "deploy.json"), '{"id":"x","base":[],"flows":{}}');
  const kept = deploys();
  const lines = await printed(() => kept.load());
  assert.equal(kept.pending, null);
  assert.match(lines[0], /can't be read: .* It is in deploy-unreadable-/);
  assert.match(fs.readdirSync(directory)[0], /^deploy-unreadable-/);
});

test("a disk that takes nothing changes nothing", async () => {
  const kept = deploys();
  await kept.add(MINE);
  fs.renameSync(directory, `${directory}.gone`);
  await assert.rejects(kept.add({ ...MINE, flows: "[2]" }), { code: "ENOENT" });
  fs.renameSync(`${directory}.gone`, directory);
  assert.equal(kept.pending.flows, MINE.flows);
});

test("the last good copy is written once, and removed when it can't be renewed", async () => {
  const { LastGood } = use("lastgood.js");
  const good = new LastGood(directory);
  assert.equal(await good.keep("flows", "[1]"), true);
  const file = path.join(directory, "flows.json");
  const { mtimeNs, ino } = fs.statSync(file, { bigint: true });
  await good.keep("flows", "[1]");
  await new LastGood(directory).keep("flows", Buffer.from("[1]"));
  const later = fs.statSync(file, { bigint: true });
  assert.deepEqual([later.mtimeNs, later.ino], [mtimeNs, ino]);
  const disk = use("disk.js");
  const { write } = disk;
  disk.write = async () => {
    throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
  };
  const lines = await printed(async () => assert.equal(await good.keep("flows", "[2]"), false));
  disk.write = write;
  assert.match(lines[0], /can't be kept .* ENOSPC/);
  assert.equal(fs.existsSync(file), false, "an older state must not pass for the last one");
  const nowhere = new LastGood("");
  assert.equal(await nowhere.keep("flows", "[1]"), false);
  assert.equal(await nowhere.read("flows"), null);
});

test("settings are let go once the box has them, and sent when the appliance is back", async () => {
  const { LatestWriter } = use("latest.js");
  const box = { kept: [], sent: [], keep: async (body) => box.kept.push(`${body}`) > 0, stored: async (b) => box.sent.push(`${b}`) };
  const writer = new LatestWriter("settings", "/storage/one/settings", 60_000, box);
  answer = () => ({ status: 503, body: { code: "unavailable" } });
  await printed(async () => {
    await writer.write({ n: 1 });
    await writer.write({ n: 2 });
    answer = () => ({ status: 200, body: {} });
    await writer.write({ n: 3 });
    await writer.running;
  });
  assert.deepEqual(box.kept, ['{"n":1}', '{"n":2}', '{"n":3}']);
  assert.deepEqual(box.sent, ['{"n":3}'], "only the newest is the last good one");
});

test("flows of the platform that can't be read are asked for until they can", async () => {
  const storage = use("storage.js");
  const events = new EventEmitter();
  const tries = [];
  // Node-RED reads the credentials behind the flows; in safe mode the flows are loaded and not started.
  const loadFlows = async () => {
    tries.push(asked.length);
    await storage.getFlows();
    await storage.getCredentials();
    events.emit("loaded");
  };
  await storage.init({}, { events, settings: { safeMode: true }, flows: { loadFlows } });
  events.emit("flows:started");
  answer = ({ url }) => ({ status: 200, body: url.endsWith("flows") ? [] : {} });
  await storage.getFlows();
  await storage.getCredentials();
  const broken = { status: 404, body: { code: "not_found", error: "no" } };
  const refuses = ["flows", "credentials"];
  answer = ({ url, body }) => {
    if (url.endsWith("deploys")) {
      return body.keep
        ? { status: 200, body: { result: "kept", name: "deploy-1" } }
        : { status: 409, body: { code: "flows_changed", error: "changed" } };
    }
    if (body !== null) {
      return { status: 409, body: { code: "flows_changed", error: "changed" } };
    }
    const what = url.split("/").at(-1);
    return refuses[0] === what ? (refuses.shift(), broken) : { status: 200, body: what === "flows" ? [{ id: "theirs" }] : {} };
  };
  const loaded = once(events, "loaded");
  const lines = await printed(async () => {
    await assert.rejects(storage.saveFlows([{ id: "mine" }]), { code: "flows_changed" });
    await loaded;
  });
  assert.deepEqual(refuses, [], "the flows were refused, then their credentials");
  assert.equal(tries.length, 3);
  assert.equal(lines.filter((line) => /not all is made up for yet: Weir did not give .* its flows/.test(line)).length, 1);
});
