"""HTTP clients that ask without a pause worth mentioning and write down what happened to every request."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

from msgspec import Struct

PAUSE_S = 0.004
Connect = Callable[[], http.client.HTTPConnection]


class Request(Struct, frozen=True):
    """One request: monotonic start, seconds until the answer was whole or had failed.

    `error` is empty for a 200. `resent`: the server closed a kept connection under it before the first byte of an
    answer, and it was sent once more on a new one, as every HTTP client does with a GET.
    """

    began: float
    took_s: float
    error: str = ""
    resent: bool = False

    @property
    def ended(self) -> float:
        return self.began + self.took_s


class Load:
    """GETs `url` from `kept` clients that keep their connection and `fresh` ones that open one per request.

    A context manager: the clients run inside it and have ended after it. A request has `timeout_s`.
    """

    def __init__(
        self, url: str, *, kept: int = 2, fresh: int = 2, timeout_s: float = 60, pause_s: float = PAUSE_S, ca: str = ""
    ) -> None:
        self._path = urlsplit(url).path or "/"
        self._connect = _connector(url, timeout_s, ca)
        self._pause_s = pause_s
        self._over = threading.Event()
        self._seen: list[list[Request]] = [[] for _ in range(kept + fresh)]
        self._clients = [
            threading.Thread(target=self._run, args=(seen, number < kept), daemon=True, name=f"load-{number}")
            for number, seen in enumerate(self._seen)
        ]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End after the requests under way; repeated is fine."""
        self._over.set()
        for client in self._clients:
            client.join()

    @property
    def requests(self) -> list[Request]:
        """All that have ended so far, by their start."""
        return sorted((one for seen in self._seen for one in list(seen)), key=lambda one: one.began)

    def failed(self, since: float = 0.0) -> list[Request]:
        """Failed requests that began at or after `since`."""
        return [one for one in self.requests if one.error and one.began >= since]

    def failed_in_flight(self, at: float) -> list[Request]:
        """Failed requests that were under way at `at`."""
        return [one for one in self.requests if one.error and one.began < at <= one.ended]

    def longest_s(self, since: float = 0.0) -> float:
        """The longest wait of a request that ended at or after `since`; 0 when there was none."""
        return max((one.took_s for one in self.requests if one.ended >= since), default=0.0)

    def first_answer_s(self, since: float) -> float:
        """Seconds from `since` to the first good answer to a request that ended after it. Raises ValueError when
        there was none."""
        return min(one.ended for one in self.requests if not one.error and one.ended > since) - since

    def outage_s(self, since: float) -> float:
        """Seconds from `since` to the end of the last failed request that ended after it; 0 when none failed."""
        return max((one.ended - since for one in self.requests if one.error and one.ended > since), default=0.0)

    def wait_answers(self, count: int, deadline_s: float = 30) -> None:
        """Returns after `count` further good answers. Raises TimeoutError."""
        end, before = time.monotonic() + deadline_s, self._good()
        while self._good() < before + count:
            if time.monotonic() > end:
                raise TimeoutError(f"{self._good() - before} of {count} answers within {deadline_s} s")
            time.sleep(0.005)

    def _good(self) -> int:
        return sum(not one.error for seen in self._seen for one in list(seen))

    def _run(self, seen: list[Request], keep: bool) -> None:
        connection = self._connect()
        with suppress(OSError):
            while not self._over.is_set():
                seen.append(self._ask(connection, keep))
                if not keep or seen[-1].error:
                    connection.close()
                self._over.wait(self._pause_s)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, keep: bool) -> Request:
        began, reused, resent = time.monotonic(), connection.sock is not None, False
        error = _get(connection, self._path, keep)
        if reused and error.startswith(STALE):
            connection.close()
            resent, error = True, _get(connection, self._path, keep)
        return Request(began, time.monotonic() - began, error, resent)


STALE = ("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError")


def _get(connection: http.client.HTTPConnection, path: str, keep: bool) -> str:
    """Why it failed, empty for a whole answer of status 200."""
    begun = False
    try:
        connection.request("GET", path, headers={} if keep else {"Connection": "close"})
        answer = connection.getresponse()
        begun = True
        answer.read()
        return "" if answer.status == 200 else f"status {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        return f"{'cut off: ' if begun else ''}{type(error).__name__}: {error}"


def _connector(url: str, timeout_s: float, ca: str) -> Connect:
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port
    if parts.scheme == "http":
        return lambda: http.client.HTTPConnection(host, port, timeout=timeout_s)
    context = ssl.create_default_context(cafile=ca or None)
    return lambda: http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)


def summary(requests: Sequence[Request]) -> str:
    """For people: how many, what failed and how often, the longest wait."""
    failed = [one.error for one in requests if one.error]
    kinds = ", ".join(f"{failed.count(kind)} x {kind}" for kind in sorted(set(failed))) or "none"
    longest = max((one.took_s for one in requests), default=0.0)
    return f"{len(requests)} requests, failed: {kinds}, longest {longest:.3f} s"
