"""Looking after a box: maintenance, alerts, room for more, wear."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from appliance.schema.common import Body, Wire

LONGEST_REASON = 200


class Maintenance(Wire):
    """`GET /api/v1/box/maintenance`. While it is on every instance is paused; what is wanted of each stays stored.

    `since` is ISO 8601, null while it is off.
    """

    on: bool
    since: str | None = None
    by: str = ""
    reason: str = ""


class SetMaintenance(Body):
    """`PUT /api/v1/box/maintenance`."""

    on: bool
    reason: Annotated[str, Meta(max_length=LONGEST_REASON)] = ""


class AlertTried(Wire):
    """How one way of telling people went: `error` is empty when it was taken."""

    channel: str
    error: str = ""


class AlertsStatus(Wire):
    """`GET /api/v1/box/alerts`: where problems are told. `waiting`: entries that were not sent yet; `failing`: by
    channel, why the last one could not be sent."""

    channels: list[str]
    waiting: int
    failing: dict[str, str]


class AlertsTested(Wire):
    """`POST /api/v1/box/alerts/test`."""

    results: list[AlertTried]


class Room(Wire):
    """How many more instances of one type would fit into memory: each needs `need_bytes`, `measured` over that many
    instances, or else as a first one does."""

    type: str
    more: int
    need_bytes: int
    measured: int


class Wear(Wire):
    """What an instance writes to the disk: bytes a day on average of `days`, at most seven, and today so far."""

    id: str
    name: str
    per_day_bytes: int
    today_bytes: int
    days: float


class DiskWear(Wire):
    """What the whole machine writes to the disk that holds the box. `card`: it is one that wears out (SD, eMMC).

    `years`: how long it lasts at this rate, when each cell bears 500 writes; null while too little was measured.
    """

    device: str
    card: bool
    size_bytes: int
    per_day_bytes: int
    days: float
    years: float | None = None


class WearReport(Wire):
    """`GET /api/v1/box/wear`: the instances that write most first."""

    disk: DiskWear | None
    instances: list[Wear]
