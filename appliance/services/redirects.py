"""Where the editor of an instance may be sent back to. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

CALLBACK = "/auth/strategy/callback"
# Of the flows' own pages; at the root of the host, wherever the editor is.
HTTP_CALLBACK = "/_ffAuth/callback"


def allowed(names: Iterable[str], port: int, admin_root: str, callback: str = CALLBACK) -> frozenset[str]:
    """Every redirect URI of an instance: accepted names, its public port, its callback path; nothing else.

    `names` may carry the platform's external port, which is not the instance's.
    """
    return frozenset(f"https://{_host(name)}{_port(port)}{admin_root}{callback}" for name in names)


def with_answer(redirect_uri: str, **answer: str) -> str:
    """The redirect URI with the answer in its query."""
    return f"{redirect_uri}?{urlencode(answer)}"


def _host(name: str) -> str:
    """The name without a port; an IPv6 address keeps its brackets."""
    if name.startswith("["):
        return name.partition("]")[0].lower() + "]"
    if name.count(":") > 1:
        return f"[{name}]".lower()
    return name.partition(":")[0].lower()


def _port(port: int) -> str:
    return "" if port == 443 else f":{port}"
