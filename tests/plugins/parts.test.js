"use strict";
/** The parts of the plugins that need no Node-RED; run by Node's own test runner (see test_plugins_parts.py). */

const assert = require("node:assert/strict");
const http = require("node:http");
const path = require("node:path");
const { after, before, beforeEach, test } = require("node:test");

const plugins = path.join(__dirname, "..", "..", "launcher", "plugins");
const use = (name) => require(path.join(plugins, name));

const received = [];
let answer = () => ({ status: 200, body: "{}" });
let port = 0;
let server = null;

function listen() {
  server = http.createServer((req, res) => {
    const chunks = [];
    req.on("data", (chunk) => chunks.push(chunk));
    req.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      const { status, body: text } = answer({ method: req.method, url: req.url, headers: req.headers, body });
      if (status === 200) {
        received.push({ url: req.url, headers: req.headers, body });
      }
      res.writeHead(status, { "content-type": "application/json", connection: "close" });
      res.end(text);
    });
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
}

async function until(check, what) {
  for (const deadline = Date.now() + 10_000; !check(); ) {
    assert.ok(Date.now() < deadline, `not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Lines that the plugins print while `run` runs. */
async function printed(run) {
  const lines = [];
  const write = process.stdout.write;
  process.stdout.write = (chunk, ...rest) =>
    String(chunk).startsWith('{"ts"') ? lines.push(String(chunk)) > 0 : write.call(process.stdout, chunk, ...rest);
  try {
    await run(lines);
  } finally {
    process.stdout.write = write;
  }
  return lines.map((line) => JSON.parse(line));
}

before(async () => {
  await listen();
  port = server.address().port;
  use("boot.js").provide({
    instanceId: "one",
    teamID: "team",
    applianceURL: `http://127.0.0.1:${port}`,
    nodeRedToken: "fft_token",
    clientSecret: "client-secret",
    credentialSecret: "credential-secret",
  });
});
beforeEach(() => {
  received.length = 0;
  answer = () => ({ status: 200, body: "{}" });
});
after(() => server.close());

test("the boot document is given once, whole and frozen", () => {
  const { boot, provide } = use("boot.js");
  assert.throws(() => provide({ instanceId: "two" }), /already given/);
  assert.throws(() => {
    boot().instanceId = "two";
  }, TypeError);
});

test("audit: an absent appliance loses only the oldest events, says how many, and keeps the order", async () => {
  const log = use("audit.js").handler({});
  let away = true;
  let tries = 0;
  answer = () => ({ status: away ? (tries++, 503) : 200, body: "{}" });
  const lines = await printed(async () => {
    for (let number = 0; number < 700; number += 1) {
      log({ event: "nodes.install", number, level: 98, timestamp: number, username: "alice" });
    }
    await until(() => tries > 0, "a first attempt");
    away = false;
    await until(() => received.length === 500, "500 events");
  });
  const numbers = received.map(({ body }) => JSON.parse(body).number);
  assert.deepEqual(numbers, Array.from({ length: 500 }, (_, index) => index + 200));
  assert.ok(lines.some((line) => /200 audit events were lost/.test(line.msg)), JSON.stringify(lines));
  assert.equal(received[0].url, "/logging/one/audit");
  assert.equal(received[0].headers.authorization, "Bearer fft_token");
  assert.ok(!("username" in JSON.parse(received[0].body)) && !("level" in JSON.parse(received[0].body)));
});

test("audit: an event the appliance refuses does not stop the next, nor does one that cannot be sent", async () => {
  const log = use("audit.js").handler({});
  answer = ({ body }) => ({ status: JSON.parse(body).bad ? 400 : 200, body: '{"code":"bad_request"}' });
  const loop = { event: "flows.set" };
  loop.self = loop;
  const lines = await printed(async () => {
    log({ event: "flows.set", bad: true });
    log(loop);
    log({ event: "flows.set", big: "x".repeat(1 << 20) });
    log({ event: "flows.get" });
    log({ event: "comms.open" });
    log({ event: "auth.invalid-token" });
    log({ level: 98 });
    log({ event: "auth.login.revoke" });
    await until(() => received.length === 2, "two events");
  });
  const events = received.map(({ body }) => JSON.parse(body));
  assert.deepEqual(events.map(({ event }) => event), ["flows.set", "auth.login.revoke"]);
  assert.match(events[0].message, /too large/);
  assert.equal(lines.filter((line) => line.level === "warn").length, 2);
});

test("requests: passing failures are repeated with the same body and id, definite ones are not", async () => {
  const { persist } = use("appliance.js");
  const seen = [];
  answer = ({ body, headers }) => {
    seen.push([body, headers["x-weir-request"]]);
    return { status: seen.length < 3 ? 503 : 200, body: "{}" };
  };
  const options = { limitMs: 5_000, body: Buffer.from("[1]"), headers: { "x-weir-request": "id" } };
  await persist("POST", "/x", options);
  assert.deepEqual(seen, [["[1]", "id"], ["[1]", "id"], ["[1]", "id"]]);
  for (const status of [400, 401, 404, 409, 413]) {
    seen.length = 0;
    answer = () => (seen.push(status), { status, body: '{"code":"a_code","error":"a reason"}' });
    const expected = { name: "ApplianceError", status, code: "a_code", definite: true };
    await assert.rejects(persist("POST", "/x", options), expected);
    assert.equal(seen.length, 1);
  }
});

