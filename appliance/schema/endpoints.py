"""Tokens for the HTTP endpoints of an instance's flows."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from appliance.schema.common import Body, Meta, Wire


class HttpToken(Wire):
    """`expires_at` is ISO 8601, null for one that does not end."""

    id: str
    name: str
    scope: str
    expires_at: str | None = None


class HttpTokenCreated(HttpToken, kw_only=True):
    """The only answer that shows the token itself."""

    token: str


class HttpTokens(Wire):
    meta: Meta
    count: int
    tokens: list[HttpToken]


class CreateHttpToken(Body):
    """`expires_at`: milliseconds since the epoch. `scope` is taken and means nothing, as with the reference."""

    name: str
    scope: str = ""
    expires_at: int | None = None


class ChangeHttpToken(Body):
    """What is left out stays."""

    name: str | UnsetType = UNSET
    scope: str = ""
    expires_at: int | None | UnsetType = UNSET
