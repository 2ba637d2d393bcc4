"""Speaks to the launchers of this box: what they say of themselves, commands, console lines.

Every call has a deadline. A launcher that can't be reached is `Unavailable` with the code `connection_refused`
(nobody listens) or `connection_reset` (it went away, or did not answer in time); `no_descriptors`: nobody was asked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import Struct, field

from appliance.errors import NOT_ASKED, Unavailable
from appliance.model import LauncherReport, LauncherState, Manner
from appliance.schema.common import moment
from appliance.schema.resources import ResourceHistory
from appliance.system.pidfd import out_of_descriptors
from launcher.schema import Command, Info

T = TypeVar("T")
PLAINLY = Manner()
INFO_S = 5.0  # one slow answer of a busy box means nothing
COMMAND_S = 5.0
LOGS_S = 10.0
SILENCE_S = 45.0  # a log stream sends a comment every 15 s
LINE_BYTES = 1 << 20
_LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)


class LauncherAddress(Protocol):
    """Which launcher: its loopback port, and the generation it was placed with. An `InstanceSpec` is one."""

    @property
    def id(self) -> str: ...
    @property
    def launcher_port(self) -> int: ...
    @property
    def generation(self) -> int: ...


class LogAnswer(Struct, frozen=True):
    """A page of console lines as the launcher gives it: its cursors include the entry they name."""

    meta: dict[str, Any] = {}
    log: list[Any] = field(default_factory=list, name="logs")


class StreamEvent(Struct, frozen=True):
    """One event of a log stream: `log` (JSON entry), `dropped` (JSON `{"count":n}`) or `keepalive`."""

    event: str
    data: str = ""
    id: str = ""


class DiskUse(Struct, frozen=True, rename="camel"):
    """What an instance takes of the disk. Not `whole`: its launcher could not look everywhere."""

    used_bytes: int
    whole: bool = True


class LauncherClient:
    """One HTTP session for all launchers. `api_secret(instance_id, generation)` is what they ask for;
    empty: they ask for nothing."""

    pushes_resources = True  # they say themselves what they take, so that one question is enough

    def __init__(self, api_secret: Callable[[str, int], str]) -> None:
        self._api_secret = api_secret
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def info(self, at: LauncherAddress) -> LauncherReport:
        """What the launcher says of itself now. Raises Unavailable."""
        async with self._call("GET", at, "/flowforge/info", INFO_S) as answer:
            info = decoded(await read(answer, at), Info)
        self._check_id(info.id, at)
        return _report(info)

    async def command(
        self, at: LauncherAddress, command: str, generation: int | None = None, manner: Manner = PLAINLY
    ) -> bool:
        """Ask for `start`, `stop`, `restart`…; returns when the launcher has taken it, before it is done. True: it
        will say itself when it is done, or is."""
        body = msgspec.json.encode(Command(cmd=command, generation=generation, safe=manner.safe, now=manner.now))
        async with self._call("POST", at, "/flowforge/command", COMMAND_S, body=body) as answer:
            await read(answer, at)
        return True

    async def logs(self, at: LauncherAddress, *, cursor: str | None = None, limit: int | None = None) -> LogAnswer:
        """One page of console lines: the last ones, or from `cursor` on (`-`: backwards). Raises Unavailable."""
        query = {"cursor": cursor, "limit": str(limit) if limit else None}
        present = {name: value for name, value in query.items() if value}
        async with self._call("GET", at, "/flowforge/logs/entries", LOGS_S, query=present) as answer:
            return decoded(await read(answer, at), LogAnswer)

    @asynccontextmanager
    async def stream(
        self, at: LauncherAddress, *, cursor: str | None = None
    ) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        """Console lines as they come, first those from `cursor` on. Entering and reading raise Unavailable when the
        launcher can't be reached, goes away or falls silent."""
        query = {"cursor": cursor} if cursor else {}
        async with self._call("GET", at, "/flowforge/logs/stream", None, query=query) as answer:
            yield _events(answer.content, at)

    async def samples(
        self, at: LauncherAddress, *, since: int | None = None, limit: int | None = None
    ) -> ResourceHistory:
        """What the instance took: samples after `since` (ms), of these the newest `limit`. Raises Unavailable."""
        query = {name: str(value) for name, value in (("since", since), ("limit", limit)) if value is not None}
        async with self._call("GET", at, "/flowforge/resources", LOGS_S, query=query) as answer:
            return decoded(await read(answer, at), ResourceHistory)

    async def disk(self, at: LauncherAddress) -> DiskUse:
        """What the instance takes of the disk, measured now. Raises Unavailable."""
        async with self._call("GET", at, "/weir/disk", LOGS_S) as answer:
            return decoded(await read(answer, at), DiskUse)

    async def shell(self, at: LauncherAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A terminal in the instance's sandbox (`launcher/terminal.py`); the caller closes it. Raises Unavailable."""
        secret = self._api_secret(at.id, at.generation)
        ask = f"GET /weir/shell HTTP/1.1\r\nHost: launcher\r\nAuthorization: Bearer {secret}\r\n"
        ask += "Connection: Upgrade\r\nUpgrade: weir-shell\r\n\r\n"
        try:
            async with asyncio.timeout(LOGS_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", at.launcher_port)
                writer.write(ask.encode())
                head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Unavailable("The instance's launcher does not answer.", hint="Start the instance.") from error
        if not head.startswith(b"HTTP/1.1 101 "):
            writer.close()
            said = head.partition(b"\r\n")[0].decode(errors="replace")
            raise Unavailable(f"The instance's launcher opens no shell: {said}", hint="Try again in a moment.")
        return reader, writer

    @asynccontextmanager
    async def sample_stream(
        self, at: LauncherAddress, *, since: int | None = None
    ) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        """Samples as they come, as `stream` does console lines."""
        query = {"since": str(since)} if since is not None else {}
        async with self._call("GET", at, "/flowforge/resources/stream", None, query=query) as answer:
            yield _events(answer.content, at)

    @asynccontextmanager
    async def _call(
        self,
        method: str,
        at: LauncherAddress,
        path: str,
        timeout_s: float | None,
        *,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        secret = self._api_secret(at.id, at.generation)
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=INFO_S, sock_read=timeout_s or SILENCE_S)
        url = f"http://127.0.0.1:{at.launcher_port}{path}"
        try:
            answer = await self._open().request(
                method, url, data=body, params=query, headers=headers, timeout=timeout, allow_redirects=False
            )
        except _LOST as error:
            raise _unavailable(error, at) from error
        try:
            if answer.status not in accept:
                _check(answer, at)
            yield answer
        finally:
            # Not kept for the next call: what is left of a stream would have to be read first.
            answer.close()

    @staticmethod
    def _check_id(said: str, at: LauncherAddress) -> None:
        if said != at.id:
            wrong = f"port {at.launcher_port} is answered by instance {said[:40]}, not {at.id}"
            raise Unavailable(wrong, code="connection_refused")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Proxies of the environment are for the world outside; cookies belong to nobody here.
            self._session = aiohttp.ClientSession(
                trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=LINE_BYTES
            )
        return self._session


async def read(answer: aiohttp.ClientResponse, at: LauncherAddress) -> bytes:
    """The whole answer. Raises Unavailable."""
    try:
        return await answer.read()
    except _LOST as error:
        raise _unavailable(error, at) from error


def _check(answer: aiohttp.ClientResponse, at: LauncherAddress) -> None:
    if answer.status == 401:
        raise Unavailable(
            f"the program on port {at.launcher_port} is not the launcher of {at.id}: it refuses our secret",
            code="connection_refused",
            hint="See which program listens there: ss -ltnp",
        )
    if answer.status >= 400:
        raise Unavailable(f"the launcher of {at.id} answered {answer.status}", code="connection_reset")


def _unavailable(error: Exception, at: LauncherAddress) -> Unavailable:
    if isinstance(error, OSError) and out_of_descriptors(error):
        return Unavailable(
            f"the launcher of {at.id} was not asked: Weir has no file descriptors left",
            code=NOT_ASKED,
            hint=f"See what holds them: ls -l /proc/{os.getpid()}/fd, and raise the limit: ulimit -n, or LimitNOFILE=.",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unavailable(
            f"the launcher of {at.id} does not listen on port {at.launcher_port}",
            code="connection_refused",
            hint="It may be starting; try again in a moment.",
        )
    why = "did not answer in time" if isinstance(error, TimeoutError) else "closed the connection"
    return Unavailable(f"the launcher of {at.id} {why}", code="connection_reset", hint="Try again in a moment.")


def decoded(content: bytes, kind: type[T]) -> T:
    """The answer as a struct. Raises Unavailable for what is none."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"a launcher answered something unexpected: {error}", code="connection_reset") from error


def _report(info: Info) -> LauncherReport:
    return LauncherReport(
        state=LauncherState(info.state.value),
        seq=info.seq,
        pid=info.pid,
        node_red_pid=info.nodeRedPid,
        command_generation=info.commandGeneration,
        versions=info.versions,
        reason=info.reason,
        message=info.message,
        at=datetime.now(UTC),
        holding=info.holding,
        next_try_at=moment(info.nextTryAt),
    )


async def _events(content: aiohttp.StreamReader, at: LauncherAddress) -> AsyncIterator[StreamEvent]:
    """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), the part that is used."""
    fields: dict[str, str] = {}
    while (line := await _line(content, at)) is not None:
        if line.startswith(":"):
            yield StreamEvent("keepalive")
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            yield StreamEvent(fields.get("event", "message"), fields.get("data", ""), fields.get("id", ""))
            fields = {}


async def _line(content: aiohttp.StreamReader, at: LauncherAddress) -> str | None:
    """The next line without its end, None at the end of the stream. Raises Unavailable."""
    try:
        raw = await content.readline()
    except _LOST as error:
        raise _unavailable(error, at) from error
    except (ValueError, HttpProcessingError) as error:
        raise Unavailable(f"the launcher of {at.id} sent an endless line", code="connection_reset") from error
    return raw.decode("utf-8", "replace").rstrip("\r\n") if raw else None
