"""A question to a running box over its socket, for the commands that are the server themselves (stdlib only)."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from appliance.config import Home
from appliance.errors import Unavailable

TIMEOUT_S = 10.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("weir", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def get(home: Home, path: str) -> dict[str, Any]:
    """The API's answer. Raises Unavailable."""
    return _ask(home, "GET", path, None)


def post(home: Home, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The API's answer to a command. Raises Unavailable."""
    return _ask(home, "POST", path, json.dumps(body))


def _ask(home: Home, method: str, path: str, body: str | None) -> dict[str, Any]:
    headers = {} if body is None else {"Content-Type": "application/json"}
    connection = _UnixConnection(str(home.api_socket))
    try:
        connection.request(method, f"/api/v1{path}", body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"Weir does not answer at {home.api_socket}: {error}", hint="Try: ./dev up") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Unavailable(f"Weir answered {answer.status} to {path}: {content[:300].decode(errors='replace')}")
    return dict(json.loads(content))
