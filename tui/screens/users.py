"""Accounts of people, for administrators."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, ClassVar

from appliance.schema.users import Recovery, User, UserTeams
from tui import keytable, people, platformkeys
from tui.cli.people_options import ROLES
from tui.errors import BoxError
from tui.people import role_name
from tui.render import Column, Piece
from tui.screens.asking import SWITCH, Asked, AskScreen, Done, Values, needed
from tui.screens.details import DetailsScreen, Fact
from tui.screens.forms import Field
from tui.screens.objects import ObjectsScreen
from tui.screens.secret import SecretScreen
from tui.signs import Kind
from tui.wire import decode

NO_TEAM = ""


class UsersScreen(ObjectsScreen[User]):
    """All accounts. Passwords are never typed here: a new user gets a code with which he sets his own."""

    word = "users"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("USER", 18),
        Column("NAME", 0),
        Column("E-MAIL", 0, spare=1),
        Column("", 14),
    )
    empty = "nobody has an account"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.USERS, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    async def found(self) -> Iterable[tuple[str, User]]:
        return [(each.id, each) for each in await people.users(self.owner.client)]

    def cells(self, each: User) -> list[Piece]:
        return [
            (self.shown(each.username), "name"),
            (self.shown(each.name), "plain"),
            (self.shown(each.email), "dim"),
            (marks(each), Kind.BAD if each.suspended else "plain"),
        ]

    def do_show(self) -> None:
        if (each := self.picked()) is not None:
            self.run_worker(self._show(each), exit_on_error=False, name="user")

    async def _show(self, each: User) -> None:
        try:
            teams = (await self.owner.client.get(f"/users/{each.id}/teams", UserTeams)).teams
        except BoxError as error:
            self.refused(error)
            return
        facts: list[Fact] = [
            ("user", each.username),
            ("name", each.name),
            ("e-mail", each.email),
            ("rights", marks(each) or "a plain user"),
            ("password", "must be changed at the next login" if each.password_expired else "set"),
            ("created", each.createdAt),
            ("id", each.id),
            ("teams", "\n".join(f"{team.name} ({role_name(team.role)})" for team in teams) or "none"),
        ]
        self.owner.push_screen(DetailsScreen(self.owner, facts, title=each.username))

    def do_keys(self) -> None:
        from tui.screens.ssh_keys import SshKeysScreen

        if (each := self.picked()) is not None:
            self.owner.push_screen(SshKeysScreen(self.owner, user=each))

    # -- make and change ----------------------------------------------------------------------------
    def do_create(self) -> None:
        self.run_worker(self._open_new(), exit_on_error=False, name="teams")

    async def _open_new(self) -> None:
        try:
            teams = await people.teams(self.owner.client, everybodys=True)
        except BoxError as error:
            self.refused(error)
            return
        roles = tuple((str(number), word) for word, number in ROLES.items())
        of = ((NO_TEAM, "none"), *((each.id, each.name) for each in teams))
        asked = [
            Asked(Field("username", "User name", "1 to 64 of a-z 0-9 _ and -"), needed("a user name")),
            Asked(Field("name", "Name", "as people call him")),
            Asked(Field("email", "E-mail", "also good for logging in")),
            Asked(Field("admin", "Administrator", "of the whole box", choices=SWITCH)),
            Asked(Field("team", "Member of", choices=of, chosen=True)),
            Asked(Field("role", "Role there", choices=roles)),
            Asked(Field("own", "Own team", "a team of his own", choices=SWITCH)),
        ]
        self.owner.push_screen(
            AskScreen(self.owner, "new user", asked, self._create, values={"role": str(ROLES["member"])})
        )

    async def _create(self, given: Values) -> Done:
        client = self.owner.client
        body = {
            "username": given["username"],
            "name": given["name"] or given["username"],
            "email": given["email"],
            "password": secrets.token_urlsafe(24),  # nobody ever knows it
            "isAdmin": given["admin"] == "on",
            "createDefaultTeam": given["own"] == "on",
        }
        made = decode(await client.post("/users", body), User)
        missing = ""
        try:
            if given["team"] != NO_TEAM:
                path = f"/teams/{given['team']}/members"
                await client.post(path, {"user": made.id, "role": int(given["role"])})
        except BoxError as error:
            missing = f", but is no member: {error.message}"
        try:
            recovery = decode(await client.post(f"/users/{made.id}/reset-password"), Recovery)
        except BoxError as error:
            return Done(f"{made.username} has an account{missing}, without a code for the password: {error.message}")
        return Done(f"{made.username} has an account{missing}", lambda: self._tell(recovery))

    def do_edit(self) -> None:
        if (each := self.picked()) is None:
            return
        before = {"username": each.username, "name": each.name, "email": each.email}
        before["expired"] = "on" if each.password_expired else "off"
        asked = [
            Asked(Field("username", "User name", "1 to 64 of a-z 0-9 _ and -"), needed("a user name")),
            Asked(Field("name", "Name", "as people call him")),
            Asked(Field("email", "E-mail", "also good for logging in")),
            Asked(Field("expired", "New password", "must be set at the next login", choices=SWITCH)),
        ]

        async def send(given: Values) -> Done:
            body: dict[str, Any] = {key: value for key, value in given.items() if value != before[key]}
            if "expired" in body:
                body["password_expired"] = body.pop("expired") == "on"
            if not body:
                return Done("nothing was changed")
            changed = decode(await self.owner.client.put(f"/users/{each.id}", body), User)
            return Done(f"{changed.username} is changed")

        self.owner.push_screen(AskScreen(self.owner, f"user {each.username}", asked, send, values=before))

    def do_suspend(self) -> None:
        if (each := self.picked()) is None:
            return

        def go() -> None:
            said = "may log in again" if each.suspended else "is kept out: sessions, editors and tokens"
            body = {"suspended": not each.suspended}
            self.change(self.owner.client.put(f"/users/{each.id}", body), f"{each.username} {said}")

        if each.suspended:
            go()
        else:
            self.confirm(each.username, "to keep the user out at once", go)

    def do_admin(self) -> None:
        if (each := self.picked()) is None:
            return

        def go() -> None:
            said = "is a plain user" if each.admin else "is an administrator"
            body = {"admin": not each.admin}
            self.change(self.owner.client.put(f"/users/{each.id}", body), f"{each.username} {said}")

        what = "to make a plain user of this administrator" if each.admin else "to give all rights on the box"
        self.confirm(each.username, what, go)

    def do_password(self) -> None:
        if (each := self.picked()) is None:
            return

        def go() -> None:
            self.run_worker(self._reset(each), exit_on_error=False, name="code for a password")

        self.confirm(each.username, "to get a code for a new password", go)

    async def _reset(self, each: User) -> None:
        try:
            answer = await self.owner.client.post(f"/users/{each.id}/reset-password")
            self._tell(decode(answer, Recovery))
        except BoxError as error:
            self.refused(error)

    def _tell(self, recovery: Recovery) -> None:
        facts: list[Fact] = [
            ("user", recovery.user.username),
            ("code", recovery.token, "title"),
            ("typed at", recovery.url),
            ("good until", f"{recovery.expires_at[:16].replace('T', ' ')} UTC, once"),
        ]
        self.owner.push_screen(SecretScreen(self.owner, facts, title="a new password"))

    def do_remove(self) -> None:
        if (each := self.picked()) is None:
            return
        self.delete(
            f"/users/{each.id}",
            name=each.username,
            what="to delete the account with its tokens",
            done=f"{each.username} is deleted",
        )


def marks(user: User) -> str:
    """What is special about an account."""
    words = (("administrator", user.admin), ("suspended", user.suspended))
    return ", ".join(word for word, holds in words if holds)
