"""Where the editor of an instance may be sent back to. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

CALLBACK = "/auth/strategy/callback"
# Of the flows' own pages; at the root of the instance, wherever its editor is.
HTTP_CALLBACK = "/_ffAuth/callback"


def allowed(bases: Iterable[str], admin_root: str, callback: str = CALLBACK) -> frozenset[str]:
    """Every redirect URI of an instance: its addresses (`Access.bases`) and its callback path; nothing else."""
    return frozenset(f"{base}{admin_root}{callback}" for base in bases)


def with_answer(redirect_uri: str, **answer: str) -> str:
    """The redirect URI with the answer in its query."""
    return f"{redirect_uri}?{urlencode(answer)}"
