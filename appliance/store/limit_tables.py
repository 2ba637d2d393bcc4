"""Tables of what single instances may take of the box; see `tables` for the conventions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text

from appliance.store.tables import metadata

# {"memory": 512, "cpu": 50, "tasks": 200, "disk": 1024, "networks": ["192.0.2.0/24"]}; what is missing is the type's.
instance_limits = Table(
    "instance_limits",
    metadata,
    Column("instance_id", String(36), ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True),
    Column("limits", Text, nullable=False, default="{}"),
)

# A device is one instance's: the primary key says so.
device_leases = Table(
    "device_leases",
    metadata,
    Column("path", String(128), primary_key=True),
    Column("instance_id", String(36), ForeignKey("instances.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
)
