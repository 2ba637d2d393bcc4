"""What an audit log's entries speak of, beside the entries: each application and instance once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from appliance.schema.audit import AuditEntry

# Word of an entry's body: the list that it goes to, and its path below the API.
_KINDS = {
    "application": ("applications", "applications"),
    "project": ("instances", "projects"),
    "sourceProject": ("instances", "projects"),
}
_LONGEST = 256
# Their words are in the entries that they cause, those that begin with "project." too.
_REPORTERS = frozenset({"launcher", "node-red", "published"})


def associations(entries: Sequence[AuditEntry], base_url: str) -> dict[str, list[dict[str, Any]]]:
    """Id, name and link by kind, under the name that the newest entry gives. Devices: none, in this version.

    Only what the platform itself recorded is taken: a flow may write what it likes into the entries it causes.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {"applications": {}, "instances": {}, "devices": {}}
    for entry in entries:
        if entry.source in _REPORTERS or not entry.event.startswith(("application.", "project.", "team.")):
            continue
        for word, (kind, path) in _KINDS.items():
            thing = entry.body.get(word)
            if isinstance(thing, dict) and _is_named(thing):
                link = f"{base_url}/api/v1/{path}/{thing['id']}"
                found[kind].setdefault(thing["id"], {"id": thing["id"], "name": thing["name"], "links": {"self": link}})
    return {kind: list(things.values()) for kind, things in found.items()}


def _is_named(thing: dict[str, Any]) -> bool:
    return all(isinstance(thing.get(key), str) and 0 < len(thing[key]) <= _LONGEST for key in ("id", "name"))
