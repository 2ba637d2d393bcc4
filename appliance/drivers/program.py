"""What is started as a launcher: a program, what it is told at its start, and how it is known again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from appliance.model import InstanceSpec
from appliance.system import tree
from appliance.system.pidfd import Identity


class Start(Struct, frozen=True):
    """A command line, its environment, one line for the pipe whose number it was told, and a umask (-1: ours)."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    boot: bytes = b""
    umask: int = -1


class Program(Protocol):
    """A kind of launcher. `name` is written down with each placement: a living launcher of another kind is replaced."""

    @property
    def name(self) -> str: ...

    def prepare(self, spec: InstanceSpec, directory: Path) -> None:
        """Put in place what it needs in its directory. Blocks. Raises OSError, PlacementFailed."""

    def start(self, spec: InstanceSpec, directory: Path, secret: str, boot_fd: int) -> Start:
        """How to start it; `secret` is what was minted for this start."""

    def boot_line(self, secret: str) -> bytes:
        """What `start` puts on the pipe; all that is secret of a start, where the environment holds nothing.
        Raises PlacementFailed where it does."""

    def running(self, instance_id: str, directory: Path) -> Iterator[tuple[Identity, int | None]]:
        """Its processes of `directory`, with the generation they were started with where that can be seen."""

    def exit_hint(self, code: int) -> str:
        """What this exit code means, for a sentence; empty when nothing is known."""


class Command(Struct, frozen=True):
    """Weir's own launcher: `argv` is completed with the arguments of the instance, `env` is all it gets besides HOME.
    `appliance_url` is what launchers call. `logs`: a directory in memory for the console log, empty: it lies on the
    disk, None: there is nothing to choose. The secret is a boot ticket, which it reads from a pipe."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    appliance_url: str
    logs: str | None = None

    @property
    def name(self) -> str:
        return "weir"

    def prepare(self, spec: InstanceSpec, directory: Path) -> None:
        """It prepares everything itself."""

    def start(self, spec: InstanceSpec, directory: Path, secret: str, boot_fd: int) -> Start:
        arguments = _arguments(spec, directory, self.appliance_url, boot_fd)
        env = {**self.env, "HOME": str(directory), **({} if self.logs is None else {"WEIR_LOGS": self.logs})}
        return Start((*self.argv, *arguments), env, self.boot_line(secret))

    def boot_line(self, secret: str) -> bytes:
        return json.dumps({"ticket": secret}).encode() + b"\n"

    def running(self, instance_id: str, directory: Path) -> Iterator[tuple[Identity, int | None]]:
        for identity, arguments in tree.launchers(directory).items():
            generation = arguments.get("generation", "")
            if generation.isascii() and generation.isdigit() and len(generation) < 10:
                yield identity, int(generation)

    def exit_hint(self, code: int) -> str:
        return _EXITS.get(code, "")


_EXITS = {77: "its boot ticket was refused", 78: "its own port is in use"}


def _arguments(spec: InstanceSpec, directory: Path, appliance_url: str, boot_fd: int) -> list[str]:
    assert spec.stack is not None  # the driver has checked
    arguments = ["--instance", spec.id, "--dir", str(directory), "--appliance", appliance_url]
    arguments += ["--port", str(spec.launcher_port), "--node-red-port", str(spec.node_red_port)]
    arguments += ["--node", spec.stack.node, "--node-red", spec.stack.node_red]
    if spec.stack.compile_cache:
        arguments += ["--compile-cache", spec.stack.compile_cache]
    if spec.memory_mb:
        arguments += ["--memory-mb", str(spec.memory_mb)]
    return [*arguments, "--generation", str(spec.generation), "--boot-fd", str(boot_fd)]
