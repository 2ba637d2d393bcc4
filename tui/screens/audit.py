"""Who did what in a team or on the platform, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

import msgspec

from appliance.schema.audit import AuditEntry, AuditPage
from appliance.schema.instances import Instance
from tui import keytable, people, platformkeys, savefile
from tui.errors import BoxError
from tui.people import TeamLine
from tui.render import Column, Piece
from tui.screens.details import DetailsScreen, Fact
from tui.screens.history import about
from tui.screens.objects import ObjectsScreen
from tui.screens.prompt import Question
from tui.signs import Kind
from tui.text import parse_time, plural
from tui.times import moment

if TYPE_CHECKING:
    from tui.app import WeirApp

PAGE = 100
MOST_SAVED = 1000  # what the box gives at once
PLATFORM = "platform"


class AuditScreen(ObjectsScreen[AuditEntry]):
    """Of a team; of the platform for administrators. What is asked for (event, user, since) is said below the list."""

    word = "audit"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("TIME", 14),
        Column("WHO", 12),
        Column("EVENT", 24),
        Column("ABOUT", 0),
    )
    empty = "nothing of that is recorded"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.AUDIT, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = (), *, team: TeamLine | None = None) -> None:
        super().__init__(owner, about)
        self.team = team
        self.teams: list[TeamLine] = []
        self._of_platform: bool | None = None if team is None else False  # None: not decided yet
        self._wanted_team = ""
        self._events: list[str] = []
        self._user = ""
        self._since: datetime | None = None
        self._older: str | None = None
        self._fetching_older = False

    # -- asking -------------------------------------------------------------------------------------
    def named(self, rest: str) -> None:
        self._wanted_team = rest
        self.refetch()

    def label(self) -> str:
        if self._of_platform:
            return f"{self.word} {PLATFORM}"
        return f"{self.word}{f' {self.team.slug}' if self.team else ''}"

    async def fetch(self) -> None:
        await self._choose()
        while (page := await self._page()) is None:
            pass
        kept = {} if not self.items else self.items
        newest = {each.id: each for each in page.log}
        together = not kept or not newest or next(reversed(newest)) in kept or page.meta.next_cursor is None
        if not kept or not together:
            self._older = page.meta.next_cursor
            kept = {}
        self.items = newest | {key: each for key, each in kept.items() if key not in newest}
        self._cut()

    async def _choose(self) -> None:
        """Which log: the one that was asked for, else that of the first team that lets the user look."""
        may, rights = self.known.may, self.known.rights
        if self._of_platform is not None and not self._wanted_team:
            return
        self.teams = [
            each
            for each in await people.teams(self.owner.client, everybodys=may("team:list"))
            if rights.may("team:audit-log", each.id)
        ]
        wanted, self._wanted_team = self._wanted_team, ""
        if wanted == PLATFORM or (not wanted and not self.teams and may("platform:audit-log")):
            self._of_platform, self.team = True, None
        else:
            found = [each for each in self.teams if not wanted or wanted in (each.slug, each.name, each.id)]
            if not found:
                said = f"there is no team '{wanted}' whose audit log you may see" if wanted else "no team's audit log"
                raise BoxError(said if wanted else f"you may see {said}", hint="Owners of a team may.")
            self._of_platform, self.team = False, found[0]
        self.items = {}

    def _path(self) -> str:
        return "/admin" if self._of_platform else f"/teams/{self.team.id if self.team else ''}"

    def _query(self, limit: int, cursor: str | None = None) -> str:
        query = [("limit", str(limit)), *(("event", each) for each in self._events)]
        query += [("username", self._user)] if self._user else []
        query += [("cursor", cursor)] if cursor else []
        return urlencode(query)

    async def _page(self, cursor: str | None = None) -> AuditPage | None:
        """None when people ask for something else by now: rows of the one must not get among those of the other."""
        asked = self._path(), self._query(PAGE)
        page = await self.owner.client.get(f"{asked[0]}/audit-log?{self._query(PAGE, cursor)}", AuditPage)
        return page if asked == (self._path(), self._query(PAGE)) else None

    def _cut(self) -> None:
        """What is older than asked for goes, and nothing older is asked for then."""
        if self._since is None:
            return
        kept = {key: each for key, each in self.items.items() if _at(each) >= self._since}
        if len(kept) < len(self.items):
            self.items, self._older = kept, None

    def _again(self) -> None:
        """Something else is asked for."""
        self.items = {}
        self.fetched = False
        self.repaint()
        self.refetch()

    # -- showing ------------------------------------------------------------------------------------
    async def found(self) -> Iterable[tuple[str, AuditEntry]]:
        return self.items.items()

    def cells(self, each: AuditEntry) -> list[Piece]:
        at = parse_time(each.created_at)
        return [
            (f"{at.astimezone():%m-%d %H:%M:%S}" if at else self.shown(each.created_at[:14]), "dim"),
            (self.shown(each.trigger.name or each.trigger.type), "name"),
            (self.shown(each.event), "plain"),
            (self.shown(about(each.body)), "plain"),
        ]

    def subject(self) -> list[Piece]:
        said = super().subject()
        asked = [*self._events, *([f"by {self._user}"] if self._user else [])]
        asked += [f"since {self._since.astimezone():%Y-%m-%d %H:%M}"] if self._since else []
        more = "; o or the last line asks for older ones" if self._older else "; that is all"
        count = f"{plural(len(self.items), 'entry').replace('entrys', 'entries')}{more if self.fetched else ''}"
        return said or [(f"{', '.join(asked)}  " if asked else "", "key"), (count, "dim")]

    def do_show(self) -> None:
        if (each := self.picked()) is None:
            return
        facts: list[Fact] = [
            ("time", each.created_at),
            ("event", each.event),
            ("who", f"{each.trigger.name or each.trigger.type} ({each.trigger.type})"),
            ("by way of", each.source or ""),
            ("where", f"{each.scope.type} {each.scope.id or ''}"),
            ("about", "\n".join(lines_of(each.body))),
            ("id", each.id),
        ]
        self.owner.push_screen(DetailsScreen(self.owner, facts, title=each.event))

    def on_table_moved(self) -> None:
        super().on_table_moved()
        if self.table.key in self.table.keys[-1:] and len(self.items) > 1:
            self._ask_older()

    # -- filters ------------------------------------------------------------------------------------
    def do_event(self) -> None:
        known = sorted({each.event for each in self.items.values()})

        def answer(typed: str) -> None:
            self._events = typed.replace(",", " ").split()
            self._again()

        before = " ".join(self._events) or (self.chosen.event if self.chosen else "")
        question = Question(
            "events, none for all: ",
            answer,
            offers=lambda typed: [each for each in known if each.startswith(typed)],
        )
        self.ask(question, before)

    def do_who(self) -> None:
        known = sorted({each.trigger.name for each in self.items.values() if each.trigger.type == "user"})

        def answer(typed: str) -> None:
            self._user = typed
            self._again()

        at_cursor = self.chosen.trigger.name if self.chosen and self.chosen.trigger.type == "user" else ""
        question = Question(
            "user, none for all: ", answer, offers=lambda typed: [each for each in known if each.startswith(typed)]
        )
        self.ask(question, self._user or at_cursor)

    def do_since(self) -> None:
        def answer(typed: str) -> None:
            found = since(typed, datetime.now().astimezone()) if typed else None
            if typed and found is None:
                self.say(f"'{typed}' is no time: say 14:05, 2026-11-23, 2026-11-23 14:05 or 3d", Kind.BAD)
                return
            self._since = found
            self._again()

        self.ask(Question("back to (14:05, 2026-11-23, 3d; none for all): ", answer))

    def do_scope(self) -> None:
        slugs = [each.slug for each in self.teams]
        words = [*slugs, *([PLATFORM] if self.known.may("platform:audit-log") else [])]

        def answer(typed: str) -> None:
            if typed:
                self._wanted_team = typed
                self._again()

        question = Question(
            "whose log: ", answer, offers=lambda typed: [each for each in words if each.startswith(typed)]
        )
        self.ask(question)

    # -- older entries, and a file ------------------------------------------------------------------
    def do_older(self) -> None:
        if self._older is None:
            self.say("there is nothing older")
        else:
            self._ask_older()

    def _ask_older(self) -> None:
        if self._older and not self._fetching_older:
            self._fetching_older = True
            self.run_worker(self._fetch_older(self._older), exit_on_error=False, name="older audit")

    async def _fetch_older(self, cursor: str) -> None:
        try:
            page = await self._page(cursor)
        except BoxError as error:
            self.refused(error)
        else:
            if page is not None and self._older == cursor:  # something else may be asked for by now
                self._older = page.meta.next_cursor
                self.items |= {each.id: each for each in page.log}
                self._cut()
            self.repaint()
        finally:
            self._fetching_older = False

    def do_save(self) -> None:
        if not self.profile.files:
            self.say("files of the box are not written from here; weir audit --csv prints them", Kind.BAD)
            return
        of = PLATFORM if self._of_platform else (self.team.slug if self.team else "")
        name = f"audit-{of}-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv"
        self.ask(Question("save as: ", self._save), name)

    def _save(self, typed: str) -> None:
        if typed:
            path = Path(typed).expanduser()
            self.attempt(self._write(path), done=f"the newest {MOST_SAVED} entries at most are in {path}")

    async def _write(self, path: Path) -> None:
        """Without `since`, which the box does not know: a file for other programs is rather too long than too short."""
        found = await self.owner.client.read(f"{self._path()}/audit-log/export?{self._query(MOST_SAVED)}")
        await savefile.new_file(path, found.decode("utf-8", "replace").replace("\r\n", "\n"))


def lines_of(body: Mapping[str, Any], prefix: str = "") -> list[str]:
    """A body as lines: `team.name: Home`."""
    found: list[str] = []
    for key, value in body.items():
        if isinstance(value, dict) and value:
            found += lines_of(value, f"{prefix}{key}.")
        else:
            shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            found.append(f"{prefix}{key}: {shown}")
    return found


def since(typed: str, now: datetime) -> datetime | None:
    """A time as people type it, also a day alone; None when it is not understood."""
    try:
        day = datetime.strptime(typed.strip(), "%Y-%m-%d").replace(tzinfo=now.tzinfo)
    except ValueError:
        return moment(typed, now)
    return day


def _at(each: AuditEntry) -> datetime:
    """An entry without a time that can be read counts as the newest."""
    return parse_time(each.created_at) or datetime.max.replace(tzinfo=UTC)
