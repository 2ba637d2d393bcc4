"""What has to be in place before Node-RED can be started: settings, files, modules, the listening socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from launcher import compile_cache, http
from launcher.appliance import TIMEOUT_S, Appliance, Refused
from launcher.config import Options
from launcher.crashloop import jitter
from launcher.files import read_regular, sweep, write_changed, write_durable
from launcher.loglines import Log
from launcher.memory import Memory
from launcher.npm import InstallFailed, Modules
from launcher.offline import renewal
from launcher.packing import NotTaken
from launcher.process import SpawnFailed, out_of_descriptors, reason
from launcher.schema import BootGrant, Settings, State
from launcher.settings import Rendered, base_environment, command, render

BACKLOG = 511
# Of the instance's environment an install script of a stranger gets what npm needs; the rest may be secret.
_NPM_ENV = re.compile(r"npm_config_\w+|(https?|no)_proxy|node_extra_ca_certs|tz", re.IGNORECASE)
# For the appliance, while there is a kept copy to start with: that it comes back, that it answers.
_PATIENCE_S, _SILENCE_S = 2.0, 5.0
_V8_MB = 2048
_LARGEST_BYTES = 16 * 1024 * 1024


class StartFailed(Exception):
    """Node-RED could not be started. `reason` is a machine word; the text says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Suspended(Exception):
    """The appliance says that this instance is not to run."""


