"""The way to the appliance: boot, settings, and one ordered queue of reports and audit events."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from typing import Any

import msgspec
from msgspec import Struct

from launcher import http
from launcher.crashloop import jitter
from launcher.schema import BootGrant, BootRequest, StateReport

log = logging.getLogger(__name__)

QUEUE = 200
QUEUE_BYTES = 1024 * 1024  # a crash brings its last log lines along
TIMEOUT_S = 10.0
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


class Appliance:
    """Client of one instance. Before `boot` nothing but `boot` may be called."""

    def __init__(self, url: str, instance: str) -> None:
        self._url = url.rstrip("/")
        self._instance = instance
        self._token = ""
        self._queue: deque[_Outgoing] = deque()
        self._tries = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def boot(self, ticket: str) -> BootGrant:
        """Trade the ticket. Raises Refused (401 unknown, 409 spent) or Unreachable (try again)."""
        body = msgspec.json.encode(BootRequest(ticket, self._instance, os.getpid()))
        answer = await self._call("POST", "/api/v1/launchers/boot", body)
        try:
            grant = msgspec.json.decode(answer.body, type=BootGrant)
        except msgspec.DecodeError as error:
            raise Refused(answer.status, "malformed_answer", f"the boot answer is not usable: {error}") from error
        self._token = grant.token
        return grant

    async def settings(self) -> bytes:
        """The settings document. Raises Refused or Unreachable."""
        return (await self._call("GET", f"/api/v1/projects/{self._instance}/settings")).body

    def report(self, report: StateReport) -> None:
        """Queue a state. Never waits; the newest is never dropped."""
        self._put(f"/api/v1/projects/{self._instance}/update-state", msgspec.json.encode(report), True)

    def audit(self, event: dict[str, Any]) -> None:
        """Queue an audit event. Never waits."""
        self._put(f"/logging/{self._instance}/audit", msgspec.json.encode(event), False)

    async def deliver(self) -> None:
        """Send what is queued, in order, for ever; a queue that the appliance can't take now is retried."""
        pause_s = 0.1
        while True:
            while self._queue:
                delivered = await self._deliver_first(self._queue[0])
                pause_s = 0.1 if delivered else min(RETRY_CAP_S, pause_s * 2)
                if not delivered:
                    await asyncio.sleep(pause_s * (0.5 + jitter() / 2))
            self._idle.set()
            self._wake.clear()
            await self._wake.wait()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is delivered; False when `timeout_s` was not enough."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _deliver_first(self, item: _Outgoing) -> bool:
        try:
            answer = await self._send("POST", item.path, item.body, item.request_id)
        except http.Unreachable:
            return False
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

    def _put(self, path: str, body: bytes, is_state: bool) -> None:
        while self._queue and (len(self._queue) >= QUEUE or self.waiting_bytes + len(body) > QUEUE_BYTES):
            self._drop_one()
        self._queue.append(_Outgoing(path, body, os.urandom(16).hex(), is_state))
        self._idle.clear()
        self._wake.set()

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

    async def _call(self, method: str, path: str, body: bytes = b"") -> http.Answer:
        answer = await self._send(method, path, body)
        if answer.retriable:
            raise http.Unreachable(f"the appliance answered {answer.status}")
        if answer.status != 200:
            raise _refusal(answer)
        return answer

    async def _send(self, method: str, path: str, body: bytes, request_id: str = "") -> http.Answer:
        headers = {"Accept": "application/json", "User-Agent": "weir-launcher"}
        if body:
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if request_id:
            headers["X-Weir-Request"] = request_id
        return await http.request(method, self._url + path, headers=headers, body=body, timeout_s=TIMEOUT_S)


def _refusal(answer: http.Answer) -> Refused:
    try:
        document = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        document = {}
    code = str(document.get("code") or "unexpected_error")
    return Refused(answer.status, code, str(document.get("error") or f"status {answer.status}"))
