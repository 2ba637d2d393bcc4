"""The box for one command: plain requests, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import msgspec

from tui.address import Address
from tui.http import LIMITS, failure, tls
from tui.lean import httpx
from tui.patience import watching
from tui.wire import API, headers, refusal


class Box:
    """One connection to one box; use it with `with`. Every method returns the answer's bytes or raises BoxError."""

    def __init__(self, address: Address) -> None:
        self.address = address
        local = address.socket is not None
        transport = httpx.HTTPTransport(
            uds=str(address.socket) if local else None, verify=False if local else tls(address)
        )
        self._http = httpx.Client(
            transport=transport, base_url=address.base_url, headers=headers(address), timeout=LIMITS
        )

    def __enter__(self) -> Box:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """GET a path below /api/v1."""
        return self._send("GET", API + path, params=params)

    def post(self, path: str, body: object = None) -> bytes:
        """POST JSON to a path below /api/v1."""
        if body is None:
            return self._send("POST", API + path)
        content = msgspec.json.encode(body)
        return self._send("POST", API + path, content=content, headers={"Content-Type": "application/json"})

    def put(self, path: str, body: object) -> bytes:
        """PUT JSON to a path below /api/v1."""
        content = msgspec.json.encode(body)
        return self._send("PUT", API + path, content=content, headers={"Content-Type": "application/json"})

    def patch(self, path: str) -> bytes:
        """PATCH a path below /api/v1, without a body."""
        return self._send("PATCH", API + path)

    def delete(self, path: str) -> bytes:
        """DELETE a path below /api/v1."""
        return self._send("DELETE", API + path)

    def page(self, path: str) -> bytes:
        """GET a path outside the API, such as the box's CA."""
        return self._send("GET", path)

    def _send(self, method: str, path: str, **fields: Any) -> bytes:  # what httpx takes; no caller outside this class
        try:
            with watching(self.address):
                response = self._http.request(method, path, **fields)
        except httpx.HTTPError as error:
            raise failure(self.address, error) from error
        if response.status_code >= 300:
            raise refusal(response.status_code, response.content)
        return response.content
