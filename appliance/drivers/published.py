"""The published launcher (`@flowfuse/nr-launcher`), unchanged (instance protocol §1.1, §7.1).

It reads its credentials from its environment, where every process of its account can read them: it knows no other
way. Its API asks nobody who he is. Both are said in docs/operations.md, and by the box itself as a problem.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.drivers.base import PlacementFailed
from appliance.drivers.program import Start
from appliance.model import InstanceSpec, RunGrant, StackRef
from appliance.system import tree
from appliance.system.files import NotPlain, make_private_dir, read_plain, write_atomic
from appliance.system.pidfd import Identity

NODE = "node"  # in front of the command: the Node.js of the instance's stack
PACKAGE = b'{"name": "node-red-project", "version": "0.0.1", "private": true, "dependencies": {}}\n'
_PACKAGE_BYTES = 1 << 20


class Published(Struct, frozen=True):
    """`command` is the configured one; `env` is what all launchers get, with a PATH. The secret is a `RunGrant`."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    appliance_url: str

    @property
    def name(self) -> str:
        return "published"

    def prepare(self, spec: InstanceSpec, directory: Path) -> None:
        """What its own driver would make, which it relies on: a package.json, `storage`, and npm on the PATH."""
        assert spec.stack is not None  # the driver has checked
        missing = next((word for word in self.command if word.startswith("/") and not Path(word).exists()), None)
        if missing is not None:
            why = f"the launcher of the configuration is not there: {missing}"
            raise PlacementFailed("launcher_missing", f"{why}; run: weir launcher install, or correct launcher.command")
        make_private_dir(directory / "storage")
        if not _is_package(directory / "package.json"):
            write_atomic(directory / "package.json", PACKAGE, 0o600)
        programs = make_private_dir(directory / "launcher" / "npm")
        write_atomic(programs / "npm", _npm(spec.stack), 0o700)

    def start(self, spec: InstanceSpec, directory: Path, secret: str, boot_fd: int) -> Start:
        assert spec.stack is not None
        grant = msgspec.json.decode(secret, type=RunGrant)
        first, *rest = self.command
        program = (spec.stack.node if first == NODE else first, *rest)
        arguments = ("--port", str(spec.launcher_port), "--forgeURL", self.appliance_url, "--project", spec.id)
        env = {**self.env, **self._told(spec, spec.stack, directory, grant)}
        # The settings file it writes holds its token.
        return Start((*program, *arguments), env, umask=0o077)

    def boot_line(self, secret: str) -> bytes:
        raise PlacementFailed("placed_anew", "this launcher can be given its credentials at its start only")

    def running(self, instance_id: str, directory: Path) -> Iterator[tuple[Identity, int | None]]:
        wanted = ("--project", instance_id)
        for identity in tree.labelled(directory):
            arguments = tree.arguments(identity)
            if wanted in zip(arguments, arguments[1:], strict=False):
                yield identity, None

    def exit_hint(self, code: int) -> str:
        return "it could not get its settings, or its port is in use" if code == 1 else ""

    def _told(self, spec: InstanceSpec, stack: StackRef, directory: Path, grant: RunGrant) -> dict[str, str]:
        path = ":".join((str(directory / "launcher" / "npm"), str(Path(stack.node).parent), self.env.get("PATH", "")))
        told = {
            "HOME": str(directory),
            "PATH": path,
            "FORGE_URL": self.appliance_url,
            "FORGE_TEAM_ID": grant.team_id,
            "FORGE_PROJECT_ID": spec.id,
            "FORGE_PROJECT_TOKEN": grant.token,
            "FORGE_CLIENT_ID": grant.client_id,
            "FORGE_CLIENT_SECRET": grant.client_secret,
            "FORGE_NR_SECRET": grant.credential_secret,
            "FORGE_NR_PATH": stack.node_red,
            "FORGE_NR_NO_TCP_IN": "false",
            "FORGE_NR_NO_UDP_IN": "false",
        }
        if grant.broker_url:
            told |= {
                "FORGE_BROKER_URL": grant.broker_url,
                "FORGE_BROKER_USERNAME": grant.broker_username,
                "FORGE_BROKER_PASSWORD": grant.broker_password,
            }
        return {**told, "FORGE_MEMORY_LIMIT": str(spec.memory_mb)} if spec.memory_mb else told


def _npm(stack: StackRef) -> str:
    """Ours is no program of its own but a script below the stack's Node.js."""
    script = Path(stack.node).parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    return f'#!/bin/sh\nexec {shlex.quote(stack.node)} {shlex.quote(str(script))} "$@"\n'


def _is_package(file: Path) -> bool:
    """Whether it can be read as one: without, the launcher ends at once."""
    try:
        msgspec.json.decode(read_plain(file, _PACKAGE_BYTES), type=dict[str, object])
    except (FileNotFoundError, NotPlain, msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True
