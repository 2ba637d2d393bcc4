"""Proves a backup: it is restored into a scratch directory, and each instance's Node-RED is started from that copy.

Nothing happens a second time: the flows are loaded and not started (Node-RED's safe mode, and its stored state "stop"
beside it), modules of the palette are not loaded, since loading these may do anything, and the box is not touched.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS, BoxSecrets, open_box
from appliance.backup import container
from appliance.backup.content import BOX_KEY, DATABASE
from appliance.backup.crypt import damaged
from appliance.backup.restore import bring_up_to_date, opened_into
from appliance.backup.work import scratch, translated
from appliance.config import Home
from appliance.errors import Unavailable, WeirError
from appliance.model import StackRef
from appliance.schema.backup_jobs import Proven, ProvenInstance, Verify
from appliance.services import credentials
from appliance.services.stacks import build_name
from appliance.store import catalogue, instances, offline, storage
from appliance.store.engine import Tx
from appliance.store.instances import InstanceRow
from appliance.system import stacks

Say = Callable[[str, float], None]
START_S = 120.0  # a small box needs ten seconds
ANSWER_S = 10.0
END_S = 10.0
LOOK_S = 0.1
MEMORY_MB = 192
_SETTINGS = Path(__file__).with_name("verify-settings.js")
# What Node-RED says when it leaves the flows alone: safe mode, and what comes before that in its own order.
_SAFE = ("Flows stopped in safe mode", "Waiting for missing types", "Failed to load external modules required")
_RUNTIME = b'{"runtimeFlowState": "stop"}'


class Subject(Struct, frozen=True):
    """An instance as it lies in the backup."""

    id: str
    name: str
    stack: str
    flows: list[dict[str, Any]]
    sealed: Any  # the credentials file of Node-RED
    secret: str


def prove(job: Verify, say: Say) -> Proven:
    """Do it. Raises WeirError saying what does not come back to life. Blocks for some seconds for each instance."""
    began = time.monotonic()
    home, file = Home(Path(job.home)), Path(job.file)
    seen = container.opened(file)
    keys = container.keys(seen, passphrase=job.passphrase or None, secrets=job.secrets)
    try:
        with scratch(home.state, "verify") as work:
            say("restoring into a scratch directory", 0.05)
            whole = opened_into(file, seen, keys, work / "box")
            bring_up_to_date(work / "box")
            subjects = _subjects(work / "box")
            proven = []
            for number, subject in enumerate(subjects):
                say(f"starting {subject.name}, without its flows", 0.4 + 0.6 * number / len(subjects))
                proven.append(_prove_one(subject, home, work / f"red-{number}"))
    except OSError as error:
        raise translated(error, home.state) from error
    return Proven(
        instances=proven,
        files=len(whole.manifest.files),
        schema=whole.head.schema,
        took_s=round(time.monotonic() - began, 3),
    )


def _subjects(box: Path) -> list[Subject]:
    secrets_of_box = open_box(box / BOX_KEY, database=box / DATABASE)
    with offline.transaction(box / DATABASE) as tx:
        names = {row.id: build_name(row.name, row.properties) for row in catalogue.all_stacks(tx)}
        return [
            _subject(tx, row, names.get(row.stack_id, row.stack_name), secrets_of_box) for row in instances.every(tx)
        ]


def _subject(tx: Tx, row: InstanceRow, stack: str, box: BoxSecrets) -> Subject:
    stored = storage.bodies(tx, row.id)
    sealed = instances.sealed_secret(tx, row.id)
    try:
        return Subject(
            id=row.id,
            name=row.name,
            stack=stack,
            flows=msgspec.json.decode(stored.get("flows") or b"[]", type=list[dict[str, Any]]),
            sealed=msgspec.json.decode(stored.get("credentials") or b"{}"),
            secret=box.unseal(SEALED_FOR_CREDENTIALS, row.id, sealed or ""),
        )
    except msgspec.MsgspecError as error:
        raise damaged(f"the flows of '{row.name}' can't be read") from error


def _prove_one(subject: Subject, home: Home, directory: Path) -> ProvenInstance:
    known = _opened_credentials(subject)
    stack = stacks.find(home, subject.stack)
    if stack is None:
        raise Unavailable(
            f"'{subject.name}' needs the stack {subject.stack}, which is not built on this box.",
            code="stack_missing",
            hint=f"Type: weir stack build {subject.stack}",
        )
    directory.mkdir(mode=0o700)
    for name, content in (
        ("flows.json", msgspec.json.encode(subject.flows)),
        ("flows_cred.json", msgspec.json.encode(subject.sealed)),
        (".config.runtime.json", _RUNTIME),
        ("package.json", b'{"name": "verify", "private": true}'),
    ):
        (directory / name).write_bytes(content)
    with _started(stack, directory, subject.secret) as red:
        answered = red.flows(subject.name)
        if not red.is_safe():
            raise Unavailable(f"The Node-RED of '{subject.name}' did not say that its flows stand still; it was ended.")
    ids = {node.get("id") for node in answered}
    if ids != {node.get("id") for node in subject.flows}:
        raise damaged(f"Node-RED loaded other flows of '{subject.name}' than were kept")
    return ProvenInstance(subject.id, subject.name, len(subject.flows), known)


def _opened_credentials(subject: Subject) -> int:
    """How many nodes have credentials. Raises Invalid when they do not open with the instance's secret."""
    cipher = subject.sealed.get("$") if isinstance(subject.sealed, dict) else None
    if cipher is None:
        return len(subject.sealed) if isinstance(subject.sealed, dict) else 0
    try:
        return len(msgspec.json.decode(credentials.decrypt(cipher, subject.secret), type=dict[str, Any]))
    except (msgspec.MsgspecError, WeirError) as error:
        raise damaged(f"the credentials of '{subject.name}' don't open") from error


class _Red:
    """A Node-RED that was started to prove something."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, token: str, log: Path) -> None:
        self._process, self._port, self._token, self._log = process, port, token, log

    def flows(self, name: str) -> list[dict[str, Any]]:
        """What it loaded, as soon as it answers. Raises Unavailable with the end of its log."""
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if (flows := self._ask()) is not None and self.is_safe():
                    return flows
            time.sleep(LOOK_S)
        raise Unavailable(
            f"Node-RED does not start with what is in the backup of '{name}': {self._last_words()}",
            code="not_started",
            hint="Verify another backup, and look at this one by hand: README.txt in it says how.",
        )

    def is_safe(self) -> bool:
        """It said that it leaves the flows alone."""
        said = self._log.read_text("utf-8", "replace")
        return any(words in said for words in _SAFE)

    def _ask(self) -> list[dict[str, Any]] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)
        try:
            connection.request("GET", "/flows", headers={"Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            return None
        return msgspec.json.decode(body, type=list[dict[str, Any]])

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return " / ".join(line.strip() for line in lines[-3:])[-400:] or "it says nothing"


@contextmanager
def _started(stack: StackRef, directory: Path, secret: str) -> Iterator[_Red]:
    port, token, log = _free_port(), secrets.token_urlsafe(32), directory / "log"
    red = Path(stack.node_red) / "node_modules" / "node-red" / "red.js"
    command = [stack.node, f"--max-old-space-size={MEMORY_MB}", str(red), "-u", str(directory), "-s", str(_SETTINGS)]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "LANG": "C.UTF-8", "NODE_RED_ENABLE_SAFE_MODE": "true"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=directory,
            start_new_session=True,
        )
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode({"credentialSecret": secret, "port": port, "token": token}))
            process.stdin.close()
        yield _Red(process, port, token, log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            continue
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
