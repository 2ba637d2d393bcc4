"""Teams: what kinds there are, who belongs to them, and the applications that they have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text, UniqueConstraint

from appliance.store.tables.base import metadata, public_id, seq, to

# What teams of a kind may have: {"users": {"limit": 5}, "runtimes": {…}, "instances": {"<type>": {"active": true, …}}}.
team_types = Table(
    "team_types",
    metadata,
    seq(),
    public_id(),
    Column("name", String(128), nullable=False, unique=True),
    Column("active", Integer, nullable=False, default=1),
    Column("position", Integer, nullable=False, default=0),
    Column("description", Text, nullable=False, default=""),
    Column("properties", Text, nullable=False, default="{}"),
    Column("created_at", BigInteger, nullable=False),
)

teams = Table(
    "teams",
    metadata,
    seq(),
    public_id(),
    Column("type_id", String(10), index=True),
    Column("name", String(128), nullable=False),
    Column("slug", String(64), nullable=False, unique=True),
    Column("suspended", Integer, nullable=False, default=0),
    Column("properties", Text, nullable=False, default="{}"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    seq(),
    Column("user_id", String(10), to("users.id"), nullable=False),
    Column("team_id", String(10), to("teams.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),
    UniqueConstraint("user_id", "team_id"),
)

# An invitation is for somebody who has an account; it ends by itself.
invitations = Table(
    "invitations",
    metadata,
    seq(),
    public_id(),
    Column("team_id", String(10), to("teams.id"), nullable=False),
    Column("invitor_id", String(10), to("users.id"), nullable=False, index=True),
    Column("invitee_id", String(10), to("users.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    UniqueConstraint("team_id", "invitee_id"),
)

applications = Table(
    "applications",
    metadata,
    seq(),
    public_id(),
    Column("team_id", String(10), to("teams.id"), nullable=False, index=True),
    Column("name", String(128), nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
