"""Where instances are, where they were, and where people go on who come to the wrong place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from appliance.errors import Invalid
from appliance.proxy.model import Box, Site
from appliance.proxy.tokens import Token, host, word
from appliance.system.access import HOST, PATH, PORT, PREFIX

_SAFE_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
# A page of nginx's own, in one line; `$` stands for the variable that holds the address to go on with.
_PAGE = (
    "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width, initial-scale=1'>"
    "<title>Moved</title><body style='font:17px/1.5 system-ui,sans-serif;margin:2.5rem auto;max-width:34rem;"
    "padding:0 1.25rem;overflow-wrap:anywhere'><h1>No instance is at this address any more</h1><p>The instances of "
    "this box are reached in another way now, or this one has another name. Go on here:</p><p><a href='$/'>$/</a></p>"
    "<p>If that is Weir, log in and choose the instance. Change bookmarks and programs that use the old address.</p>"
)


def context(box: Box, sites: list[Site]) -> dict[str, Any]:
    """What the templates need of all this. Raises Invalid for a name that can't be a part of an address."""
    mode, former = box.access.mode, box.former
    return {
        "platform_origin": _platform_origin(box),
        "path_prefix": Token(f"{PREFIX}/"),
        "path_status": 404 if mode == PATH else 421 if former.paths else 0,
        "site_hosts": list(_site_hosts(box, sites)) if mode == HOST else [],
        "moved_hosts": list(_moved_hosts(box, sites)),
        "moved_ports": [(site.public_port, _seen(box, site)) for site in sites if site.public_port in box.old_ports],
        "moved_paths": [(_old_path(site), _seen(box, site)) for site in sites] if mode != PATH and former.paths else [],
        "old_ports": list(box.old_ports),
        **{f"moved_{what}": _page(f"weir_moved_{what}") for what in ("host", "port", "path")},
    }


def site_context(box: Box, site: Site) -> dict[str, Token]:
    """Of one instance: its own host, or its own part of the platform's paths."""
    if box.access.mode == PORT:
        return {"host": Token("")}
    if box.access.mode == HOST:
        return {"host": host(box.access.own_host(_safe(site)))}
    path = box.access.path(_safe(site))
    return {
        "host": Token(""),
        "prefix": Token(f"{path}/"),
        "away": Token(f"/.weir-page/away/{site.instance_id}"),
        "gone": Token(f"/.weir-page/gone/{site.instance_id}"),
        "own_path": Token(f'"{path}/$1"'),
        "other_paths": Token(f'"~^/(?!{path[1:]}(?:/|$))(.*)$"'),
    }


def _platform_origin(box: Box) -> Token:
    """The platform for the browser that asks an instance: under the same name, unless the instance has its own."""
    if box.access.mode == PORT:
        return Token("$weir_platform_origin")
    return Token('"https://$weir_platform_host"') if box.access.mode == PATH else Token(f'"{_first(box)}"')


def _site_hosts(box: Box, sites: list[Site]) -> Iterator[tuple[Token, Token]]:
    for site in sites:
        yield host(_base(box, site).removeprefix("https://")), Token(site.instance_id)


def _moved_hosts(box: Box, sites: list[Site]) -> Iterator[tuple[Token, Token]]:
    """Names below the present and the former domain; the key is "<whether the platform has that name>|<name>"."""
    present = box.access.domain if box.access.mode == HOST else None
    domains = [domain.name for domain in (present, box.former.domain) if domain is not None]
    for domain in dict.fromkeys(domains):
        for site in sites:
            yield Token(f'"0|{word(f"{_safe(site)}.{domain}")}"'), Token(f'"{_base(box, site)}"')
        yield Token(f'"~^0\\|[^.|]+\\.{re.escape(word(domain))}$"'), Token(f'"{_first(box)}"')


def _first(box: Box) -> str:
    """The platform under its first name, for browsers whose own name says nothing of it."""
    names = [name.authority(box.https_port) for name in box.names] or ["localhost"]
    return f"https://{word(names[0])}"


def _base(box: Box, site: Site) -> str:
    """The instance under the first name of the box, or its own."""
    names = [_first(box).removeprefix("https://")]
    number = site.public_port - box.access.public_base
    return "https://" + word(box.access.bases(names, number, _safe(site))[0].removeprefix("https://"), also="/")


def _seen(box: Box, site: Site) -> Token:
    """The instance for a browser that used an accepted name of the box."""
    if box.access.mode == HOST:
        return Token(f'"{_base(box, site)}"')
    if box.access.mode == PATH:
        return Token(f'"$weir_platform_origin{box.access.path(_safe(site))}"')
    return Token(f'"https://$host:{site.public_port}"')


def _old_path(site: Site) -> Token:
    return Token(f'"~^{PREFIX}/{_safe(site)}(?:/|$)"')


def _safe(site: Site) -> str:
    if not _SAFE_NAME.fullmatch(site.safe_name):
        raise Invalid(
            f"{site.safe_name!r} can't be a part of an address", hint="Report this: names are checked before."
        )
    return site.safe_name


def _page(variable: str) -> Token:
    return Token('"' + _PAGE.replace("$", f"${variable}") + '"')
