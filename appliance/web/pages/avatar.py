"""The picture of a person: his initials on a colour of his own."""

from __future__ import annotations

import base64
import binascii
import html

from appliance.errors import NotFound
from appliance.web.route import Ask, Reply
from appliance.web.services import Services

COLOURS = ("#0b6477", "#7a4a00", "#4b3f8f", "#8a2d3b", "#2c6b2f", "#5a5a5a")
# Editors are on other ports, which are other origins; there is nothing secret in initials.
HEADERS = (("Cross-Origin-Resource-Policy", "cross-origin"), ("Cache-Control", "public, max-age=86400"))


async def picture(services: Services, ask: Ask[None, None]) -> Reply:
    """The name comes in the path (`people.avatar`), so nothing is looked up and nobody can be found out."""
    return Reply(_drawn(_name(ask.params["name"])).encode(), "image/svg+xml", headers=HEADERS)


def _name(encoded: str) -> str:
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True).decode()[:200]
    except (binascii.Error, ValueError) as error:
        raise NotFound("there is no such picture") from error


def _drawn(name: str) -> str:
    words = name.split()
    initials = "".join(word[0] for word in [*words[:1], *words[1:][-1:]]).upper()
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect width="32" height="32" fill="{COLOURS[sum(map(ord, name)) % len(COLOURS)]}"/>'
        '<text x="16" y="21" font-family="sans-serif" font-size="14" fill="#fff" text-anchor="middle">'
        f"{html.escape(initials)}</text></svg>"
    )
