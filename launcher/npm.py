"""Modules of an instance: what is listed, what is there, and the install beside them (`launcher.install`)."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from launcher.files import read_if_there, write_atomic, write_changed
from launcher.loglines import Splitter
from launcher.process import SpawnFailed, StillAlive, spawn

TIMEOUT_S = 900.0
MARGIN_S = 120.0  # beyond npm's time: for the copy before it and the swap behind it
_STOP_S = 5.0
_TELL_S = 3.0  # between two reports of progress
_PROGRESS = "::progress "  # as launcher.install writes it, which is not loaded here: it would cost memory
_DISK = 74
_MODULES, _OWN = "node_modules", Path("launcher") / "modules"
_CAUSES = ("npm error ", "npm ERR! ", "weir: ")


class InstallFailed(Exception):
    """Nothing was installed; what was there is there. `disk`: because the disk refused."""

    def __init__(self, message: str, *, disk: bool = False) -> None:
        super().__init__(message)
        self.disk = disk


class Modules:
    """The modules in one user directory."""

    def __init__(self, directory: Path, node: str, node_red: str, say: Callable[[str], None]) -> None:
        self._directory = directory
        self._package = directory / "package.json"
        self._node = node
        self._node_red = Path(node_red)
        self._say = say

    def ensure_package(self, name: str) -> None:
        """Make package.json where it is missing or not JSON. Raises OSError."""
        if self._document() is None:
            document = {"name": f"instance-{name}", "version": "0.0.1", "private": True, "dependencies": {}}
            content = msgspec.json.format(msgspec.json.encode(document), indent=4)
            write_atomic(self._package, content + b"\n", 0o644)

    def missing(self, wanted: Mapping[str, str]) -> bool:
        """Whether package.json names other modules than `wanted`, or names some that are not there.

        Any version will do where any is wanted: that needs no network.
        """
        listed = (self._document() or {}).get("dependencies")
        listed = listed if isinstance(listed, dict) else {}
        differ = listed.keys() != wanted.keys() or any(spec not in ("*", listed[name]) for name, spec in wanted.items())
        return differ or bool(self.absent(wanted))

    def absent(self, wanted: Mapping[str, str]) -> list[str]:
        """Which are not there, or have no package.json that can be read."""
        return [name for name in wanted if not _is_whole(self._directory / _MODULES / name / "package.json")]

    def cut_off(self) -> bool:
        """Whether an earlier install did not come to its end."""
        own = self._directory / _OWN
        return (own / "swap.json").exists() or any(own.glob("stage-*"))

    def write_shim(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        """Write the `npm` of this instance. Raises InstallFailed, OSError."""
        words = [*self._program(timeout_s), "--"]
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        write_changed(path, f'#!/bin/sh\nexec {quoted} "$@"\n'.encode(), 0o700)

    async def recover(self, env: Mapping[str, str]) -> None:
        """Bring an install that was cut off to its end: all of it, or nothing. Raises InstallFailed."""
        await self._run([*self._program(60.0), "--recover"], env, lambda text: None, 60.0)

    async def install(
        self,
        wanted: Mapping[str, str],
        env: Mapping[str, str],
        progress: Callable[[str], None],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Make what is installed match `wanted`, beside what is there: whoever uses that may go on meanwhile.

        `progress` gets sentences. Raises InstallFailed, OSError; cancel-safe. In both cases all is as it was.
        """
        path = self._directory / _OWN / "wanted.json"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, msgspec.json.encode(dict(wanted)))
        await self._run([*self._program(timeout_s), "--wanted", str(path)], env, progress, timeout_s)

    async def _run(
        self, argv: list[str], env: Mapping[str, str], progress: Callable[[str], None], timeout_s: float
    ) -> None:
        heard = _Heard(self._say, progress)
        out, errors = Splitter(heard.line), Splitter(heard.line)
        try:
            process = spawn(
                argv,
                env=env,
                cwd=self._directory,
                outputs={1: (out.feed, out.flush), 2: (errors.feed, errors.flush)},
            )
        except SpawnFailed as error:
            raise InstallFailed(str(error)) from error
        try:
            deadline = time.monotonic() + timeout_s + MARGIN_S
            while not process.exited.done():
                if time.monotonic() > deadline:  # it keeps its own time, unless somebody keeps it from that
                    raise InstallFailed("the install did not end in time, and was ended")
                await asyncio.wait([process.exited], timeout=_TELL_S)
                heard.tell()
        finally:
            if process.alive:
                await _end(process.stop(_STOP_S))
        if (ended := process.exited.result()).code != 0:
            cause = heard.cause() or f"npm ended with {ended}; its lines are in the log, prefixed [npm]"
            raise InstallFailed(cause, disk=ended.code == _DISK or "ENOSPC" in cause)

    def _program(self, timeout_s: float) -> list[str]:
        """The command that all installs go through. Raises InstallFailed."""
        words = [sys.executable, "-I", "-m", "launcher.install", "--dir", str(self._directory)]
        return [*words, "--node", self._node, "--npm", str(self.npm()), "--timeout", f"{timeout_s:g}"]

    def npm(self) -> Path:
        """npm's script: the one beside the runtime, else the one that Node-RED 5 brings. Raises InstallFailed."""
        beside = Path(self._node).resolve().parent.parent / "lib" / "node_modules"
        for modules in (beside, self._node_red / "node_modules"):
            script = modules / "npm" / "bin" / "npm-cli.js"
            if script.is_file():
                return script
        raise InstallFailed("the stack has no npm; build it again: weir stack build")

    def _document(self) -> dict[str, Any] | None:
        try:
            return msgspec.json.decode(read_if_there(self._package) or b"", type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            return None


class _Heard:
    """What an install says: lines for the log, its progress, and why it failed."""

    def __init__(self, say: Callable[[str], None], progress: Callable[[str], None]) -> None:
        self._say = say
        self._progress = progress
        self._causes: deque[str] = deque(maxlen=40)
        self._began = time.monotonic()
        self._far = ""

    def line(self, raw: bytes) -> None:
        text = raw.decode("utf-8", "replace")
        if text.startswith(_PROGRESS):
            self._advanced(text.removeprefix(_PROGRESS))
            return
        self._say("[npm] " + text)
        for prefix in _CAUSES:
            if text.startswith(prefix):
                self._causes.append(text.removeprefix(prefix))

    def cause(self) -> str:
        """The first lines of what npm calls errors, in one."""
        lines = [line for line in self._causes if line.strip() and not line.startswith("A complete log")]
        return " ".join(lines[:3])[:500]

    def tell(self) -> None:
        """How far it is, and for how long it has been at it."""
        self._progress(f"{self._far}{', ' if self._far else ''}{time.monotonic() - self._began:.0f} s so far")

    def _advanced(self, text: str) -> None:
        # Any script of a package may print such a line: it is no more than a word to people.
        words = text.split()
        if len(words) == 2 and words[0] == "script":
            self._far = f"running the install script of {words[1][:100]}"
        elif len(words) == 2 and all(word.isdecimal() and len(word) < 7 for word in words) and int(words[1]) > 0:
            done, total = int(words[0]), int(words[1])
            self._far = f"{done} of {total} packages fetched ({100 * done // total} %)"


def _is_whole(package: Path) -> bool:
    try:
        return isinstance(msgspec.json.decode(read_if_there(package) or b"", type=dict[str, Any]).get("name"), str)
    except (OSError, msgspec.DecodeError, RecursionError):
        return False


async def _end(stopping: Any) -> None:
    try:
        await stopping
    except StillAlive as error:
        raise InstallFailed(str(error)) from error
