"""What is known of the box itself, and what happened on it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text, text

from appliance.store.tables.base import metadata, seq

box = Table(
    "box",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    seq(),
    Column("created_at", BigInteger, nullable=False),
    Column("event", String(96), nullable=False),
    Column("scope_type", String(16), nullable=False),
    Column("scope_id", String(36)),
    Column("team_id", String(10)),
    Column("instance_id", String(36)),
    Column("user_id", String(10)),
    Column("username", String(64)),
    Column("trigger_type", String(16), nullable=False),
    Column("source", String(32)),
    Column("body", Text, nullable=False, default="{}"),
    Column("request_id", String(64)),  # of a report: one that is sent twice is recorded once
    Index("ix_audit_scope", "scope_type", "scope_id", "seq"),
    Index("ix_audit_team", "team_id", "seq"),
    Index("ix_audit_instance", "instance_id", "seq"),
    # A page filtered by a rare event or a rare name must not read the whole log.
    Index("ix_audit_team_event", "team_id", "event", "seq"),
    Index("ix_audit_instance_event", "instance_id", "event", "seq"),
    Index("ix_audit_username", "username", "seq"),
    # PostgreSQL would hold the rows without a request id too, which are no equals to it; a filter named for it here
    # would load its dialect into every process: 2 MB and 50 ms.
    Index("ix_audit_request", "instance_id", "request_id", unique=True, sqlite_where=text("request_id IS NOT NULL")),
)
