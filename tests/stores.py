"""Real stores for tests: the schema is made once by the real migration and copied for each test."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS, open_box
from appliance.config import Config, Home
from appliance.events import Bus
from appliance.model import Desired, Role, Subject
from appliance.services.context import Context
from appliance.services.first_run import FirstRun, furnish
from appliance.store import catalogue, instances, teams, users
from appliance.store.engine import Store, Tx
from appliance.store.ids import new_id, new_instance_id
from appliance.store.migrate import ensure_schema


@cache
def _template() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="weir-template-"))
    ensure_schema(directory / "weir.db")
    return directory / "weir.db"


def fresh_database(path: Path) -> Path:
    """An empty database with the schema, at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_template(), path)
    return path


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


class Entries:
    """A recorder of audit entries that keeps them in a list instead of a table."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def record(
        self, tx: Tx, event: str, *, subject: Subject, scope_type: str, scope_id: str | None, **more: Any
    ) -> None:
        fields = {"subject": subject, "scope_type": scope_type, "scope_id": scope_id, **more}
        self.events.append((event, fields))

    def names(self) -> list[str]:
        return [event for event, _ in self.events]


async def fresh_context(root: Path, *, clock: Clock | None = None, config: Config | None = None) -> Context:
    """A context over a new home at `root`; close it with `await context.store.close()`."""
    home = Home(root)
    home.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    box = open_box(home.state / "box.key", database=home.database)
    fresh_database(home.database)
    bus = Bus()
    store = await Store.open(home.database, bus)
    return Context(store=store, bus=bus, clock=clock or Clock(), config=config or Config(), home=home, box=box)


async def furnished(context: Context) -> tuple[FirstRun, str]:
    """What the first start makes, and the id of one instance `plant` in it (number 7, editor below /admin)."""
    instance_id = new_instance_id()

    def work(tx: Tx) -> FirstRun:
        made = furnish(tx, context.config.first, "no password", context.now_ms())
        stack, (type_,), (template,) = (
            catalogue.newest_stack(tx),
            catalogue.types(tx),
            catalogue.all_templates(tx),
        )
        assert stack is not None
        new = instances.NewInstance(
            id=instance_id,
            name="plant",
            safe_name="plant",
            application_id=made.application_id,
            team_id=made.team_id,
            type_id=type_.id,
            stack_id=stack.id,
            template_id=template.id,
            desired=Desired.RUNNING,
            number=7,
            settings={"httpAdminRoot": "/admin"},
            sealed_credential_secret=context.box.seal(SEALED_FOR_CREDENTIALS, instance_id, "c" * 64),
            at=context.now_ms(),
        )
        instances.add(tx, new)
        return made

    return await context.store.write(work), instance_id


async def add_user(context: Context, username: str, roles: dict[str, Role], *, admin: bool = False) -> Subject:
    """Somebody with these roles by team id; nobody knows his password."""
    new = users.NewUser(
        id=new_id(),
        username=username,
        name=username,
        email=f"{username}@example.com",
        password_hash="none",
        admin=admin,
        default_team_id=None,
        created_at=context.now_ms(),
    )

    def work(tx: Tx) -> None:
        users.add(tx, new)
        for team_id, role in roles.items():
            teams.set_role(tx, team_id, new.id, role)

    await context.store.write(work)
    return Subject(kind="user", user_id=new.id, username=username, admin=admin)
