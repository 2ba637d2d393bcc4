"""What has to be in place before Node-RED can be started: settings, files, modules, the listening socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from launcher import http
from launcher.appliance import Appliance, Refused
from launcher.config import Options
from launcher.crashloop import jitter
from launcher.files import read_if_there, write_changed
from launcher.loglines import Log
from launcher.npm import InstallFailed, Modules
from launcher.schema import BootGrant, Settings, State
from launcher.settings import Rendered, base_environment, command, render

BACKLOG = 511
# Of the instance's environment an install script of a stranger gets what npm needs; the rest may be secret.
_NPM_ENV = re.compile(r"npm_config_\w+|(https?|no)_proxy|node_extra_ca_certs|tz", re.IGNORECASE)
_PATIENCE_S = 3.0  # for the appliance, while there is a cached copy to start with


class StartFailed(Exception):
    """Node-RED could not be started. `reason` is a machine word; the text says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Suspended(Exception):
    """The appliance says that this instance is not to run."""


class Launch(Struct, frozen=True):
    """A Node-RED ready to be started. `admin_root` is the path of its editor."""

    argv: list[str]
    env: dict[str, str]
    boot: dict[str, Any]
    listener: int
    admin_root: str


class Progress(Struct, frozen=True):
    """What is being done, for the state report."""

    state: State
    reason: str = ""
    message: str = ""


class Preparer:
    """Prepares starts of one instance; keeps the listening socket from the first start to `release`."""

    def __init__(
        self, options: Options, appliance: Appliance, grant: BootGrant, log: Log, host_env: Mapping[str, str]
    ) -> None:
        self._options = options
        self._appliance = appliance
        self._grant = grant
        self._log = log
        self._host_env = host_env
        self._listener: socket.socket | None = None
        self._modules = Modules(options.dir, options.node, options.node_red, log.system)

    async def settings(self, say: Callable[[Progress], None]) -> Settings:
        """The settings of the appliance; the cached copy when it is away. Waits where there is none.

        Raises Suspended, StartFailed.
        """
        cache = self._options.own / "settings.json"
        waited_s, pause_s = 0.0, 0.2
        while True:
            try:
                raw = await self._appliance.settings()
                settings = msgspec.json.decode(raw, type=Settings)
            except http.Unreachable as error:
                if waited_s >= _PATIENCE_S and (cached := self._cached(cache)) is not None:
                    self._log.system(f"The appliance is away ({error}): starting with the settings of last time.")
                    return cached
                say(Progress(State.LOADING, "appliance_away", f"Waiting for the appliance: {error}."))
                await asyncio.sleep(pause_s * (0.5 + jitter() / 2))
                waited_s, pause_s = waited_s + pause_s, min(10.0, pause_s * 2)
            except Refused as error:
                raise self._refused(error) from error
            except msgspec.DecodeError as error:
                raise StartFailed(
                    "bad_settings", f"The appliance sent settings that can't be read: {error}."
                ) from error
            else:
                self._write(cache, raw)
                return settings

    async def prepare(self, settings: Settings, *, safe: bool, say: Callable[[Progress], None]) -> Launch:
        """Put everything in place. Raises StartFailed; may be cancelled and repeated at any point."""
        self._check_stack(settings)
        rendered = render(settings, self._options)
        base = base_environment(self._options, self._host_env, settings.weir.extraCa)
        self._write_files(rendered)
        self._listen()
        await self._install(rendered, base, say)
        argv, env = command(rendered, self._options, safe)
        return Launch(argv, {**env, **base}, self._boot(settings), self._fd(), rendered.admin_root)

    def release(self) -> None:
        """Close the listening socket: clients are refused from now on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _check_stack(self, settings: Settings) -> None:
        name = settings.weir.stack
        for path, need in ((Path(self._options.node), os.X_OK), (self._options.script, os.R_OK)):
            if not os.access(path, need):
                raise StartFailed(
                    "stack_missing", f"{path} is not there. Build the stack: weir stack build {name}".rstrip()
                )

    def _write_files(self, rendered: Rendered) -> None:
        directory = self._options.dir
        try:
            for made in (self._options.storage, self._options.own / "bin"):
                made.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._modules.ensure_package(self._options.instance)
            write_changed(directory / "settings.js", rendered.settings_js.encode())
            if rendered.npmrc is None:
                (directory / ".npmrc").unlink(missing_ok=True)
            else:
                write_changed(directory / ".npmrc", rendered.npmrc.encode())
            self._write_npm()
        except OSError as error:
            raise _disk(error) from error

    def _write_npm(self) -> None:
        """An `npm` for Node-RED 4 and for exec nodes: the one of the Node.js wheel does not run."""
        with contextlib.suppress(InstallFailed):
            script = f'#!/bin/sh\nexec "{self._options.node}" "{self._modules.program()}" "$@"\n'
            write_changed(self._options.own / "bin" / "npm", script.encode(), 0o700)

    def _listen(self) -> None:
        if self._listener is not None:
            return
        port = self._options.node_red_port
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise StartFailed("port_unusable", f"Port {port} can't be opened: {error.strerror}.") from error
            raise StartFailed(
                "port_in_use",
                f"Port {port} is used by another program. See which: ss -ltnp 'sport = :{port}'; stop it, "
                "or give the instance another port.",
            ) from error
        self._listener = listener

    def _fd(self) -> int:
        assert self._listener is not None
        return self._listener.fileno()

    async def _install(self, rendered: Rendered, base: Mapping[str, str], say: Callable[[Progress], None]) -> None:
        if rendered.modules is None or not self._modules.missing(rendered.modules):
            return
        say(Progress(State.INSTALLING, "", f"Installing {len(rendered.modules)} modules."))
        clean = {name: value for name, value in rendered.env.items() if _NPM_ENV.fullmatch(name)}
        try:
            await self._modules.install(rendered.modules, {**clean, **base})
        except InstallFailed as error:
            if not self._modules.present(rendered.modules):
                raise StartFailed("install_failed", f"Modules could not be installed: {error}.") from error
            # A gateway without network is no reason not to start with the versions that are there.
            self._log.system(f"Modules could not be brought up to date, starting with those installed: {error}.")
        except OSError as error:
            raise _disk(error) from error

    def _boot(self, settings: Settings) -> dict[str, Any]:
        grant = self._grant
        return {
            "instanceId": self._options.instance,
            "teamID": grant.teamID or settings.teamID,
            "teamId": grant.teamID or settings.teamID,
            "applianceURL": self._options.appliance,
            "nodeRedToken": grant.nodeRedToken,
            "clientID": grant.clientID,
            "clientSecret": grant.clientSecret,
            "credentialSecret": grant.credentialSecret,
            "publicPort": settings.weir.publicPort,
            "platformPort": settings.weir.platformPort,
            "storage": {},
        }

    def _cached(self, cache: Path) -> Settings | None:
        try:
            return msgspec.json.decode(read_if_there(cache) or b"", type=Settings)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_changed(path, content)
        except OSError as error:  # only the next start without an appliance would miss it
            self._log.system(f"The settings could not be kept for later: {error.strerror}.")

    def _refused(self, error: Refused) -> Exception:
        if error.code == "project_suspended":
            return Suspended(str(error))
        if error.status == 401:
            return StartFailed(
                "unauthorized", "The appliance no longer knows this launcher: another one was placed for the instance."
            )
        return StartFailed("settings_refused", f"The appliance refused the settings: {error} ({error.code}).")


def _disk(error: OSError) -> StartFailed:
    reason = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "disk"
    return StartFailed(reason, f"{error.filename or 'A file'} can't be written: {error.strerror}. Free some space.")
