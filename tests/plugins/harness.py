"""A real Node-RED under our plugins: its launcher's side of the descriptors, and an appliance to answer it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any, Self

import aiohttp

from appliance.model import StackRef
from tests.plugins.fake_appliance import INSTANCE, TEAM, FakeAppliance
from tests.support import ROOT, eventually

PLUGINS = ROOT / "launcher" / "plugins"
SECRETS = {
    "nodeRedToken": "fft_secret-of-node-red",
    "clientSecret": "secret-of-the-oauth-client",
    "credentialSecret": "5ec7e7" * 10 + "abcd",
}

SETTINGS = """
const plugins = %(plugins)s;
const use = (name) => require(plugins + "/" + name + ".js");
module.exports = Object.assign(%(plain)s, {
  adminAuth: use("auth").adminAuth({ httpAdminRoot: "/", forgeURL: %(forge)s }),
  storageModule: use("storage"),
  httpNodeAuth: %(endpoints)s ? use("endpoints").protect(%(endpoints)s) : undefined,
  credentialSecret: use("boot").boot().credentialSecret,
  logging: {
    console: { level: "info", metrics: false, audit: false, handler: use("logger").handler },
    auditLogger: { level: "off", audit: true, handler: use("audit").handler },
  },
});
"""


def _above(descriptor: int) -> int:
    """A copy outside the numbers the child wants, so that one dup2 can't overwrite the source of the next."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)


class NodeRed:
    """One instance: a listening socket that outlives its Node-RED processes, as the launcher's does."""

    def __init__(self, folder: Path, appliance: FakeAppliance, stack: StackRef, **plain: object) -> None:
        self.folder = folder
        self.appliance = appliance
        self.stack = stack
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=511)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.pid = 0
        self.returncode: int | None = None
        self.lines: list[str] = []
        self.reports: list[dict[str, Any]] = []
        self.kept: dict[str, Any] | None = None
        self.extra_boot: dict[str, object] = {}
        self.extra_env: dict[str, str] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._control: asyncio.StreamWriter | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"name": "test", "version": "0.0.1", "private": true}')
        settings = {"flowFile": "flows.json", "uiHost": "127.0.0.1", "runtimeState": {"enabled": True}, **plain}
        endpoints = settings.pop("endpoints", None)
        values = {"plugins": str(PLUGINS), "plain": settings, "forge": appliance.url, "endpoints": endpoints}
        text = SETTINGS % {name: json.dumps(value) for name, value in values.items()}
        (folder / "settings.js").write_text(text)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        self.listener.close()

    async def start(self) -> None:
        """Starts Node-RED; returns at once."""
        ours, theirs = socket.socketpair()
        out_r, out_w = os.pipe()
        await asyncio.to_thread(self._spawn, theirs, out_w)
        theirs.close()
        os.close(out_w)
        ours.setblocking(False)
        reader, self._control = await asyncio.open_connection(sock=ours)
        boot = {
            "instanceId": INSTANCE,
            "teamID": TEAM,
            "applianceURL": self.appliance.url,
            "clientID": "ffp_client",
            "publicPort": 10001,
            "platformPort": 8443,
            "storage": {},
            # So long that a test which counts on the settled flows can't pass by the limit.
            "flowsStartLimitMs": 120_000,
            **SECRETS,
            **({"kept": self.kept} if self.kept else {}),
            **self.extra_boot,
        }
        self._control.write(json.dumps({"boot": boot}).encode() + b"\n")
        output = asyncio.StreamReader(limit=1 << 20)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(out_r, "rb")
        )
        self._readers = [
            asyncio.create_task(self._read_output(output)),
            asyncio.create_task(self._read_reports(reader)),
        ]

    async def up(self, timeout_s: float = 30) -> None:
        """Starts Node-RED and waits until it has taken over the socket."""
        already = len(self.events("listening"))
        await self.start()
        await eventually(lambda: len(self.events("listening")) > already, timeout_s, what="listening")

    def events(self, name: str) -> list[dict[str, Any]]:
        return [report for report in self.reports if report["event"] == name]

    def tell(self, document: dict[str, Any]) -> None:
        """What the launcher says over the control channel."""
        assert self._control is not None
        self._control.write(json.dumps(document).encode() + b"\n")

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def ended(self) -> bool:
        """Whether the process is gone; reaps it."""
        if self.pid and self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode is not None

    def launcher_dies(self) -> None:
        """What Node-RED sees of a launcher killed with -9: both pipes and the control channel are gone."""
        assert self._control is not None
        self._control.transport.abort()
        for task in self._readers:
            task.cancel()
        for transport in self._pipes():
            transport.close()

    async def stop(self) -> None:
        """SIGTERM to the group, wait for the end."""
        if self.pid and not self.ended():
            os.killpg(self.pid, signal.SIGTERM)
            await eventually(self.ended, 15, what="end of Node-RED")
        await self._close()

    async def kill(self) -> None:
        if self.pid and not self.ended():
            os.killpg(self.pid, signal.SIGKILL)
            await eventually(self.ended, 10, what="end of Node-RED")
        await self._close()

    # -- inside ----------------------------------------------------------------------------------------------

    def _spawn(self, theirs: socket.socket, out_w: int) -> None:
        node = self.stack.node
        script = f"{self.stack.node_red}/node_modules/node-red/red.js"
        argv = [node, "--require", str(PLUGINS / "preload.js"), script]
        argv += ["-u", str(self.folder), "-s", str(self.folder / "settings.js"), "-p", str(self.port)]
        env = {
            "PATH": f"{Path(node).parent}:/usr/bin:/bin",
            "HOME": str(self.folder),
            # Shared by the tests of one run: every start after the first is quicker.
            "NODE_COMPILE_CACHE": str(self.folder.parent.parent / "compile-cache"),
            "WEIR_LISTEN_FD": "3",
            "WEIR_CONTROL_FD": "4",
            **self.extra_env,
        }
        sources = [_above(self.listener.fileno()), _above(theirs.fileno()), _above(out_w)]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, sources[2], 1),
            (os.POSIX_SPAWN_DUP2, sources[2], 2),
            (os.POSIX_SPAWN_DUP2, sources[0], 3),
            (os.POSIX_SPAWN_DUP2, sources[1], 4),
        ]
        self.returncode = None
        try:
            self.pid = os.posix_spawn(node, argv, env, file_actions=actions, setsid=True)
        finally:
            for source in sources:
                os.close(source)

    async def _read_output(self, output: asyncio.StreamReader) -> None:
        self._output_transport = output._transport  # type: ignore[attr-defined]
        while line := await output.readline():
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    async def _read_reports(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            report = json.loads(line)
            if report["event"] == "keep":
                self.kept = report["value"]
            self.reports.append(report)

    def _pipes(self) -> list[asyncio.BaseTransport]:
        transport = getattr(self, "_output_transport", None)
        return [transport] if transport is not None else []

    async def _close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        for transport in self._pipes():
            transport.close()
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._readers = []


def jar() -> aiohttp.CookieJar:
    """A browser's cookies for bare addresses."""
    return aiohttp.CookieJar(unsafe=True)
