"""Every table of Weir's database, for SQLite and PostgreSQL alike, a module per subject.

Conventions: `seq` orders rows and is the paging cursor; `id` is the public, opaque name of a row. Times are
milliseconds since the epoch, UTC. JSON is text written by msgspec. Secrets are kept as SHA-256 or argon2 hashes,
never in clear, except those that must be used again, which are sealed with the box key (`sealed_…`).
"""

from __future__ import annotations

from appliance.store.tables.access import oauth_clients, oauth_requests, tokens
from appliance.store.tables.base import metadata
from appliance.store.tables.contents import kept_deploys, library, snapshots, storage, team_library
from appliance.store.tables.groups import applications, invitations, memberships, team_types, teams
from appliance.store.tables.hosting import (
    device_leases,
    instance_limits,
    instance_types,
    instances,
    stacks,
    templates,
)
from appliance.store.tables.people import notifications, sessions, ssh_keys, users
from appliance.store.tables.records import audit, box

__all__ = [
    "applications",
    "audit",
    "box",
    "device_leases",
    "instance_limits",
    "instance_types",
    "instances",
    "invitations",
    "kept_deploys",
    "library",
    "memberships",
    "metadata",
    "notifications",
    "oauth_clients",
    "oauth_requests",
    "sessions",
    "snapshots",
    "ssh_keys",
    "stacks",
    "storage",
    "team_library",
    "team_types",
    "teams",
    "templates",
    "tokens",
    "users",
]
