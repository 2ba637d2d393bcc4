"""What both clients, of the command line and of the screens, do with the box's answers. Pure."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from appliance.schema.common import ErrorBody
from tui.address import Address
from tui.errors import Refused

API = "/api/v1"
CONNECT_S = 5.0
ANSWER_S = 30.0
SILENCE_S = 45.0  # the box sends a keepalive at least every 15 s
EVENT_LIMIT_BYTES = 8 * 1024 * 1024
OPEN = "open"  # our own event: the stream is connected
T = TypeVar("T")


class SseEvent(Struct, frozen=True):
    """One server-sent event. `id` is empty when the event carries none."""

    kind: str
    data: str
    id: str = ""


def decode(body: bytes, kind: type[T]) -> T:
    """The answer as a struct; unknown fields are ignored. Raises Refused when the box speaks otherwise."""
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(
            f"the box's answer is not understood: {error}",
            status=502,
            code="bad_answer",
            hint="Use the weir command that belongs to the box's version.",
        ) from error


def refusal(status: int, body: bytes) -> Refused:
    """The error in an answer of status 300 or more; nginx and others in between speak no JSON."""
    try:
        answer = msgspec.json.decode(body, type=ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Refused(f"the box answered with status {status} and no reason", status=status)
    return Refused(answer.error, status=status, code=answer.code, hint=answer.hint or default_hint(status))


def default_hint(status: int) -> str:
    """The next step when the box names none."""
    return {
        401: "Give a token: --token-file FILE or WEIR_TOKEN.",
        403: "Ask an owner of the team, or use another account.",
        404: "weir instance list shows what there is.",
        429: "Wait a little and try again.",
    }.get(status, "The appliance's log says more." if status >= 500 else "")


def headers(address: Address) -> dict[str, str]:
    """The headers of every request."""
    found = {"Accept": "application/json", "User-Agent": "weir"}
    if address.token:
        found["Authorization"] = f"Bearer {address.token}"
    return found


class SseParser:
    """Cuts a byte stream into events. Comments (keepalives) are swallowed; bytes that are no UTF-8 are replaced.

    Raises Refused when one event grows beyond `EVENT_LIMIT_BYTES`.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._kind = ""
        self._id = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes, in order."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        self._size += len(chunk)
        if len(self._rest) > EVENT_LIMIT_BYTES or (self._data and self._size > EVENT_LIMIT_BYTES):
            raise Refused("an event of the box is larger than 8 MB", status=502, code="bad_answer")
        found = []
        for line in lines:
            event = self._line(line.rstrip(b"\r").decode("utf-8", "replace"))
            if event is not None:
                found.append(event)
        return found

    def _line(self, line: str) -> SseEvent | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        return None

    def _end(self) -> SseEvent | None:
        kind, data, self._kind, self._data, self._size = self._kind, self._data, "", [], 0
        if not data:
            return None
        return SseEvent(kind=kind or "message", data="\n".join(data), id=self._id)
