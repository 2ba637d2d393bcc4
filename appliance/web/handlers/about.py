"""The API described: for programs and for people."""

from __future__ import annotations

import functools
from importlib import metadata
from typing import Any

import msgspec

from appliance.web import pages
from appliance.web.openapi import document
from appliance.web.route import Ask, Reply
from appliance.web.services import Services


async def openapi(services: Services, ask: Ask[None, None]) -> Reply:
    return Reply(_document())


async def page(services: Services, ask: Ask[None, None]) -> Reply:
    paths = msgspec.json.decode(_document())["paths"]
    return Reply(pages.render("api.html", rows=rows(paths)), pages.HTML)


@functools.cache
def _document() -> bytes:
    from appliance.web.routes import ROUTES  # the table names this handler

    return msgspec.json.encode(document(ROUTES, version=version()))


def version() -> str:
    """The version of the installed distribution."""
    try:
        return metadata.version("weir")
    except metadata.PackageNotFoundError:
        return "0"


def rows(paths: dict[str, Any]) -> list[dict[str, str]]:
    """One row per operation, for the page."""
    return [
        {"method": method.upper(), "path": path, "summary": operation["summary"], "about": operation["description"]}
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]
