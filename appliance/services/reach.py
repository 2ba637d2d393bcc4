"""Which teams a subject reaches."""

from __future__ import annotations

from appliance.model import Role, Subject
from appliance.store import instances
from appliance.store.engine import Tx


def teams_of(tx: Tx, subject: Subject, *, least_role: Role = Role.DASHBOARD) -> set[str] | None:
    """The teams in which the subject has at least this role; None means all teams of the box."""
    if subject.admin or subject.kind == "system":
        return set(subject.team_ids) if subject.team_ids is not None else None
    if subject.kind != "user" or subject.user_id is None:
        return {subject.team_id} if subject.team_id else set()
    own = instances.teams_of_user(tx, subject.user_id, least_role=least_role)
    return own if subject.team_ids is None else own & subject.team_ids
