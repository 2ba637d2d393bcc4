"""What instances hold: flows and the like as Node-RED stores them, deploys that were kept, snapshots, libraries."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from appliance.store.tables.base import metadata, public_id, seq, to

# What Node-RED stores: one row per instance and kind (flows, credentials, settings, sessions).
# `body` is kept as the bytes that were acknowledged.
storage = Table(
    "storage",
    metadata,
    seq(),
    Column("instance_id", String(36), to("instances.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("revision", Integer, nullable=False, default=1),
    Column("request_id", String(64)),  # of the last write: the same request twice writes once
    Column("user_id", String(10)),
    Column("updated_at", BigInteger, nullable=False),
    # Last: SQLite walks a row from its start, and most questions are about the small columns.
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("instance_id", "kind"),
)

# Deploys that were acknowledged while the appliance was away and that it could not store afterwards.
kept_deploys = Table(
    "kept_deploys",
    metadata,
    seq(),
    public_id(),
    Column("instance_id", String(36), to("instances.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("request_id", String(64)),  # the same deploy is kept once
    Column("reason", String(32), nullable=False),  # flows_changed | refused | replaced
    Column("message", Text, nullable=False),
    Column("user_id", String(10)),
    Column("made_at", BigInteger, nullable=False),  # by the clock of the one who made it
    Column("created_at", BigInteger, nullable=False),
    Column("credentials", LargeBinary),  # NULL: they did not change
    Column("flows", LargeBinary, nullable=False),
    UniqueConstraint("instance_id", "name"),
)

# What a snapshot does not say is NULL. Credentials and hidden variables are encrypted with the instance's own secret.
snapshots = Table(
    "snapshots",
    metadata,
    seq(),
    public_id(),
    Column("instance_id", String(36), to("instances.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("automatic", Integer, nullable=False, default=0),
    Column("user_id", String(10)),
    Column("bytes", Integer, nullable=False),
    *(Column(f"{when}_at", BigInteger, nullable=False) for when in ("created", "updated")),
    *(Column(part, Text) for part in ("modules", "settings", "env")),
    Column("credentials", LargeBinary, nullable=False),
    Column("flows", LargeBinary, nullable=False),
    Index("ix_snapshots_instance", "instance_id", "seq"),
)

library = Table(
    "library",
    metadata,
    seq(),
    Column("instance_id", String(36), to("instances.id"), nullable=False),
    Column("type", String(64), nullable=False),
    Column("name", String(1024), nullable=False),
    Column("meta", Text, nullable=False, default="{}"),
    Column("body", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("instance_id", "type", "name"),
)

team_library = Table(
    "team_library",
    metadata,
    seq(),
    public_id(),
    Column("team_id", String(10), to("teams.id"), nullable=False),
    Column("type", String(64), nullable=False),
    Column("name", String(1024), nullable=False),
    Column("meta", Text, nullable=False, default="{}"),
    Column("body", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("team_id", "name", "type"),
)
