"""What the type of a team allows it to have. Inside the transaction that would add something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from appliance.errors import Invalid
from appliance.model import Desired
from appliance.services.members import existing_team
from appliance.services.team_types import limit
from appliance.store import instances, team_types
from appliance.store.engine import Tx
from appliance.store.instances import InstanceRow
from appliance.store.team_types import TeamTypeRow

_ASK = "Ask an administrator for another type of team, or delete an instance."


def check_instance(tx: Tx, team_id: str, type_id: str) -> None:
    """Return if the team may have one more instance of this type.

    A type of teams that names no instance types allows all of them; one that names some, those that are active there.
    Raises Invalid: `invalid_project_type`, `instance_limit_reached`; and while the team is suspended.
    """
    team = existing_team(tx, team_id)
    if team.suspended:
        raise Invalid(
            "The team is suspended.", code="invalid_team", hint="Resume it: weir team edit TEAM --suspended off"
        )
    kind = team_types.get(tx, team.type_id) if team.type_id else None
    if kind is None:
        return
    rows = [row for row in instances.of_teams(tx, [team_id]) if row.desired is not Desired.DELETING]
    _check_count(kind.name, "instances", len(rows), limit(kind.properties, "runtimes", "limit"))
    _check_type(kind, type_id, rows)


def check_type(tx: Tx, team_id: str, type_id: str) -> None:
    """Return if an instance that the team has may become one of this type. Raises Invalid as `check_instance`."""
    team = existing_team(tx, team_id)
    kind = team_types.get(tx, team.type_id) if team.type_id else None
    if kind is not None:
        _check_type(kind, type_id, instances.of_teams(tx, [team_id]))


def _check_type(kind: TeamTypeRow, type_id: str, rows: Sequence[InstanceRow]) -> None:
    named: dict[str, Any] = kind.properties.get("instances") or {}
    if not named:
        return
    rule = named.get(type_id)
    if not isinstance(rule, dict) or not rule.get("active") or rule.get("creatable") is False:
        raise Invalid(
            f"Teams of the type '{kind.name}' make no instances of this type.", code="invalid_project_type", hint=_ASK
        )
    of_type = sum(row.type_id == type_id for row in rows)
    _check_count(kind.name, "instances of this type", of_type, limit(named, type_id, "limit"))


def _check_count(kind: str, what: str, has: int, most: int | None) -> None:
    if most is not None and has >= most:
        raise Invalid(
            f"A team of the type '{kind}' has at most {most} {what}.", code="instance_limit_reached", hint=_ASK
        )
