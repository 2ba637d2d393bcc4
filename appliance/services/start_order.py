"""After whom an instance is started: names become ids, and rings are refused."""

from __future__ import annotations

from typing import Any

from appliance.errors import Invalid
from appliance.services import supervision
from appliance.services.supervision import BROKER, MOST_AFTER
from appliance.store import instances
from appliance.store.engine import Tx
from appliance.store.instances import InstanceRow


def resolved(tx: Tx, row: InstanceRow, wanted: Any) -> list[str]:
    """The ids that are meant, each once. Raises Invalid: no list, no such instance in the team, or each would wait for
    the other."""
    if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted) or len(wanted) > MOST_AFTER:
        raise Invalid(
            "launcherSettings.startAfter is no list of instances.", hint=f"At most {MOST_AFTER} names or ids."
        )
    team = {each.id: each for each in instances.of_teams(tx, [row.team_id])}
    found = list(dict.fromkeys(BROKER if each == BROKER else _id(team, each) for each in wanted))
    _check_rings(team, row, found)
    return found


def _id(team: dict[str, InstanceRow], name: str) -> str:
    for each in team.values():
        if name == each.id or name.lower() in (each.name.lower(), each.safe_name):
            return each.id
    raise Invalid(f"There is no instance '{name[:80]}' in this team to start after.", hint="See: weir instance list")


def _check_rings(team: dict[str, InstanceRow], row: InstanceRow, wanted: list[str]) -> None:
    ahead, seen = list(wanted), set[str]()
    while ahead:
        each = ahead.pop()
        if each == row.id:
            hint = "Take one of them out of the ring: weir instance set NAME start-after=default"
            raise Invalid(f"'{row.name}' would wait for itself.", code="start_ring", hint=hint)
        if each in team and each not in seen:
            seen.add(each)
            ahead += supervision.effective(team[each].launcher_settings)["startAfter"]
