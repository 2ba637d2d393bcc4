"""Modules of an instance, installed by the stack's npm as the instance, in an environment without secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from launcher.files import read_if_there, write_atomic
from launcher.loglines import Splitter
from launcher.process import SpawnFailed, StillAlive, spawn

TIMEOUT_S = 900.0
_ARGUMENTS = ("install", "--omit=dev", "--no-audit", "--no-update-notifier", "--no-fund")


class InstallFailed(Exception):
    """npm did not install; package.json is as it was, so that the next start tries again."""


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
            self._write(document)

    def missing(self, wanted: Mapping[str, str]) -> bool:
        """Whether package.json names other modules than `wanted`, or names some that are not installed."""
        dependencies = (self._document() or {}).get("dependencies") or {}
        return dependencies != dict(wanted) or not self.present(wanted)

    def present(self, wanted: Mapping[str, str]) -> bool:
        """Whether some version of each is installed."""
        return all((self._directory / "node_modules" / name).is_dir() for name in wanted)

    async def install(self, wanted: Mapping[str, str], env: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        """Make node_modules match `wanted`. Raises InstallFailed; cancel-safe: npm is ended, the list restored."""
        before = self._package.read_bytes()
        self._write({**(self._document() or {}), "dependencies": dict(wanted)})
        done = False
        try:
            await self._run(env, timeout_s)
            done = True
        finally:
            if not done:
                write_atomic(self._package, before, 0o644)

    async def _run(self, env: Mapping[str, str], timeout_s: float) -> None:
        splitter = Splitter(lambda line: self._say("[npm] " + line.decode("utf-8", "replace")))
        out, errors = splitter, Splitter(lambda line: self._say("[npm] " + line.decode("utf-8", "replace")))
        try:
            process = spawn(
                [self._node, str(self.program()), *_ARGUMENTS],
                env=env,
                cwd=self._directory,
                outputs={1: (out.feed, out.flush), 2: (errors.feed, errors.flush)},
            )
        except SpawnFailed as error:
            raise InstallFailed(str(error)) from error
        try:
            async with asyncio.timeout(timeout_s):
                ended = await asyncio.shield(process.exited)
        except TimeoutError as error:
            raise InstallFailed(f"npm was still busy after {timeout_s:g} s; is the registry reachable?") from error
        finally:
            if process.alive:
                await _end(process.stop(5))
        if ended.code != 0:
            raise InstallFailed(f"npm ended with {ended}; its lines are in the log, prefixed [npm]")

    def program(self) -> Path:
        """npm's script: the one beside the runtime, else the one that Node-RED 5 brings. Raises InstallFailed."""
        beside = Path(self._node).resolve().parent.parent / "lib" / "node_modules"
        for modules in (beside, self._node_red / "node_modules"):
            script = modules / "npm" / "bin" / "npm-cli.js"
            if script.is_file():
                return script
        raise InstallFailed("the stack has no npm; build it again: weir stack build")

    def _document(self) -> dict[str, Any] | None:
        content = read_if_there(self._package)
        try:
            return msgspec.json.decode(content or b"", type=dict[str, Any])
        except msgspec.DecodeError:
            return None

    def _write(self, document: Mapping[str, Any]) -> None:
        content = msgspec.json.format(msgspec.json.encode(document), indent=4)
        write_atomic(self._package, content + b"\n", 0o644)


async def _end(stopping: Any) -> None:
    try:
        await stopping
    except StillAlive as error:
        raise InstallFailed(str(error)) from error