test("requests: the deadline holds against silence, refusal and an answer that breaks off", async () => {
  const { persist, request } = use("appliance.js");
  server.close();
  server.closeAllConnections();
  const begun = Date.now();
  await assert.rejects(persist("GET", "/x", { limitMs: 700 }), { code: "appliance_away", message: /ECONNREFUSED/ });
  assert.ok(Date.now() - begun < 1_500);
  const mute = http.createServer((req, res) => {
    if (req.url === "/half") {
      res.writeHead(200, { "content-length": 100 });
      res.write("{");
      setImmediate(() => res.destroy());
    }
  });
  await new Promise((resolve) => mute.listen(port, "127.0.0.1", resolve));
  await assert.rejects(request("GET", "/x", { timeoutMs: 200 }), { message: "no answer in time", definite: false });
  await assert.rejects(request("GET", "/half"), { definite: false, status: 0 });
  mute.closeAllConnections();
  await new Promise((resolve) => mute.close(resolve));
  await listen();
});

test("latest: only the newest waits, and every caller is let go", async () => {
  const { LatestWriter } = use("latest.js");
  const writer = new LatestWriter("settings", "/storage/one/settings", 300);
  let away = true;
  answer = () => ({ status: away ? 503 : 200, body: "{}" });
  const lines = await printed(async () => {
    await Promise.all([writer.write({ n: 1 }), writer.write({ n: 2 }), writer.write({ n: 3 })]);
    away = false;
    await until(() => received.length > 0, "the newest");
    await writer.write({ n: 4 });
    answer = () => ({ status: 413, body: '{"error":"too large"}' });
    await writer.write({ n: 5 });
  });
  assert.deepEqual(received.map(({ body }) => JSON.parse(body).n), [3, 4]);
  assert.ok(lines.some((line) => /refused the settings: too large/.test(line.msg)));
});

test("sessions: none are stored before the stored ones were read", async () => {
  const sessions = use("sessions.js");
  const stored = { old: { user: "alice", client: "c", scope: ["*"], expires: Date.now() + 60_000 } };
  let away = true;
  answer = ({ method }) => ({ status: away && method === "GET" ? 503 : 200, body: JSON.stringify(stored) });
  await printed(async () => {
    const live = sessions.restore();
    const saved = sessions.save();
    away = false;
    Object.assign(await live, { fresh: { user: "alice", scope: ["*"], expires: Date.now() + 60_000 } });
    await saved;
  });
  const written = JSON.parse(received.findLast(({ body }) => body !== "").body);
  assert.ok("old" in written);
  // What was stored with a session is not what it may do: that is the platform's word of today.
  assert.deepEqual(written.old.scope, []);
});

test("login attempts are bounded, bound to their browser and good once", () => {
  const { Attempts } = use("oauth.js");
  const sha256 = (text) => require("node:crypto").createHash("sha256").update(text).digest();
  const attempts = new Attempts();
  const states = Array.from({ length: 1_200 }, (_, n) => attempts.add({ browser: sha256(`b${n}`), n }));
  assert.equal(attempts.byState.size, 1_000);
  assert.equal(attempts.take(states[0], "b0"), undefined);
  assert.equal(attempts.take(states[1_199], "b7"), undefined);
  assert.equal(attempts.take(states[1_199], "b1199").n, 1_199);
  assert.equal(attempts.take(states[1_199], "b1199"), undefined);
  attempts.byState.get(states[1_000]).expiresAt = 0;
  assert.equal(attempts.take(states[1_000], "b1000"), undefined);
});

test("people: one person's rights never reach another, and every list is live", async () => {
  const { Editors } = use("editors.js");
  const people = new Editors();
  const grant = (scope) => ({ accessToken: "a", refreshToken: "r", lifetimeS: 1800, scope });
  const alice = { username: "alice", userId: "1" };
  people.admit(alice, grant("*"));
  people.admit({ username: "victor", userId: "2" }, grant("read"));
  const session = (await people.find("alice")).permissions;
  assert.deepEqual(session, ["*"]);
  assert.deepEqual((await people.find("victor")).permissions, ["read"]);
  people.admit(alice, grant("read"));
  assert.deepEqual(session, ["read"]);
  assert.throws(() => people.admit({ username: "carol" }, grant("http")), /your role/);
  assert.equal(await people.find("carol"), null);
  for (const name of ["__proto__", "constructor", "toString"]) {
    assert.equal(await people.find(name), null);
  }
  for (const record of people.records.values()) {
    clearTimeout(record.timer);
  }
});

test("log lines are JSON that strict readers take, short enough, without secrets", () => {
  const { line } = use("logger.js");
  const strict = (text) => new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(text));
  const half = { ts: 1, level: "info", msg: { deep: ["\ud83d", { more: "\ude00 x" }] } };
  assert.doesNotMatch(line(half), /\\ud/i);
  assert.equal(JSON.parse(line({ ts: 1, msg: "\u{1f600}" })).msg, "\u{1f600}");
  const long = line({ ts: 1, level: "info", msg: `x${"\u{1f600}".repeat(20_000)}` });
  assert.ok(Buffer.byteLength(long) <= 15_000);
  assert.doesNotMatch(strict(long), /\\ud/i, "cut in the middle of an emoji");
});

test("a portrait is initials in a URL of its own, harmless whatever the name", () => {
  const { portrait } = use("portrait.js");
  const svg = (name) => Buffer.from(portrait(name).split(",")[1], "base64").toString();
  assert.match(portrait("Ada Lovelace"), /^data:image\/svg\+xml;base64,[A-Za-z0-9+/=]+$/);
  assert.match(svg("Ada King Lovelace"), />AL<\/text>/);
  assert.match(svg("ada"), />A<\/text>/);
  assert.match(svg("<script> &"), />&#60;&#38;<\/text>/);
  assert.match(svg("👩‍🚀 Ω"), />👩Ω<\/text>/u);
  assert.ok(portrait("x".repeat(500)).length < 700);
});
