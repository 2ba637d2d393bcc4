"""The API described: for programs and for people."""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib import metadata, resources
from typing import Any

import msgspec
from msgspec import Struct

from appliance.web import pages
from appliance.web.middleware import CONTENT_POLICY
from appliance.web.openapi import document
from appliance.web.openapi.reading import sections
from appliance.web.route import Ask, Reply
from appliance.web.services import Services

JSON = "application/json; charset=utf-8"
# The page searches by a script of ours; nothing else runs, and nothing comes from elsewhere.
_POLICY = f"{CONTENT_POLICY}; script-src 'self'"


class Packed(Struct, frozen=True):
    """A text that does not change while the appliance runs, as it is and compressed."""

    plain: bytes
    zipped: bytes
    tag: str


async def openapi(services: Services, ask: Ask[None, None]) -> Reply:
    """Compressed where the client takes that; 304 where it has this version already."""
    return _sent(ask, _document(), JSON)


async def page(services: Services, ask: Ask[None, None]) -> Reply:
    return _sent(ask, _page(), pages.HTML, ("Content-Security-Policy", _POLICY))


async def script(services: Services, ask: Ask[None, None]) -> Reply:
    """What searches on the page; without it the page lists everything."""
    return _sent(ask, _script(), "text/javascript; charset=utf-8")


def version() -> str:
    """The version of the installed distribution."""
    try:
        return metadata.version("weir")
    except metadata.PackageNotFoundError:
        return "0"


def _sent(ask: Ask[None, None], text: Packed, kind: str, *headers: tuple[str, str]) -> Reply:
    zipped = "gzip" in (ask.header("Accept-Encoding") or "").lower()
    tag = f'"{text.tag}{"-gzip" if zipped else ""}"'
    kept = (*headers, ("ETag", tag), ("Vary", "Accept-Encoding"), ("Cache-Control", "no-cache"))
    known = [word.strip().removeprefix("W/") for word in (ask.header("If-None-Match") or "").split(",")]
    if tag in known or "*" in known:
        return Reply(status=304, content_type=kind, headers=kept)
    if not zipped:
        return Reply(text.plain, kind, headers=kept)
    return Reply(text.zipped, kind, headers=(*kept, ("Content-Encoding", "gzip")))


def _packed(text: bytes) -> Packed:
    return Packed(text, gzip.compress(text, mtime=0), hashlib.sha256(text).hexdigest()[:16])


@functools.cache
def _document() -> Packed:
    return _packed(msgspec.json.encode(_made()))


@functools.cache
def _page() -> Packed:
    made = _made()
    return _packed(pages.render("api.html", version=made["info"]["version"], sections=sections(made)))


@functools.cache
def _script() -> Packed:
    return _packed(resources.files(pages).joinpath("api.js").read_bytes())


def _made() -> dict[str, Any]:
    from appliance.web.routes import ROUTES  # the table names these handlers

    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document(ROUTES, version=version())))
    return made
