"""Every table of Weir's database, for SQLite and PostgreSQL alike.

Conventions: `seq` orders rows and is the paging cursor; `id` is the public, opaque name of a row. Times are
milliseconds since the epoch, UTC. JSON is text written by msgspec. Secrets are kept as SHA-256 or argon2 hashes,
never in clear, except those that must be used again, which are sealed with the box key (`sealed_…`).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only for INTEGER PRIMARY KEY; elsewhere sixty-four bits are wanted.
Seq = BigInteger().with_variant(Integer, "sqlite")


def _seq() -> Column[int]:
    return Column("seq", Seq, primary_key=True, autoincrement=True)


def _id(length: int = 10) -> Column[str]:
    return Column("id", String(length), nullable=False, unique=True)


def _to(target: str, *, ondelete: str = "CASCADE") -> ForeignKey:
    return ForeignKey(target, ondelete=ondelete)


box = Table(
    "box",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    _seq(),
    _id(),
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
    _seq(),
    Column("hash", String(64), nullable=False, unique=True),
    Column("user_id", String(10), _to("users.id"), nullable=False, index=True),
    Column("csrf_hash", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("idle_at", BigInteger, nullable=False),
)

# What teams of a kind may have: {"users": {"limit": 5}, "runtimes": {…}, "instances": {"<type>": {"active": true, …}}}.
team_types = Table(
    "team_types",
    metadata,
    _seq(),
    _id(),
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
    _seq(),
    _id(),
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
    _seq(),
    Column("user_id", String(10), _to("users.id"), nullable=False),
    Column("team_id", String(10), _to("teams.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),
    UniqueConstraint("user_id", "team_id"),
)

# An invitation is for somebody who has an account; it ends by itself.
invitations = Table(
    "invitations",
    metadata,
    _seq(),
    _id(),
    Column("team_id", String(10), _to("teams.id"), nullable=False),
    Column("invitor_id", String(10), _to("users.id"), nullable=False, index=True),
    Column("invitee_id", String(10), _to("users.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    UniqueConstraint("team_id", "invitee_id"),
)

# What the box has to tell somebody. While one of a `reference` is unread, another of it is counted, not added.
notifications = Table(
    "notifications",
    metadata,
    _seq(),
    _id(),
    Column("user_id", String(10), _to("users.id"), nullable=False),
    Column("type", String(64), nullable=False),
    Column("reference", String(128), nullable=False),
    Column("read", Integer, nullable=False, default=0),
    Column("data", Text, nullable=False, default="{}"),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_notifications_user", "user_id", "seq"),
    Index("ix_notifications_reference", "user_id", "reference"),
)

applications = Table(
    "applications",
    metadata,
    _seq(),
    _id(),
    Column("team_id", String(10), _to("teams.id"), nullable=False, index=True),
    Column("name", String(128), nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

instance_types = Table(
    "instance_types",
    metadata,
    _seq(),
    _id(),
    Column("name", String(128), nullable=False, unique=True),
    Column("active", Integer, nullable=False, default=1),
    Column("description", Text, nullable=False, default=""),
    Column("position", Integer, nullable=False, default=0),
    Column("properties", Text, nullable=False, default="{}"),
    Column("default_stack_id", String(10)),
    Column("created_at", BigInteger, nullable=False),
)

stacks = Table(
    "stacks",
    metadata,
    _seq(),
    _id(),
    Column("name", String(128), nullable=False, unique=True),
    Column("label", String(128), nullable=False, default=""),
    Column("active", Integer, nullable=False, default=1),
    Column("instance_type_id", String(10), _to("instance_types.id", ondelete="SET NULL")),
    Column("properties", Text, nullable=False, default="{}"),  # {"nodered": "5.0.7", "memory": "256", …}
    Column("replaced_by", String(10)),
    Column("created_at", BigInteger, nullable=False),
)

templates = Table(
    "templates",
    metadata,
    _seq(),
    _id(),
    Column("name", String(128), nullable=False, unique=True),
    Column("description", Text, nullable=False, default=""),
    Column("active", Integer, nullable=False, default=1),
    Column("settings", Text, nullable=False, default="{}"),
    Column("policy", Text, nullable=False, default="{}"),
    Column("created_at", BigInteger, nullable=False),
)

instances = Table(
    "instances",
    metadata,
    _seq(),
    _id(36),
    Column("name", String(128), nullable=False),
    Column("safe_name", String(128), nullable=False, unique=True),
    Column("application_id", String(10), _to("applications.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("team_id", String(10), _to("teams.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("type_id", String(10), _to("instance_types.id", ondelete="RESTRICT"), nullable=False),
    Column("stack_id", String(10), _to("stacks.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("template_id", String(10), _to("templates.id", ondelete="RESTRICT"), nullable=False),
    Column("desired", String(16), nullable=False),
    Column("generation", Integer, nullable=False, default=1),
    Column("command_generation", Integer, nullable=False, default=0),
    Column("number", Integer, nullable=False, unique=True),  # n of the port table; 0 … 999
    Column("settings", Text, nullable=False, default="{}"),
    Column("launcher_settings", Text, nullable=False, default="{}"),
    Column("versions", Text, nullable=False, default="{}"),
    Column("sealed_credential_secret", Text, nullable=False),
    Column("flow_updated_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# What Node-RED stores: one row per instance and kind (flows, credentials, settings, sessions).
# `body` is kept as the bytes that were acknowledged.
storage = Table(
    "storage",
    metadata,
    _seq(),
    Column("instance_id", String(36), _to("instances.id"), nullable=False),
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
    _seq(),
    _id(),
    Column("instance_id", String(36), _to("instances.id"), nullable=False),
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
    _seq(),
    _id(),
    Column("instance_id", String(36), _to("instances.id"), nullable=False),
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
    _seq(),
    Column("instance_id", String(36), _to("instances.id"), nullable=False),
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
    _seq(),
    _id(),
    Column("team_id", String(10), _to("teams.id"), nullable=False),
    Column("type", String(64), nullable=False),
    Column("name", String(1024), nullable=False),
    Column("meta", Text, nullable=False, default="{}"),
    Column("body", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("team_id", "name", "type"),
)

tokens = Table(
    "tokens",
    metadata,
    _seq(),
    _id(),
    Column("kind", String(16), nullable=False),  # see store.tokens.Kind
    Column("hash", String(64), nullable=False, unique=True),
    Column("name", String(128), nullable=False, default=""),
    Column("user_id", String(10), _to("users.id"), index=True),
    Column("instance_id", String(36), _to("instances.id"), index=True),
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

# Public keys with which people log in over SSH; a key is one person's, so it says who comes.
ssh_keys = Table(
    "ssh_keys",
    metadata,
    _seq(),
    _id(),
    Column("user_id", String(10), _to("users.id"), nullable=False, index=True),
    Column("name", String(128), nullable=False),
    Column("type", String(64), nullable=False),
    Column("body", Text, nullable=False),  # base64, as it stands behind the type in authorized_keys(5)
    Column("fingerprint", String(64), nullable=False, unique=True),  # SHA256:…
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

oauth_clients = Table(
    "oauth_clients",
    metadata,
    _seq(),
    Column("id", String(64), nullable=False, unique=True),  # ffp_…
    Column("secret_hash", String(64), nullable=False),
    Column("instance_id", String(36), _to("instances.id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
)

oauth_requests = Table(
    "oauth_requests",
    metadata,
    _seq(),
    Column("id", String(64), nullable=False, unique=True),
    Column("client_id", String(64), _to("oauth_clients.id"), nullable=False, index=True),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", String(64), nullable=False),
    Column("state", Text, nullable=False),
    Column("challenge", String(128), nullable=False),
    Column("code_hash", String(64), unique=True),
    Column("user_id", String(10), _to("users.id")),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

audit = Table(
    "audit",
    metadata,
    _seq(),
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
