"""The accounts of people, what they log in with in a browser or over SSH, and what the box has to tell them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from appliance.store.tables.base import metadata, public_id, seq, to

users = Table(
    "users",
    metadata,
    seq(),
    public_id(),
    Column("username", String(64), nullable=False),
    Column("username_lower", String(64), nullable=False, unique=True),
    Column("name", String(128), nullable=False),
    Column("email", String(254), nullable=False),
    Column("email_lower", String(254), nullable=False, unique=True),
    Column("email_verified", Integer, nullable=False, default=1),
    Column("password_hash", Text, nullable=False),
    Column("password_expired", Integer, nullable=False, default=0),
    Column("admin", Integer, nullable=False, default=0),
    Column("suspended", Integer, nullable=False, default=0),
    Column("default_team_id", String(10)),
    Column("tcs_accepted_at", BigInteger),  # terms and conditions
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    seq(),
    Column("hash", String(64), nullable=False, unique=True),
    Column("user_id", String(10), to("users.id"), nullable=False, index=True),
    Column("csrf_hash", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("idle_at", BigInteger, nullable=False),
)

# Public keys with which people log in over SSH; a key is one person's, so it says who comes.
ssh_keys = Table(
    "ssh_keys",
    metadata,
    seq(),
    public_id(),
    Column("user_id", String(10), to("users.id"), nullable=False, index=True),
    Column("name", String(128), nullable=False),
    Column("type", String(64), nullable=False),
    Column("body", Text, nullable=False),  # base64, as it stands behind the type in authorized_keys(5)
    Column("fingerprint", String(64), nullable=False, unique=True),  # SHA256:…
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

# What the box has to tell somebody. While one of a `reference` is unread, another of it is counted, not added.
notifications = Table(
    "notifications",
    metadata,
    seq(),
    public_id(),
    Column("user_id", String(10), to("users.id"), nullable=False),
    Column("type", String(64), nullable=False),
    Column("reference", String(128), nullable=False),
    Column("read", Integer, nullable=False, default=0),
    Column("data", Text, nullable=False, default="{}"),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_notifications_user", "user_id", "seq"),
    Index("ix_notifications_reference", "user_id", "reference"),
)
