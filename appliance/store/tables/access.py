"""Tokens of people and programs, and logins to instances by OAuth."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from appliance.store.tables.base import metadata, public_id, seq, to

tokens = Table(
    "tokens",
    metadata,
    seq(),
    public_id(),
    Column("kind", String(16), nullable=False),  # see store.tokens.Kind
    Column("hash", String(64), nullable=False, unique=True),
    Column("name", String(128), nullable=False, default=""),
    Column("user_id", String(10), to("users.id"), index=True),
    Column("instance_id", String(36), to("instances.id"), index=True),
    Column("generation", Integer),
    Column("scopes", Text),  # JSON list; NULL: all that the role allows
    Column("read_only", Integer, nullable=False, default=0),
    Column("admin_opt_in", Integer, nullable=False, default=0),
    Column("team_ids", Text),  # JSON list; NULL: all of the user's teams
    Column("expires_at", BigInteger, index=True),
    Column("spent_at", BigInteger),  # tickets: when it was traded
    Column("spent_by", String(64)),  # tickets: hash of what only the launcher that traded it knows
    Column("created_at", BigInteger, nullable=False),
)

oauth_clients = Table(
    "oauth_clients",
    metadata,
    seq(),
    Column("id", String(64), nullable=False, unique=True),  # ffp_…
    Column("secret_hash", String(64), nullable=False),
    Column("instance_id", String(36), to("instances.id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
)

oauth_requests = Table(
    "oauth_requests",
    metadata,
    seq(),
    Column("id", String(64), nullable=False, unique=True),
    Column("client_id", String(64), to("oauth_clients.id"), nullable=False, index=True),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", String(64), nullable=False),
    Column("state", Text, nullable=False),
    Column("challenge", String(128), nullable=False),
    Column("code_hash", String(64), unique=True),
    Column("user_id", String(10), to("users.id")),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)
