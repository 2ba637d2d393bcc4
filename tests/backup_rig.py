"""A small box with one instance and its files, to make backups of without starting anything."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from msgspec import Struct

from appliance.backup.create import create
from appliance.config import Home
from appliance.schema.backup_jobs import Create, InstanceSource, Made
from appliance.services import credentials
from appliance.store import instances, storage
from appliance.store.engine import Tx
from tests.stores import fresh_context, furnished

PASSPHRASE = "correct horse battery"
SECRET = "c" * 64  # of the instance of `furnished`
FLOWS = [
    {"id": "t1", "type": "tab", "label": "line"},
    {"id": "b1", "type": "mqtt-broker", "broker": "plant"},
    {"id": "n1", "type": "inject", "z": "t1", "once": True, "onceDelay": 0.1, "wires": [["n2"]]},
    {"id": "n2", "type": "file", "z": "t1", "filename": "", "overwriteFile": "false", "wires": [[]]},
]
CREDENTIALS = {"b1": {"user": "plc", "password": "s3cret"}}


class SmallBox(Struct, frozen=True):
    """The box at `home` and its instance."""

    home: Home
    instance: str

    @property
    def files(self) -> Path:
        return self.home.instances / self.instance

    def backup(self, out: Path, *, packages: bool = False, recipients: tuple[str, ...] = ()) -> Made:
        """Make one in this process, for the keys or else with `PASSPHRASE`."""
        job = Create(
            home=str(self.home.root),
            out=str(out),
            madeAt="2026-11-23T12:00:00.000Z",
            recipients=list(recipients),
            passphrase="" if recipients else PASSPHRASE,
            packages=packages,
            sources=[InstanceSource(self.instance, directory=str(self.files))],
        )
        return create(job, lambda step, fraction: None)


async def small_box(root: Path, *, wrote: Path | None = None) -> SmallBox:
    """Made, furnished and closed. `wrote`: what its flows would write, if they ever ran."""
    context = await fresh_context(root)
    _, instance = await furnished(context)
    flows = [{**node, "filename": str(wrote or "")} if node["type"] == "file" else node for node in FLOWS]
    cipher = {"$": credentials.encrypt(json.dumps(CREDENTIALS).encode(), SECRET)}

    def work(tx: Tx) -> None:
        for kind, document in (("flows", flows), ("credentials", cipher)):
            body = json.dumps(document).encode()
            digest = hashlib.sha256(body).hexdigest()
            storage.write(tx, storage.Write(instance, kind, body, digest, None, None, context.now_ms()))
        instances.flows_written(tx, instance, at=context.now_ms())

    await context.store.write(work)
    await context.store.close()
    box = SmallBox(context.home, instance)
    _write_files(box.files)
    (root / "config.toml").write_text('[first]\nteam = "Plant"\n')
    (root / "tls").mkdir(mode=0o755)
    (root / "tls" / "ca.key").write_text("not a real key")
    (root / "tls" / "ca.key").chmod(0o600)
    return box


def _write_files(directory: Path) -> None:
    (directory / "data" / "deep").mkdir(parents=True)
    (directory / "package.json").write_text('{"dependencies": {"node-red-node-x": "1.0.0"}}')
    (directory / "data" / "deep" / "läufe.csv").write_bytes(b"1;2;3\n" * 1000)
    (directory / "data" / "run.sh").write_text("#!/bin/sh\n")
    (directory / "data" / "run.sh").chmod(0o750)
    (directory / "data" / "link").symlink_to("/etc/passwd")
    (directory / "node_modules" / "x").mkdir(parents=True)
    (directory / "node_modules" / "x" / "index.js").write_text("module.exports = 1;")
    (directory / "launcher" / "away").mkdir(parents=True)
    (directory / "launcher" / "away" / "deploy.json").write_text('{"waits": true}')
    (directory / "launcher" / "away" / "grant.json").write_text('{"of": "this box"}')
    (directory / "placement.json").write_text("{}")


def tree(directory: Path) -> dict[str, object]:
    """What is below: modes and contents of files, targets of links, modes of directories."""
    found: dict[str, object] = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[name] = f"{path.stat().st_mode & 0o777:o}"
        else:
            found[name] = (f"{path.stat().st_mode & 0o777:o}", path.read_bytes())
    return found
