"""The way to the appliance: boot, settings, and one ordered queue of reports and audit events."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from launcher import http
from launcher.crashloop import jitter
from launcher.packing import take
from launcher.schema import BootGrant, BootRequest, ResourceReport, StateReport
from launcher.spool import Entry, Spool

log = logging.getLogger(__name__)

QUEUE = 200
QUEUE_BYTES = 1024 * 1024  # a crash brings its last log lines along
TIMEOUT_S = 10.0
SLOW_S = 1.0  # an appliance that takes longer may be away
RETRY_CAP_S = 3.0
_TRIES = 20  # for one message that the appliance answers with an error of its own


class Refused(Exception):
    """The appliance answered, and the answer is no. `code` is its machine word."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class _Outgoing(Struct, frozen=True):
    path: str
    body: bytes
    request_id: str
    is_state: bool
    mark: str | None = None  # of one that was found on the disk: what proves that a launcher wrote it

    def entry(self) -> Entry:
        return Entry(self.request_id, msgspec.Raw(self.body), self.mark)


class Appliance:
    """Client of one instance. Before `boot` reports are queued; nothing else may be asked."""

    def __init__(self, url: str, instance: str, spool: Spool | None = None) -> None:
        self._url = url.rstrip("/")
        self._instance = instance
        self._token = self._node_red_token = ""
        # Shown to nobody else: the answer to `boot` may get lost, and only its receiver may ask for it again.
        self._proof = os.urandom(24).hex()
        self._booted = asyncio.Event()
        self._spool = spool
        self._queue: deque[_Outgoing] = deque()
        self._tries = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        for entry in spool.left() if spool is not None else ():
            self._put(self._audit_path, bytes(entry.body), False, entry)

    @property
    def booted(self) -> bool:
        """Whether the ticket has been traded."""
        return self._booted.is_set()

    async def boot(self, ticket: str) -> BootGrant:
        """Trade the ticket. Raises Refused (401 unknown, 409 spent) or Unreachable (try again)."""
        body = msgspec.json.encode(BootRequest(ticket, self._instance, os.getpid(), self._proof))
        answer = await self._call("POST", "/api/v1/launchers/boot", body)
        try:
            grant = msgspec.json.decode(answer.body, type=BootGrant)
        except msgspec.DecodeError as error:
            raise Refused(answer.status, "malformed_answer", f"the boot answer is not usable: {error}") from error
        self._token, self._node_red_token = grant.token, grant.nodeRedToken
        if self._spool is not None:
            self._spool.key = grant.spoolKey
        self._booted.set()
        return grant

    async def settings(self, timeout_s: float = TIMEOUT_S) -> bytes:
        """The settings document. Raises Refused or Unreachable."""
        return (await self._call("GET", f"/api/v1/projects/{self._instance}/settings", timeout_s=timeout_s)).body

    async def take_files(self, directory: Path) -> None:
        """Put the files of a restored instance in place, and say so. Raises NotTaken, SpawnFailed, Refused,
        Unreachable; then they go on waiting."""
        path = f"/api/v1/projects/{self._instance}/files"
        await take(directory, self._url + path, self._token)
        await self._call("DELETE", path)

    def report(self, report: StateReport) -> None:
        """Queue a state. Never waits; the newest is never dropped."""
        self._put(f"/api/v1/projects/{self._instance}/update-state", msgspec.json.encode(report), True)

    def audit(self, event: dict[str, Any]) -> None:
        """Queue an audit event. Never waits."""
        self._put(self._audit_path, msgspec.json.encode(event), False)

    async def resources(self, report: ResourceReport) -> bool:
        """Say what the instance takes, once: what is lost is made up by the next. Whether there was an answer; an
        appliance that does not want to know need not be told again."""
        path = f"/api/v1/projects/{self._instance}/resources"
        if not self.booted:
            return False
        try:
            return not (await self._send("POST", path, msgspec.json.encode(report))).retriable
        except http.Unreachable:
            return False

    async def deliver(self) -> None:
        """Send what is queued, in order, for ever; a queue that the appliance can't take now is retried."""
        pause_s = 0.1
        await self._booted.wait()
        if self._spool is not None and self._spool.in_use:
            self._spool.begin(self._entries())  # now there is a key to mark them with
        while True:
            while self._queue:
                delivered = await self._deliver_first(self._queue[0])
                pause_s = 0.1 if delivered else min(RETRY_CAP_S, pause_s * 2)
                if not delivered:
                    self._keep()
                    await asyncio.sleep(pause_s * (0.5 + jitter() / 2))
            if self._spool is not None:
                self._spool.clear()
            self._idle.set()
            self._wake.clear()
            await self._wake.wait()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is delivered; False when `timeout_s` was not enough, or nothing can be yet."""
        if not self.booted:
            return not self._queue
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _deliver_first(self, item: _Outgoing) -> bool:
        slow = asyncio.get_running_loop().call_later(SLOW_S, self._keep)
        try:
            answer = await self._send("POST", item.path, item.body, item.request_id, self._token_for(item))
        except http.Unreachable:
            return False
        finally:
            slow.cancel()
        self._tries += 1
        if answer.retriable and (self._tries < _TRIES or len(self._queue) == 1):
            return False  # the last one holds nobody up: given up, it would be the newest state that nobody knows
        self._tries = 0
        if answer.status >= 400:
            # Not even an unknown token is a reason to end: Node-RED goes on serving.
            log.warning("the appliance refused %s with status %d", item.path, answer.status)
        if self._queue and self._queue[0] is item:
            self._queue.popleft()
        return True

    def _put(self, path: str, body: bytes, is_state: bool, left: Entry | None = None) -> None:
        while self._queue and (len(self._queue) >= QUEUE or self.waiting_bytes + len(body) > QUEUE_BYTES):
            self._drop_one()
        request_id, mark = (left.id, left.mark) if left is not None else (os.urandom(16).hex(), None)
        item = _Outgoing(path, body, request_id, is_state, mark)
        self._queue.append(item)
        if self._spool is not None and not is_state and left is None and (self._spool.in_use or not self.booted):
            self._spool.add(item.entry(), self._entries())
        self._idle.clear()
        self._wake.set()

    def _keep(self) -> None:
        """The appliance is away: what waits for it must outlast us."""
        if self._spool is not None and not self._spool.in_use and (entries := self._entries()):
            self._spool.begin(entries)

    def _entries(self) -> list[Entry]:
        return [item.entry() for item in self._queue if not item.is_state]

    def _token_for(self, item: _Outgoing) -> str:
        """What was found on the disk and may be of the flow's making goes out as what the flow says."""
        forged = item.mark is not None and (self._spool is None or not self._spool.proves(item.entry()))
        return self._node_red_token if forged else self._token

    @property
    def _audit_path(self) -> str:
        return f"/logging/{self._instance}/audit"

    @property
    def waiting_bytes(self) -> int:
        """How much is not delivered yet; never more than `QUEUE_BYTES`."""
        return sum(len(item.body) for item in self._queue)

    def _drop_one(self) -> None:
        """Forget the oldest audit event, else the oldest state: a later state makes it up."""
        for index, item in enumerate(self._queue):
            if not item.is_state:
                del self._queue[index]
                return
        self._queue.popleft()

    async def _call(self, method: str, path: str, body: bytes = b"", timeout_s: float = TIMEOUT_S) -> http.Answer:
        answer = await self._send(method, path, body, timeout_s=timeout_s)
        if answer.retriable:
            raise http.Unreachable(f"the appliance answered {answer.status}")
        if answer.status != 200:
            raise _refusal(answer)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes,
        request_id: str = "",
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> http.Answer:
        headers = {"Accept": "application/json", "User-Agent": "weir-launcher"}
        if body:
            headers["Content-Type"] = "application/json"
        if bearer := self._token if token is None else token:
            headers["Authorization"] = f"Bearer {bearer}"
        if request_id:
            headers["X-Weir-Request"] = request_id
        return await http.request(method, self._url + path, headers=headers, body=body, timeout_s=timeout_s)


def _refusal(answer: http.Answer) -> Refused:
    try:
        document = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        document = {}
    code = str(document.get("code") or "unexpected_error")
    return Refused(answer.status, code, str(document.get("error") or f"status {answer.status}"))
