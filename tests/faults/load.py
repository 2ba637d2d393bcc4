"""What people and machines do all the while: deploy, ask, and listen to the pulse of each Node-RED."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.faults.journal import Journal
from tests.system.box import editor_token

ANSWER_S = 60.0
Login = Callable[[], str]


class Deployer(threading.Thread):
    """Deploys to one editor again and again. `acknowledged` are the numbers that were answered with success,
    `tried` all: one whose answer was lost may or may not be stored."""

    def __init__(self, name: str, editor: str, platform: str, password: str, flow: Callable[[int], list[Any]],
                 journal: Journal, pause_s: float) -> None:  # fmt: skip
        super().__init__(daemon=True, name=f"deployer-{name}")
        self.instance, self._editor, self._flow, self._journal, self._pause_s = name, editor, flow, journal, pause_s
        self.login: Login = lambda: editor_token(platform, editor, "admin", password)
        self.acknowledged: list[int] = []
        self.tried = 0
        self._last_refusal = ""
        self.answers: Counter[str] = Counter()
        self.over = threading.Event()

    def run(self) -> None:
        with httpx.Client(verify=False, timeout=ANSWER_S) as client:
            while not self.over.is_set():
                try:
                    self._deploy(client)
                except (httpx.HTTPError, AssertionError, ValueError, KeyError) as error:
                    self.answers[type(error).__name__] += 1
                self.over.wait(self._pause_s)

    def _deploy(self, client: httpx.Client) -> None:
        if "Authorization" not in client.headers:
            client.headers["Authorization"] = f"Bearer {self.login()}"
        number = self.tried = self.tried + 1
        headers = {"Node-RED-Deployment-Type": "full" if number % 5 == 0 else "nodes"}
        began = time.monotonic()
        answer = client.post(f"{self._editor}/flows", json=self._flow(number), headers=headers)
        took_s = time.monotonic() - began
        self.answers[str(answer.status_code)] += 1
        if answer.status_code in (200, 204):
            self.acknowledged.append(number)
            self._last_refusal = ""
            if took_s > 2:
                self._journal.say(f"{self.instance}: deploy {number} acknowledged after {took_s:.1f} s")
        elif answer.status_code == 401:
            del client.headers["Authorization"]
        elif answer.status_code != 503:
            self._refused(number, f"{answer.status_code} {answer.text[:160]!r}")

    def _refused(self, number: int, why: str) -> None:
        """Told once for a row of the same."""
        if why != self._last_refusal:
            self._last_refusal = why
            self._journal.say(f"{self.instance}: deploy {number} refused: {why}")


class Visitor(threading.Thread):
    """Asks one instance through nginx. A good answer that is not to the question is a breach at once."""

    def __init__(self, name: str, url: str, journal: Journal, pause_s: float) -> None:
        super().__init__(daemon=True, name=f"visitor-{name}")
        self.instance, self._url, self._journal, self._pause_s = name, url, journal, pause_s
        self.answers: Counter[str] = Counter()
        self.over = threading.Event()

    def run(self) -> None:
        with httpx.Client(verify=False, timeout=ANSWER_S) as client:
            number = 0
            while not self.over.is_set():
                number += 1
                self.answers[self._ask(client, number)] += 1
                self.over.wait(self._pause_s)

    def _ask(self, client: httpx.Client, number: int) -> str:
        try:
            answer = client.get(f"{self._url}/echo", params={"n": number})
        except httpx.HTTPError as error:
            return type(error).__name__
        if answer.status_code == 200 and not right(answer, self.instance, number):
            self._journal.broken(f"{self.instance} answered question {number} with {answer.text[:200]!r}")
        return str(answer.status_code)


def right(answer: httpx.Response, name: str, number: int) -> bool:
    """Whether this is the echo of our question by our instance."""
    with suppress(ValueError):
        return bool(answer.json() == {"instance": name, "n": str(number)})
    return False


class Pulse:
    """Hears the pulse of each run. A run that is heard again after another one of its instance ran beside it."""

    def __init__(self, journal: Journal) -> None:
        self.runs: dict[str, list[str]] = {}
        self._journal = journal
        self._lock = threading.Lock()
        self.beside: set[tuple[str, str]] = set()  # instance and run that was heard beside a later one
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/pulse"
        threading.Thread(target=self._server.serve_forever, daemon=True, name="pulse").start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def heard(self, instance: str, run: str) -> None:
        with self._lock:
            runs = self.runs.setdefault(instance, [])
            if run not in runs:
                runs.append(run)
            elif runs[-1] != run and (instance, run) not in self.beside:
                self.beside.add((instance, run))
                self._journal.broken(f"two Node-REDs of {instance}: run {runs.index(run)} beside run {len(runs) - 1}")

    def _handler(pulse) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                pulse.heard(query["instance"][0], query["run"][0])
                with suppress(OSError):
                    self.send_response(200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler
