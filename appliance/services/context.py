"""What every service is given: the one composition of a box's lower parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from appliance.auth.secrets import BoxSecrets
from appliance.config import Config, Home
from appliance.events import Bus
from appliance.model import Subject
from appliance.store.engine import Store, Tx
from appliance.store.instances import InstanceRow
from appliance.store.values import to_ms

Clock = Callable[[], datetime]
Names = Callable[[], Sequence[str]]


def _loopback() -> Sequence[str]:
    return ("localhost",)


class Context(Struct, frozen=True):
    """`clock` answers aware UTC times; nothing below reads another clock for what it stores.

    `names` are the accepted names of the box as browsers write them, with the platform's port where it isn't 443.
    """

    store: Store
    bus: Bus
    clock: Clock
    config: Config
    home: Home
    box: BoxSecrets
    names: Names = _loopback

    def base_url(self) -> str:
        """The platform in a browser, by its first accepted name; no trailing slash."""
        return f"https://{self.names()[0].removesuffix(':443')}"

    def now_ms(self) -> int:
        """Now, as it is stored."""
        return to_ms(self.clock())


class Recorder(Protocol):
    """Writes an audit entry inside the transaction of what it tells of (`services.audit.Audit`)."""

    def record(
        self,
        tx: Tx,
        event: str,
        *,
        subject: Subject,
        scope_type: str,
        scope_id: str | None,
        team_id: str | None = None,
        instance_id: str | None = None,
        body: dict[str, Any] | None = None,
    ) -> None: ...


def record_of_instance(
    audit: Recorder, tx: Tx, event: str, subject: Subject, row: InstanceRow, told: dict[str, Any]
) -> None:
    """Write an entry into the log of an instance (and so of its team): which one, and what is `told` beside it."""
    audit.record(
        tx,
        event,
        subject=subject,
        scope_type="project",
        scope_id=row.id,
        team_id=row.team_id,
        instance_id=row.id,
        body={"project": {"id": row.id, "name": row.name}, **told},
    )
