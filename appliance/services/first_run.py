"""What an empty database is furnished with at the first start, in one transaction."""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from appliance.config import First
from appliance.model import Role
from appliance.services.settings import DEFAULT_POLICY, DEFAULT_SETTINGS
from appliance.store import birth, team_types, teams, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.team_types import TeamTypeRow
from appliance.store.teams import ApplicationRow
from appliance.store.users import NewUser

ADMIN_NAME = "admin"
_ADMIN_EMAIL = "admin@localhost"

TEAM_TYPE = "starter"  # without limits
STACK = "node-red-5"
_STACK_LABEL = "Node-RED 5.0.7"
_STACK_PROPERTIES = {"nodered": "5.0.7", "node": "24", "memory": "256"}


class FirstRun(Struct, frozen=True):
    """What was made. `password` is the administrator's; `generated` says that nobody knows it yet."""

    username: str
    user_id: str
    team_id: str
    application_id: str
    password: str = ""
    generated: bool = False

    def with_password(self, password: str, *, generated: bool) -> FirstRun:
        return msgspec.structs.replace(self, password=password, generated=generated)


def furnish(tx: Tx, first: First, password_hash: str, now: int) -> FirstRun:
    """Add the first administrator, team with its type, application, instance type, stack and template."""
    made = FirstRun(username=ADMIN_NAME, user_id=new_id(), team_id=new_id(), application_id=new_id())
    users.add(
        tx,
        NewUser(
            id=made.user_id,
            username=ADMIN_NAME,
            name="Administrator",
            email=_ADMIN_EMAIL,
            password_hash=password_hash,
            admin=True,
            default_team_id=made.team_id,
            created_at=now,
        ),
    )
    kind = TeamTypeRow(new_id(), TEAM_TYPE, active=True, position=0, description="", properties={}, created_at=now)
    team_types.add(tx, kind)
    teams.add(tx, team_id=made.team_id, name=first.team, slug=slug(first.team), at=now, type_id=kind.id)
    teams.set_role(tx, made.team_id, made.user_id, Role.OWNER)
    teams.add_application(tx, ApplicationRow(made.application_id, made.team_id, first.application, "", now, now))
    _catalogue(tx, now)
    return made


def _catalogue(tx: Tx, now: int) -> None:
    type_id = new_id()
    birth.add_type(tx, type_id=type_id, name="Default", at=now)
    birth.add_stack(
        tx,
        stack_id=new_id(),
        type_id=type_id,
        name=STACK,
        label=_STACK_LABEL,
        properties=_STACK_PROPERTIES,
        at=now,
    )
    birth.add_template(
        tx, template_id=new_id(), name="Default", settings=DEFAULT_SETTINGS, policy=DEFAULT_POLICY, at=now
    )


def slug(name: str) -> str:
    """A team's name as it may stand in an address: lower case, `[a-z0-9-_]`, never empty or `create`."""
    made = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[:64]
    return made if made not in ("", "create") else f"team-{made}".strip("-")
