"""The OAuth provider's wire (instance protocol §3.3). Names are those of RFC 6749."""

from __future__ import annotations

from msgspec import Struct


class OAuthRefusal(Struct, frozen=True, kw_only=True):
    """Why a code or a refresh token is not traded: the word of RFC 6749, and a sentence."""

    error: str
    description: str


class OAuthToken(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer of `POST /account/token`; `expires_in` is in seconds, `scope` is `*`, `read` or `http`."""

    access_token: str
    refresh_token: str
    expires_in: int
    scope: str
    state: str | None = None
