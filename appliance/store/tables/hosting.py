"""Instances: the types, stacks and templates that they are made of, what each is, and what it may take of the box."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from appliance.store.tables.base import metadata, public_id, seq, to

instance_types = Table(
    "instance_types",
    metadata,
    seq(),
    public_id(),
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
    seq(),
    public_id(),
    Column("name", String(128), nullable=False, unique=True),
    Column("label", String(128), nullable=False, default=""),
    Column("active", Integer, nullable=False, default=1),
    Column("instance_type_id", String(10), to("instance_types.id", ondelete="SET NULL")),
    Column("properties", Text, nullable=False, default="{}"),  # {"nodered": "5.0.7", "memory": "256", …}
    Column("replaced_by", String(10)),
    Column("created_at", BigInteger, nullable=False),
)

templates = Table(
    "templates",
    metadata,
    seq(),
    public_id(),
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
    seq(),
    public_id(36),
    Column("name", String(128), nullable=False),
    Column("safe_name", String(128), nullable=False, unique=True),
    Column("application_id", String(10), to("applications.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("team_id", String(10), to("teams.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("type_id", String(10), to("instance_types.id", ondelete="RESTRICT"), nullable=False),
    Column("stack_id", String(10), to("stacks.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("template_id", String(10), to("templates.id", ondelete="RESTRICT"), nullable=False),
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

# {"memory": 512, "cpu": 50, "tasks": 200, "disk": 1024, "networks": ["192.0.2.0/24"], "ports": ["tcp:1880"]}; what is
# missing is the type's.
instance_limits = Table(
    "instance_limits",
    metadata,
    Column("instance_id", String(36), to("instances.id"), primary_key=True),
    Column("limits", Text, nullable=False, default="{}"),
)

# A device is one instance's: the primary key says so.
device_leases = Table(
    "device_leases",
    metadata,
    Column("path", String(128), primary_key=True),
    Column("instance_id", String(36), to("instances.id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
)
