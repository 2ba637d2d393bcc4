"""Flows that are given when an instance is made. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from msgspec import Raw, Struct

from appliance.errors import Invalid, TooLarge
from appliance.services import credentials, documents

_NOTHING = Raw(b"null")


class _Node(Struct, frozen=True):
    id: str
    type: str = ""


class _Export(Struct, frozen=True):
    flows: Raw
    credentials: Raw = _NOTHING


_NODES = msgspec.json.Decoder(list[_Node])
_EXPORT = msgspec.json.Decoder(_Export)


class Import(Struct, frozen=True):
    """Flows as they were given; `credentials` in clear, only for being encrypted."""

    flows: bytes
    credentials: bytes | None = None

    def encrypted(self, secret: str) -> bytes | None:
        """The credentials as Node-RED reads them, under the new instance's secret."""
        if self.credentials is None:
            return None
        return msgspec.json.encode({"$": credentials.encrypt(self.credentials, secret)})


def read(given: Raw, limit_bytes: int) -> Import | None:
    """What to store: an array of nodes, or `{"flows": […], "credentials": {…}}`.

    Raises Invalid for anything else, for a node id that is there twice, and for credentials that are encrypted:
    their key is not in the file. Raises TooLarge.
    """
    body = bytes(given).strip()
    if body == b"null":
        return None
    if len(body) > limit_bytes:
        raise TooLarge(
            f"The flows have {len(body)} bytes; at most {limit_bytes} are taken.", hint="Import a part of them."
        )
    if not body.startswith(b"{"):
        return Import(checked_flows(body))
    export = documents.check(body, _EXPORT, "flows")
    return Import(checked_flows(bytes(export.flows)), _credentials(export.credentials))


def checked_flows(body: bytes) -> bytes:
    """Flows that Node-RED can load, as they came. Raises Invalid."""
    nodes = documents.check(body, _NODES, "flows")
    twice = [name for name, count in Counter(node.id for node in nodes).items() if count > 1]
    if twice:
        raise Invalid(
            f"The node id '{twice[0][:64]}' is there twice in the flows.",
            code="invalid_request",
            hint="Node-RED would drop one of the two nodes: give each its own id, or export the flows again.",
        )
    return body


def _credentials(given: Raw) -> bytes | None:
    body = bytes(given).strip()
    if body == b"null":
        return None
    values: dict[str, Any] = documents.check(body, documents.OBJECT, "credentials")
    if "$" in values:
        raise Invalid(
            "The credentials in this export are encrypted with the secret of the Node-RED they come from.",
            hint="Leave 'credentials' out and enter them in the editor, or export them decrypted.",
        )
    return body if values else None
