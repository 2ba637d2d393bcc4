"""The platform as its administrators see it: settings, licence, statistics."""

from __future__ import annotations

from msgspec import field

from appliance.schema.common import Body, Wire


class ApplyLicense(Body):
    license: str
    action: str


class StatsToken(Wire):
    """`POST /admin/stats-token`: shown this once."""

    token: str


class Statistics(Wire):
    """`GET /admin/stats`. Weir has no licence, so there are no `max…` members."""

    user_count: int
    admin_count: int
    invite_count: int
    team_count: int
    teams_by_type: dict[str, int]
    instance_count: int
    instances_by_state: dict[str, int]
    device_count: int = 0
    devices_by_mode: dict[str, int] = {}
    devices_by_last_seen: dict[str, int] = field(
        default_factory=lambda: {"never": 0, "day": 0, "week": 0, "month": 0, "older": 0}
    )
