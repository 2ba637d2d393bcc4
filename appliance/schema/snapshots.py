"""Snapshots: what an instance was at some time, and the file it travels in (platform model §7)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Raw, field

from appliance.schema.common import Body, Meta, Wire
from appliance.schema.users import ApplicationSummary, UserSummary


def _nothing() -> Raw:
    return Raw(b"null")


class Snapshot(Wire):
    """`automatic`: made by Weir before a rollback, so that it can be undone. `bytes` is the size of its flows."""

    id: str
    name: str
    description: str
    created_at: str
    updated_at: str
    project_id: str
    project: dict[str, Any]
    owner_type: str = "instance"
    user: UserSummary | None = None
    modules: dict[str, str] = {}
    automatic: bool = False
    bytes: int = 0


class Snapshots(Wire):
    """Newest first."""

    meta: Meta
    count: int
    snapshots: list[Snapshot]


class ApplicationSnapshots(Wire):
    """`GET /applications/:id/snapshots`: those of all its instances, newest first."""

    count: int
    snapshots: list[Snapshot]
    application: ApplicationSummary


class SnapshotFlows(Wire, omit_defaults=True):
    """`credentials` is `{"$": …}`, encrypted with the secret that was given; absent where nobody may have them."""

    flows: Raw
    credentials: dict[str, Any] | None = None


class SnapshotSettings(Wire):
    """`env` by name: a text, or `{hidden, value}`, in a file `{hidden, $}`."""

    settings: dict[str, Any] = {}
    env: dict[str, Any] = {}
    modules: dict[str, str] = {}


class FullSnapshot(Snapshot, kw_only=True):
    """Without credentials, hidden values and passwords."""

    flows: SnapshotFlows
    settings: SnapshotSettings


class ExportedSnapshot(FullSnapshot, kw_only=True):
    """The file. `secret_check` tells a wrong secret from the right one; others need not write it."""

    exported_by: UserSummary | None = None
    secret_check: str | None = None


class CreateSnapshot(Body):
    """Of what the platform has stored, unless `flows` come with it: nodes, or `{flows, credentials}`."""

    name: str = ""
    description: str = ""
    flows: Raw = field(default_factory=_nothing)
    credentials: Raw = field(default_factory=_nothing)
    credential_secret: str | None = None
    settings: dict[str, Any] | None = None
    set_as_target: bool = False  # of remote instances, which this box does not have


class ChangeSnapshot(Body):
    """What is left out stays."""

    name: str | None = None
    description: str | None = None


class Components(Body):
    """Which parts of a snapshot travel."""

    flows: bool = True
    credentials: bool = True
    env_vars: Literal["all", "keys", False] = "all"


class ExportSnapshot(Body):
    """Credentials, and the values of hidden variables, are encrypted with `credential_secret`."""

    credential_secret: str | None = None
    components: Components | None = None


class ImportSnapshot(Body, kw_only=True):
    """`snapshot` is the file: name, flows and settings must be there."""

    owner_id: str
    snapshot: dict[str, Raw]
    owner_type: str = "instance"
    credential_secret: str | None = None
    components: Components | None = None


class Rollback(Body):
    """`POST /projects/:id/actions/rollback`."""

    snapshot: str
