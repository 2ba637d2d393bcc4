"""A box of two teams, for tests of what one may do to the other."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

from appliance.model import Role
from appliance.schema.instances import CreateInstance
from appliance.schema.snapshots import CreateSnapshot
from appliance.schema.users import CreateApplication
from appliance.web.route import Route
from tests.people_box import Caller
from tests.web_box import WebBox


class Place:
    """Two teams with an instance and a snapshot each; `owner` owns the first, `root` may all."""

    def __init__(self, box: WebBox) -> None:
        self.box = box
        self.root = Caller(box, None, "api")

    def dump(self) -> list[str]:
        """All that the database holds."""
        with (
            closing(sqlite3.connect(f"file:{self.box.context.home.database}?mode=ro", uri=True)) as connection,
            connection,
        ):
            try:
                return list(connection.iterdump())
            finally:
                connection.commit()

    async def furnish(self) -> None:
        services = self.box.services
        first = await self.box.instance("mine")
        team = (await self.root.ok("POST", "/teams", {"name": "Other"}))["id"]
        made = await services.teams.create_application(self.box.root, CreateApplication(name="o", team_id=team))
        other = await services.instances.create(self.box.root, CreateInstance(name="theirs", application_id=made.id))
        self.first, self.other, self.other_team, self.other_application = first, other, team, made.id
        self.snapshot = (await services.snapshots.create(self.box.root, first.id, CreateSnapshot(name="s"))).id
        self.foreign = (await services.snapshots.create(self.box.root, other.id, CreateSnapshot(name="t"))).id
        user = await self.box.person("owner", Role.OWNER)
        self.owner = Caller(self.box, await self.box.token(user), "tcp", user)

    def path(self, route: Route, **values: str) -> str:
        """The route's path with ids of what is there."""
        at = {"application": self.first.application.id, "snapshot": self.snapshot, "team": self.first.team["id"]}
        thing = at.get(route.on) or (self.first.id if "/teams" not in route.path else at["team"])
        named = {"id": thing, "snapshot": self.snapshot, **values}
        return re.sub(r"{(\w+)}", lambda match: named.get(match[1], "nowhere"), route.plain_path)
