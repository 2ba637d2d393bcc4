"""Audit entries (platform model §4)."""

from __future__ import annotations

from typing import Any

from appliance.schema.common import Meta, Wire


class AuditScope(Wire):
    id: str | None
    type: str  # platform | user | team | application | project | device


class AuditTrigger(Wire):
    id: str | None
    type: str  # user | system | device | unknown
    name: str


class AuditEntry(Wire):
    id: str
    created_at: str
    event: str
    scope: AuditScope
    trigger: AuditTrigger
    body: dict[str, Any]
    username: str | None = None
    source: str | None = None


class AuditPage(Wire):
    meta: Meta
    count: int
    log: list[AuditEntry]
    associations: dict[str, Any] = {}
