"use strict";
/** Files of this instance that are whole and on the disk once a promise of this module resolves. */

const fs = require("node:fs/promises");
const path = require("node:path");

let count = 0;

async function syncDirectory(directory) {
  const handle = await fs.open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeNew(file, content) {
  const handle = await fs.open(file, "wx", 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces `file`: after a power cut it holds the old or the new content, whole; once resolved, the new one. */
async function write(file, content) {
  count += 1;
  const temporary = `${file}.${process.pid}.${count}.tmp`;
  try {
    await writeNew(temporary, content);
    await fs.rename(temporary, file);
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(path.dirname(file));
}

/** The content as a Buffer, null where there is no such file. */
async function read(file) {
  try {
    return await fs.readFile(file);
  } catch (error) {
    if (error.code === "ENOENT") {
      return null;
    }
    throw error;
  }
}

/** Removes `file`; one that is not there is no error. */
async function remove(file) {
  await fs.rm(file, { force: true });
  await syncDirectory(path.dirname(file));
}

/** Removes what a process that was killed while it wrote has left in `directory`. */
async function tidy(directory) {
  const names = await fs.readdir(directory);
  const left = names.filter((name) => /^\w.*\.\d+\.\d+\.tmp$/.test(name));
  await Promise.all(left.map((name) => fs.rm(path.join(directory, name), { force: true })));
}

/** Gives `file` another name in its directory. */
async function rename(file, name) {
  const moved = path.join(path.dirname(file), name);
  await fs.rename(file, moved);
  await syncDirectory(path.dirname(file));
  return moved;
}

module.exports = { read, remove, rename, tidy, write };
