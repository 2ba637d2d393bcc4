"use strict";
/** Output in bounds, and the first lines of the control channel; see test_plugins_parts.py. */

const assert = require("node:assert/strict");
const childProcess = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { Writable } = require("node:stream");
const { test } = require("node:test");
const util = require("node:util");

const plugins = path.join(__dirname, "..", "..", "launcher", "plugins");
const { bound } = require(path.join(plugins, "output.js"));

/** Takes nothing until it is let go. */
class Stuck extends Writable {
  constructor() {
    super({ decodeStrings: false });
    this.taken = [];
    this.next = null;
    this.free = false;
  }

  _write(chunk, encoding, done) {
    this.taken.push(String(chunk));
    if (this.free) {
      done();
    } else {
      this.next = done;
    }
  }

  letGo() {
    this.free = true;
    this.next?.();
  }
}

test("output that nobody reads is bounded, dropped and counted once", async () => {
  const stream = new Stuck();
  bound(stream);
  let called = 0;
  for (let count = 0; count < 9000; count += 1) {
    stream.write(`${"x".repeat(1023)}\n`, () => {
      called += 1;
    });
  }
  assert.ok(stream.writableLength <= (4 << 20) + 1024);
  await new Promise(setImmediate);
  assert.ok(called >= 4890, "who waits for a write that was dropped waits not for ever");
  stream.letGo();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const told = stream.taken.filter((text) => text.includes("were dropped"));
  assert.equal(told.length, 1);
  const kept = stream.taken.length - 1;
  assert.match(told[0], new RegExp(`"${9000 - kept} messages were dropped`));
  stream.write("after\n");
  assert.equal(stream.taken.at(-1), "after\n");
});

test("the version of npm is read, once, and everything else is run", async () => {
  const { answerFromFile } = require(path.join(plugins, "npmversion.js"));
  const original = childProcess.execFile;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "weir-"));
  const script = path.join(folder, "bin", "npm-cli.js");
  fs.mkdirSync(path.dirname(script));
  fs.writeFileSync(script, "console.log('was run', process.argv[2])");
  const ask = (args) =>
    new Promise((resolve) => {
      childProcess.execFile(process.execPath, args, (error, stdout) => resolve(error ?? stdout.trim()));
    });
  answerFromFile();
  assert.equal(await ask([script, "-v"]), "was run -v", "there is no description of it yet");
  fs.writeFileSync(path.join(folder, "package.json"), '{"version": "11.2.0"}');
  assert.equal(await ask([script, "install"]), "was run install");
  assert.equal((await util.promisify(childProcess.execFile)(process.execPath, ["-p", "1"])).stdout, "1\n");
  assert.equal(await ask([script, "-v"]), "11.2.0");
  assert.equal(childProcess.execFile, original);
  assert.equal(await ask([script, "-v"]), "was run -v");
  fs.rmSync(folder, { recursive: true });
});

/** A process that opens its channel on descriptor 3 and prints what it was told. */
function channel(script) {
  const code = `const control = require(${JSON.stringify(path.join(plugins, "control.js"))}); ${script}`;
  return childProcess.spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit", "pipe"] });
}

function printed(child) {
  const chunks = [];
  child.stdout.on("data", (chunk) => chunks.push(chunk));
  return new Promise((resolve) => child.on("close", () => resolve(Buffer.concat(chunks).toString())));
}

test("a successor loads, says so, and is told who it is when its turn comes", async () => {
  const child = channel(`console.log(JSON.stringify(control.open(3, () => console.log("loads"))));`);
  const output = printed(child);
  child.stdio[3].write('{"standby":{}}\n');
  const said = await new Promise((resolve) => child.stdio[3].once("data", (chunk) => resolve(String(chunk))));
  assert.equal(said, '{"event":"warm"}\n');
  child.stdio[3].write('{"boot":{"instanceId":"i"}}\n');
  assert.equal(await output, 'loads\n{"instanceId":"i"}\n');
});

test("a successor ends with its launcher", async () => {
  const child = channel(`try { control.open(3, () => {}) } catch (error) { console.log(error.message) }`);
  const output = printed(child);
  child.stdio[3].end('{"standby":{}}\n');
  assert.match(await output, /closed the control channel/);
});

test("commands that came in one piece with the boot document are obeyed", { timeout: 20_000 }, async () => {
  const child = channel(`
    control.on("grow", (value) => console.log("grow", value));
    control.open(3, () => {});
    setTimeout(() => process.exit(0), 1000);`);
  child.stdio[3].write('{"boot":{}}\n{"grow":1}\n');
  assert.equal(await printed(child), "grow 1\n");
});

test("commands reach their owner, and what is none ends nothing", async () => {
  const script = `
    control.on("grow", (value) => console.log("grow", value));
    control.on("fail", () => { throw new Error("no") });
    control.on("end", () => process.exit(0));
    control.open(3, () => {});
    setInterval(() => {}, 1000);`;
  const child = channel(script);
  const output = printed(child);
  child.stdio[3].write('{"boot":{}}\n{"grow":1}\n{"strange":2}\nnot json\nnull\n7\n{"fail":3}\n{"gr');
  setTimeout(() => child.stdio[3].write('ow":4}\n{"end":0}\n'), 100);
  const lines = (await output).trim().split("\n");
  assert.deepEqual(lines.filter((line) => line.startsWith("grow")), ["grow 1", "grow 4"]);
  assert.ok(lines.some((line) => line.includes("fail failed: no")));
});
