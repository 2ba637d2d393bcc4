"""The message broker on the wire."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.schema.common import Wire


class BrokerSummary(Wire):
    """The broker at a glance: whether it lets clients in."""

    running: bool


class BrokerStatus(Wire):
    """`GET /api/v1/box/broker`. Where it is switched off only `enabled` and `running` say anything.

    `clients`: how many may log in; `connected`: how many were, up to ten seconds ago, the appliance's own questions
    among them, null while that is not known. `url` is for programs on this box, `publicUrls` for others. `message`: why
    it is not as it is wanted.
    """

    enabled: bool
    running: bool
    pid: int | None = None
    clients: int = 0
    connected: int | None = None
    url: str = ""
    public_urls: Sequence[str] = ()
    message: str = ""
