"""Personal access tokens of the user himself."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from appliance.schema.users import TokenCreated, TokenList, TokenSummary
from tui import keytable, people, platformkeys
from tui.cli.people_options import until
from tui.errors import BoxError
from tui.people import TeamLine
from tui.render import Column, Piece
from tui.screens.asking import SWITCH, Asked, AskScreen, Done, Values, needed
from tui.screens.details import Fact
from tui.screens.forms import Field
from tui.screens.objects import ObjectsScreen
from tui.screens.secret import SecretScreen
from tui.wire import decode

ALL = ""  # the choice that narrows to no team
SEVERAL = "several"  # a choice that stands for what is there


class TokensScreen(ObjectsScreen[TokenSummary]):
    """A token is shown once, when it is made."""

    word = "tokens"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("NAME", 22),
        Column("MAY", 15),
        Column("IN", 0),
        Column("ENDS", 16),
    )
    empty = "no tokens; c makes one"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.TOKENS, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    async def found(self) -> Iterable[tuple[str, TokenSummary]]:
        return [(each.id, each) for each in (await self.owner.client.get("/user/tokens", TokenList)).tokens]

    def cells(self, each: TokenSummary) -> list[Piece]:
        where = ", ".join(team.name for team in each.teams) or "all your teams"
        admin = ", as administrator" if each.admin_opt_in else ""
        return [
            (self.shown(each.name), "name"),
            ("look" if each.read_only else "look and change", "plain"),
            (self.shown(where + admin), "plain"),
            (self.shown((each.expires_at or "never")[:16].replace("T", " ")), "dim"),
        ]

    def do_create(self) -> None:
        self.run_worker(self._open(None), exit_on_error=False, name="teams")

    def do_edit(self) -> None:
        if (each := self.picked()) is not None:
            self.run_worker(self._open(each), exit_on_error=False, name="teams")

    async def _open(self, token: TokenSummary | None) -> None:
        try:
            teams = await people.teams(self.owner.client, everybodys=False)
        except BoxError as error:
            self.refused(error)
            return
        new = [Asked(Field("name", "Name", "what it is for"), needed("a name"))] if token is None else []
        asked = [
            *new,
            Asked(Field("expires", "Ends", "30d, 12h, 2027-01-31, or never"), wrong_end),
            Asked(Field("read", "Only look", "may change nothing", choices=SWITCH)),
            Asked(Field("team", "In", "what it is good for", choices=_choices(teams, token), chosen=True)),
            Asked(Field("admin", "Administrator", "with your rights on the box", choices=SWITCH)),
        ]

        async def send(given: Values) -> Done:
            return await self._send(token, given)

        title = f"token {token.name}" if token else "new token"
        self.owner.push_screen(AskScreen(self.owner, title, asked, send, values=_values(token)))

    async def _send(self, token: TokenSummary | None, given: Values) -> Done:
        client, body = self.owner.client, _body(given, None if token is None else _values(token))
        if token is None:
            made = decode(await client.post("/user/tokens", {"scope": "", **body}), TokenCreated)
            return Done(f"{made.name} is made", lambda: self._tell(made))
        if not body:
            return Done("nothing was changed")
        changed = decode(await client.put(f"/user/tokens/{token.id}", body), TokenSummary)
        return Done(f"{changed.name} is changed, in force at once")

    def _tell(self, made: TokenCreated) -> None:
        facts: list[Fact] = [
            ("name", made.name),
            ("token", made.token, "title"),
            ("ends", made.expires_at or "never"),
        ]
        self.owner.push_screen(SecretScreen(self.owner, facts, title="a new token"))

    def do_remove(self) -> None:
        if (each := self.picked()) is None:
            return
        self.delete(
            f"/user/tokens/{each.id}",
            name=each.name,
            what="to end the token at once",
            done=f"{each.name} is worth nothing any more",
        )


def wrong_end(text: str) -> str:
    """What is wrong with a time at which something ends."""
    try:
        until(text or "never")
    except ArgumentTypeError as error:
        return str(error)
    return ""


def milliseconds(text: str) -> int | None:
    """The time of a form on the wire: since the epoch; None for one that never comes."""
    found = until(text or "never")
    return int(found.timestamp() * 1000) if isinstance(found, datetime) else None


def _choices(teams: list[TeamLine], token: TokenSummary | None) -> tuple[tuple[str, str], ...]:
    kept = ((SEVERAL, f"{len(token.teams)} teams, as it is"),) if token and len(token.teams) > 1 else ()
    return ((ALL, "all your teams"), *((each.id, each.name) for each in teams), *kept)


def _values(token: TokenSummary | None) -> Values:
    if token is None:
        return {"expires": "30d"}
    team = SEVERAL if len(token.teams) > 1 else next((each.id for each in token.teams), ALL)
    return {
        "expires": token.expires_at or "never",
        "read": "on" if token.read_only else "off",
        "team": team,
        "admin": "on" if token.admin_opt_in else "off",
    }


def _body(given: Values, before: Values | None) -> dict[str, Any]:
    """What is asked of the box: all of it for a new one, else what changed."""
    wanted: dict[str, Any] = {
        "expires": ("expiresAt", milliseconds(given["expires"])),
        "read": ("readOnly", given["read"] == "on"),
        "team": ("teamIds", [given["team"]] if given["team"] != ALL else None),
        "admin": ("adminOptIn", given["admin"] == "on"),
    }
    body = dict(pair for key, pair in wanted.items() if before is None or given[key] != before[key])
    return body | ({"name": given["name"]} if before is None else {})