class Launch(Struct, frozen=True):
    """A Node-RED ready to be started. `admin_root` is the path of its editor; `note`: a reason and a message for
    people about what it does without. `credentials` are those of now: all launches of a Preparer share them, so that
    one that was prepared long ago starts with no others than the newest."""

    argv: list[str]
    env: dict[str, str]
    boot: dict[str, Any]
    listener: int
    admin_root: str
    note: tuple[str, str] = ("", "")
    safe: bool = False
    credentials: Mapping[str, str] = {}

    def document(self) -> dict[str, Any]:
        """What Node-RED is told of itself when it starts."""
        return {**self.boot, **self.credentials}


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
        self._credentials = renewal(grant)
        self._listener: socket.socket | None = None
        self._modules = Modules(options.dir, options.node, options.node_red, log.system)
        self._failed_list: tuple[dict[str, str], tuple[str, str]] | None = None
        self.outdated = asyncio.Event()  # settings of last time were given out, and nobody has made up for it yet

    async def settings(self, say: Callable[[Progress], None]) -> Settings:
        """The settings of the appliance; the cached copy when it is away. Waits where there is none.

        Raises Suspended, StartFailed.
        """
        if not self._appliance.booted and (cached := self.last_settings()) is not None:
            self._log.system("The appliance is away: starting with the settings of last time.")
            self.outdated.set()
            return cached
        began, pause_s = time.monotonic(), 0.2
        while True:
            try:
                return await self.fresh_settings()
            except http.Unreachable as error:
                passed_s = time.monotonic() - began
                if passed_s >= _PATIENCE_S and (cached := self.last_settings()) is not None:
                    self._log.system(f"The appliance is away ({error}): starting with the settings of last time.")
                    self.outdated.set()
                    return cached
                say(Progress(State.LOADING, "appliance_away", f"Waiting for the appliance: {error}."))
                await asyncio.sleep(pause_s * (0.5 + jitter() / 2))
                pause_s = min(10.0, pause_s * 2)

    async def fresh_settings(self) -> Settings:
        """The settings of the appliance, kept for later. Raises Unreachable, Suspended, StartFailed."""
        here = self.last_settings() is not None
        try:
            raw = await self._appliance.settings(_SILENCE_S if here else TIMEOUT_S)
            settings = msgspec.json.decode(raw, type=Settings)
        except Refused as error:
            raise self._refused(error) from error
        except msgspec.DecodeError as error:
            raise StartFailed("bad_settings", f"The appliance sent settings that can't be read: {error}.") from error
        self._write(self._options.last_settings, raw)
        return settings

    def last_settings(self) -> Settings | None:
        """Those the appliance gave last; None where nothing usable is kept."""
        try:
            content = read_regular(self._options.last_settings, _LARGEST_BYTES)
            return msgspec.json.decode(content or b"", type=Settings)
        except (OSError, msgspec.DecodeError):
            return None

    def renew(self, grant: BootGrant) -> None:
        """The ticket was traded after all: later starts, also of what is prepared already, use these credentials."""
        self._grant = grant
        self._credentials.update(renewal(grant))

    async def prepare(self, settings: Settings, *, safe: bool, say: Callable[[Progress], None]) -> Launch:
        """Put everything in place. Raises StartFailed; may be cancelled and repeated at any point."""
        self._check_stack(settings)
        await self._take_files(settings.weir.files, say)
        rendered = _within_limit(render(settings, self._options), self._options)
        base = base_environment(self._options, self._host_env, settings.weir.extraCa)
        self._write_files(rendered)
        self._listen()
        note = await self._install(rendered, base, say)
        argv, env = command(rendered, self._cached(), safe)
        boot, root = self._boot(settings), rendered.admin_root
        return Launch(argv, {**env, **base}, boot, self._fd(), root, note, safe, self._credentials)

    def _cached(self) -> Options:
        options = self._options
        if not options.compile_cache:
            return options
        cache = compile_cache.usable(options.compile_cache, options.own, os.getuid())
        return msgspec.structs.replace(options, compile_cache=cache)

    async def _take_files(self, stamp: str, say: Callable[[Progress], None]) -> None:
        """Those of a backup that was restored, once. What was taken is noted, since settings of last time may name it
        again. Raises StartFailed: an instance without its files could do harm."""
        note = self._options.own / "files-taken"
        try:
            if not stamp or read_regular(note, 100) == stamp.encode():
                return
            say(Progress(State.LOADING, "restoring_files", "Putting the files of the backup in place."))
            await self._appliance.take_files(self._options.dir)
            write_durable(note, stamp.encode())
        except (NotTaken, SpawnFailed, Refused, http.Unreachable) as error:
            hint = "They stay where they are; start the instance again to try once more."
            raise StartFailed(
                "files_waiting", f"The files of the backup can't be put in place: {error}. {hint}"
            ) from error
        except OSError as error:
            raise _disk(error) from error

    def try_again(self) -> None:
        """Somebody asked for a start: a list of modules that could not be installed is tried once more."""
        self._failed_list = None

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
            for made in (self._options.storage, self._options.own / "bin", self._options.away):
                made.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep(self._options.own)
            sweep(self._options.away)
            self._modules.ensure_package(self._options.instance)
            write_changed(directory / "settings.js", rendered.settings_js.encode())
            if rendered.npmrc is None:
                (directory / ".npmrc").unlink(missing_ok=True)
            else:
                write_changed(directory / ".npmrc", rendered.npmrc.encode())
            with contextlib.suppress(InstallFailed):  # said where something is to be installed
                self._modules.write_shim(self._shim, rendered.install_timeout_s)
        except OSError as error:
            raise _disk(error) from error

    def _listen(self) -> None:
        if self._listener is not None:
            return
        port = self._options.node_red_port
        try:
            listener = socket.socket()
        except OSError as error:
            raise StartFailed("port_unusable", f"Port {port} can't be opened: {reason(error)}.") from error
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

    @property
    def _shim(self) -> Path:
        """`npm` for Node-RED and for exec nodes."""
        return self._options.own / "bin" / "npm"

    async def _install(
        self, rendered: Rendered, base: Mapping[str, str], say: Callable[[Progress], None]
    ) -> tuple[str, str]:
        """Make the modules match the list. A note where they could not be: what is there is better than nothing."""
        clean = {name: value for name, value in rendered.env.items() if _NPM_ENV.fullmatch(name)} | dict(base)
        try:
            if self._modules.cut_off():
                await self._modules.recover(clean)
            wanted = rendered.modules
            if wanted is None or not self._modules.missing(wanted):
                return "", ""
            if self._failed_list is not None and self._failed_list[0] == wanted:
                return self._failed_list[1]  # a crash is no reason to wait for the network again
            text = f"Installing modules ({len(wanted)} listed)"
            say(Progress(State.INSTALLING, "", text + "."))
            await self._modules.install(
                wanted,
                clean,
                lambda far: say(Progress(State.INSTALLING, "", f"{text}: {far}.")),
                rendered.install_timeout_s,
            )
        except (InstallFailed, OSError) as error:
            return self._do_without(rendered.modules or {}, error)
        self._failed_list = None
        return "", ""

    def _do_without(self, wanted: dict[str, str], error: InstallFailed | OSError) -> tuple[str, str]:
        cause = error.strerror or "the disk refused" if isinstance(error, OSError) else str(error)
        absent = self._modules.absent(wanted)
        what = f"{', '.join(absent[:5])} missing" if absent else "the versions of before are used"
        message = f"Modules could not be installed, {what}: {cause.rstrip('.')}. The next restart tries again."
        self._log.system(message)
        self._failed_list = (wanted, ("modules_failed", message))
        return self._failed_list[1]

    def _boot(self, settings: Settings) -> dict[str, Any]:
        grant = self._grant
        return {
            "instanceId": self._options.instance,
            "teamID": grant.teamID or settings.teamID,
            "teamId": grant.teamID or settings.teamID,
            "applianceURL": self._options.appliance,
            "credentialSecret": grant.credentialSecret,
            "publicPort": settings.weir.publicPort,
            "platformPort": settings.weir.platformPort,
            "storage": {"directory": str(self._options.away)},
            "npm": str(self._shim),
            "userDir": str(self._options.dir),
            "pace": self._options.pace,
        }

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durable(path, content)
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


def _within_limit(rendered: Rendered, options: Options) -> Rendered:
    """Where the unit has a limit of memory, V8 collects its garbage before the kernel has to kill: what is not heap
    (code, buffers, the launcher, an npm that installs) needs a quarter."""
    limit_bytes = Memory().kills().limit_bytes if options.boot_socket else None
    if limit_bytes is None:
        return rendered
    most_mb = limit_bytes * 3 // 4 // (1024 * 1024)
    if rendered.memory_mb is None and most_mb > _V8_MB:  # it takes no more by itself
        return rendered
    return msgspec.structs.replace(rendered, memory_mb=min(rendered.memory_mb or most_mb, most_mb))


def _disk(error: OSError) -> StartFailed:
    if out_of_descriptors(error):
        return StartFailed("spawn_failed", f"{error.filename or 'A file'} can't be written: {reason(error)}.")
    word = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "disk"
    return StartFailed(word, f"{error.filename or 'A file'} can't be written: {error.strerror}. Free some space.")
