"""The control channel to Node-RED: newline-delimited JSON over a socket pair, both ways."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from launcher.loglines import Splitter
from launcher.process import Output

_NOTHING = msgspec.Raw(b"null")


class _Event(Struct, frozen=True):
    event: str = ""
    value: msgspec.Raw = _NOTHING


class Kept:
    """What one Node-RED asks us to hand to its successor: who is logged in to the editor, with refresh tokens.

    Lives in memory only, so that a restart of Node-RED asks nobody to log in again and no secret meets the disk.
    """

    def __init__(self) -> None:
        self.value = _NOTHING


class Control:
    """Our end of the channel, and the child's until `attach`.

    `handlers` maps the name of an event to what is called with its `value`, as JSON of at most 64 kB. A flow shares
    the channel and may write any of them as often as it likes: a handler must be cheap and keep what it is told in
    bounds; it may raise msgspec's DecodeError for a value that is not what it expects.
    """

    def __init__(self, handlers: Mapping[str, Callable[[msgspec.Raw], None]], kept: Kept) -> None:
        """Raises OSError where no descriptors are left; later on none are needed."""
        self._ours, self._childs = socket.socketpair()
        try:
            self._heard = os.dup(self._ours.fileno())  # now: once the child runs it is too late to fail
        except OSError:
            self._ours.close()
            self._childs.close()
            raise
        self._handlers = {"keep": self._keep, **handlers}
        self._kept = kept
        self._output: Output | None = None

    @property
    def child_fd(self) -> int:
        return self._childs.fileno()

    def boot(self, document: Mapping[str, Any]) -> None:
        """Queue the boot document, which the child reads before all else. The buffer is empty: nothing waits."""
        self.send({"boot": {**document, "kept": self._kept.value}})

    def send(self, document: Mapping[str, Any]) -> None:
        """Hand one document to Node-RED; lost when it is gone or does not read. Never waits."""
        with contextlib.suppress(OSError):
            self._ours.send(msgspec.json.encode(document) + b"\n", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def attach(self) -> None:
        """The child has its end now: close ours of it and listen."""
        self._childs.close()
        splitter = Splitter(self._line, limit=64 * 1024)
        self._output, self._heard = Output(self._heard, splitter.feed, splitter.flush), -1

    @property
    def ended(self) -> bool:
        """Whether Node-RED's end is closed, by its death or by a flow."""
        return self._output is not None and self._output.ended

    def close(self) -> None:
        if self._output is not None:
            self._output.close()
        elif self._heard >= 0:
            os.close(self._heard)
            self._heard = -1
        self._childs.close()
        self._ours.close()

    def _line(self, line: bytes) -> None:
        # What is not ours to understand is passed over: the flow shares this process and may write here.
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            document = msgspec.json.decode(line, type=_Event)
            if (handler := self._handlers.get(document.event)) is not None:
                handler(document.value)

    def _keep(self, value: msgspec.Raw) -> None:
        msgspec.json.decode(value)  # what is sent on must be JSON, and no longer than it came
        self._kept.value = value
