"""Deploys made while the appliance was away: how they are handed in, and those that had to be kept."""

from __future__ import annotations

from msgspec import Raw, field

from appliance.schema.common import Body, Wire


class HandIn(Body):
    """`POST /storage/:id/deploys`. `base` and `credentials_base` are digests (SHA-256, hex) of what may be stored now.

    Without `keep` a deploy that can't be stored is refused, with it it is kept. `refused` says why the sender has to
    keep it himself; then there are no flows.
    """

    id: str
    at: str = ""
    user: str | None = None
    base: list[str] = []
    credentials_base: list[str] = []
    flows: Raw = field(default_factory=lambda: Raw(b"null"))
    credentials: Raw = field(default_factory=lambda: Raw(b"null"))
    keep: bool = False
    refused: str = ""


class HandedIn(Wire):
    """`result` is `stored` or `kept`; `name` is that of the kept deploy."""

    result: str
    name: str = ""


class KeptDeploy(Wire):
    """`reason`: `flows_changed`, `refused` or `replaced` (by a restore). `bytes` 0: the flows are in a file that
    `message` names."""

    id: str
    name: str
    reason: str
    message: str
    made_at: str
    kept_at: str
    bytes: int
    username: str | None = None


class KeptDeploys(Wire):
    count: int
    kept: list[KeptDeploy]


class KeptFlows(Wire):
    name: str
    flows: Raw
