"""From the model to nginx's configuration. Pure: the same model gives the same text.

Nothing reaches the text unescaped: the templates can print only numbers and `Token`s, and a Token is made here.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from appliance.config import Home
from appliance.errors import Invalid
from appliance.proxy import places
from appliance.proxy.model import Box, Site
from appliance.proxy.tokens import Token, host, quote, remark, word
from appliance.system import templates
from appliance.system.access import PATH, PORT
from appliance.system.templates import Rendered

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
# Runs of Weir's cookies that are cut out of one Cookie header; with more of them none at all is passed.
COOKIE_STEPS = 6
SCRATCH = ("body", "proxy", "fastcgi", "uwsgi", "scgi")

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNKNOWN_NAME = (
    "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width, initial-scale=1'>"
    "<title>Unknown name</title><body style='font:17px/1.5 system-ui,sans-serif;margin:2.5rem auto;max-width:34rem;"
    "padding:0 1.25rem'><h1>This box is not known under that name</h1><p>If it is really meant, add the name on "
    "the box and load this page again:</p><pre>weir name add $"
)


def render(box: Box, sites: list[Site]) -> Rendered:
    """The configuration of the box with these instances.

    Raises Invalid for what nginx cannot take: a `$` or a control character in the home's path, an id or a name that
    is not one, the same public port twice, a name that can't be a part of an address where it has to be.
    """
    _check_ports(box, sites)
    context = _context(box, sites)
    return templates.versioned(lambda version: _template().render(context, version=Token(version)))


def _finalize(value: Any) -> Any:
    if isinstance(value, Token) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise TypeError(f"not escaped for nginx: {value!r}")


@cache
def _template() -> jinja2.Template:
    return templates.load("nginx", "nginx.conf.j2", finalize=_finalize)  # which lets only Tokens through


def _context(box: Box, sites: list[Site]) -> dict[str, Any]:
    suffix = "" if box.https_port == 443 else f":{box.https_port}"
    found = [_site(box, site) for site in sites]
    hosts = {name.host: None for name in box.names}
    return {
        **_paths(Home(Path(box.home))),
        "certificate": word(box.certificate),
        "user": word(box.user) if box.user else "",
        "workers": box.workers,
        "connections": box.connections,
        "files": box.connections * 2 + 64,
        "ipv6": box.ipv6,
        "https_port": box.https_port,
        "http_port": box.http_port,
        "https_suffix": Token(suffix),
        "names": [host(each) for each in hosts],
        "platform_hosts": list(dict.fromkeys(host(name.authority(box.https_port)) for name in box.names)),
        "origins": _origins(box),
        "unknown_name": _unknown("weir_asked"),
        "unknown_platform": _unknown("weir_asked_platform"),
        "page_policy": quote(PAGE_POLICY),
        "steps": _steps(),
        "sites": found,
        "servers": [] if box.access.mode == PATH else found,
        "paths": found if box.access.mode == PATH else [],
        **_messages(box),
        **places.context(box, sites),
    }


def _messages(box: Box) -> dict[str, Any]:
    """The message broker; no more connections to it than leave room for browsers."""
    door, share = box.messages, box.connections // 4
    module = quote(door.module) if door is not None and door.tls_port and door.module else ""
    return {"messages": door, "module": module, "messages_all": share, "messages_each": max(1, share // 4)}


def _paths(home: Home) -> dict[str, Token]:
    return {
        "pid": quote(str(home.nginx_pid)),
        "log": quote(str(home.nginx_log)),
        **{f"scratch_{kind}": quote(str(home.nginx_scratch / kind)) for kind in SCRATCH},
        "pages": quote(str(home.nginx / "pages")),
        "ca": quote(str(home.tls / "ca.crt")),
        "challenges": quote(f"{home.nginx / 'acme'}/"),
        "leaf": quote(str(home.tls / "box.crt")),
        "leaf_key": quote(str(home.tls / "box.key")),
        "platform_socket": quote(f"unix:{home.web_socket}"),
        "own_socket": quote(f"unix:{home.nginx_socket}"),
    }


def _unknown(variable: str) -> Token:
    """The 421 page. `variable` holds the name that was used, reduced by a map to what needs no escaping."""
    return Token(f'"{_UNKNOWN_NAME}{variable}"')


def _origins(box: Box) -> list[tuple[Token, Token]]:
    """Names whose platform is reached under a port of its own; the first entry of a name wins."""
    external = {name.host: name.authority(box.https_port) for name in reversed(box.names) if name.port is not None}
    return [(host(name), Token(f'"https://{word(target)}"')) for name, target in external.items()]


def _steps() -> list[dict[str, Token]]:
    names = [Token(f"weir_ck{number}") for number in range(1, COOKIE_STEPS + 1)]
    keys = [Token('"$weir_site|$http_cookie"'), *(Token(f"${name}") for name in names)]
    return [{"name": name, "key": key} for name, key in zip(names, keys, strict=False)]


def _site(box: Box, site: Site) -> dict[str, Token | int]:
    if not _ID.fullmatch(site.instance_id):
        raise Invalid(f"{site.instance_id!r} is not an instance id", hint="Report this: ids are made by Weir.")
    return {
        "id": Token(site.instance_id),
        "name": remark(site.name),
        "upstream": Token(f"weir_{site.instance_id}"),
        "public_port": site.public_port,
        "node_red_port": site.node_red_port,
        "page": Token(f"/{site.instance_id}.html"),
        "flag": quote(str(Home(Path(box.home)).run / "up" / site.instance_id)),
        **places.site_context(box, site),
    }


def _check_ports(box: Box, sites: list[Site]) -> None:
    used: dict[int, str] = {box.https_port: "the platform"}
    if box.http_port is not None:
        used[box.http_port] = "the CA page"
    for site in sites:
        if box.access.mode != PORT and site.public_port not in box.old_ports:
            continue
        if site.public_port in used:
            raise Invalid(
                f"port {site.public_port} is wanted by {site.name!r} and by {used[site.public_port]}",
                code="port_taken",
                hint="Change listen.public_base, listen.https or listen.http in config.toml.",
            )
        used[site.public_port] = repr(site.name)
