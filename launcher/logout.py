"""Ends one person's session of the editor."""

from __future__ import annotations

import contextlib

import msgspec

from launcher import http

_LIMIT_S = 2.0


async def revoke(url: str, token: str) -> None:
    """Have Node-RED forget an access token; `url` is its `/auth/revoke`. Nothing happens when it does not answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Node-RED-API-Version": "v2"}
    body = msgspec.json.encode({"token": token, "noRedirect": True})
    with contextlib.suppress(http.Unreachable):
        await http.request("POST", url, headers=headers, body=body, timeout_s=_LIMIT_S)
