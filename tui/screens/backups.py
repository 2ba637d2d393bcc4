"""Backups of the box: made, proven and removed here. Putting one back is for the box's own shell, with the box down."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from appliance.schema.backups import Backup, Backups, BackupSchedule, BackupWork
from appliance.schema.instances import Instance
from tui import keytable, platformkeys
from tui.errors import BoxError
from tui.render import Column, Piece
from tui.screens.asking import SWITCH, Asked, AskScreen, Done, Values, needed
from tui.screens.details import DetailsScreen, Fact
from tui.screens.forms import Field
from tui.screens.objects import ObjectsScreen
from tui.signs import Kind
from tui.text import age, size
from tui.wire import decode

if TYPE_CHECKING:
    from tui.app import WeirApp

WAIT_S = 5  # the answer comes as soon as it is done
_EVERY = (("off", "never"), ("hour", "every hour"), ("day", "every day"), ("week", "every week"))


class BackupsScreen(ObjectsScreen[Backup]):
    """The newest first. What is being done is told in the last line until it is done."""

    word = "backups"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("ID", 10),
        Column("MADE", 6, right=True),
        Column("SIZE", 8, right=True),
        Column("OPENS WITH", 13),
        Column("PROVEN", 8),
        Column("FILE", 0),
    )
    empty = "no backups yet; c makes one"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.BACKUPS, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._plan = BackupSchedule()

    async def found(self) -> Iterable[tuple[str, Backup]]:
        listed = await self.owner.client.get("/backups", Backups)
        self._plan = listed.schedule
        return [(each.id, each) for each in listed.backups]

    def cells(self, each: Backup) -> list[Piece]:
        now = datetime.now(UTC)
        proven: Piece = (age(each.verified_at, now), "plain") if each.verified_at else ("never", "dim")
        return [
            (each.id, "name"),
            (age(each.made_at, now), "plain"),
            (size(each.size_bytes), "plain"),
            (_opens(each), "plain"),
            ("failed", Kind.BAD) if each.verify_error else proven,
            (self.shown(each.file), "dim"),
        ]

    def do_show(self) -> None:
        if (each := self.picked()) is None:
            return
        facts: list[Fact] = [
            ("file", each.file),
            ("made", f"{each.made_at}, {'by the schedule' if each.scheduled else 'by hand'}"),
            ("size", f"{size(each.size_bytes)}, {each.instances} instances, {each.files} files"),
            ("opens with", "its passphrase" if each.passphrase else "\n".join(each.recipients)),
            ("modules", "with installed modules" if each.packages else "a restore installs modules anew"),
            ("proven", each.verify_error or each.verified_at or "never: v does"),
            ("not whole", "\n".join(each.lacks) or "nothing is missing"),
            ("made by", f"Weir {each.version}, schema {each.schema}"),
            ("put back", f"weir backup restore {each.file}   (on the box, as root)"),
        ]
        self.owner.push_screen(DetailsScreen(self.owner, facts, title=each.id))

    def do_create(self) -> None:
        asked = [
            Asked(Field("passphrase", "Passphrase", "empty: the key of the box's backups", secret=True)),
            Asked(Field("packages", "Modules too", "a restore needs no network then", choices=SWITCH)),
            Asked(Field("target", "Where", "a folder, mount:FOLDER, rclone:REMOTE:PATH; empty: the box's own")),
        ]
        plan = self._plan

        async def send(given: Values) -> Done:
            body = {"passphrase": given["passphrase"], "packages": given["packages"] == "on", "target": given["target"]}
            work = decode(await self.owner.client.post("/backups", body), BackupWork)
            return Done(work.step, self._follow)

        values = {"packages": "on" if plan.packages else "off", "target": plan.target, "passphrase": ""}
        self.owner.push_screen(AskScreen(self.owner, "new backup", asked, send, values=values))

    def do_verify(self) -> None:
        if (each := self.picked()) is None:
            return
        name = "passphrase" if each.passphrase else "key"
        text = "the one that it was made with" if each.passphrase else "AGE-SECRET-KEY-1…"
        asked = [Asked(Field(name, name.capitalize(), text, secret=True), needed(f"the {name}"))]

        async def send(given: Values) -> Done:
            work = decode(await self.owner.client.post(f"/backups/{each.id}/verify", dict(given)), BackupWork)
            return Done(work.step, self._follow)

        self.owner.push_screen(AskScreen(self.owner, f"prove {each.id}", asked, send))

    def do_schedule(self) -> None:
        plan = self._plan
        asked = [
            Asked(Field("every", "Every", "how often one is made", choices=_EVERY)),
            Asked(Field("at", "At", "HH:MM in the box's time zone"), needed("a time")),
            Asked(Field("keep", "Keep", "older ones are deleted"), _wrong_number),
            Asked(Field("packages", "Modules too", "a restore needs no network then", choices=SWITCH)),
            Asked(Field("target", "Where", "a folder, mount:FOLDER, rclone:REMOTE:PATH; empty: the box's own")),
        ]

        async def send(given: Values) -> Done:
            body: dict[str, Any] = {**given, "keep": int(given["keep"]), "packages": given["packages"] == "on"}
            changed = decode(await self.owner.client.put("/backups/schedule", body), BackupSchedule)
            return Done(f"the next backup: {changed.next_at or 'when somebody asks'}", self.refetch)

        values = {"every": plan.every, "at": plan.at, "keep": str(plan.keep), "target": plan.target}
        values["packages"] = "on" if plan.packages else "off"
        self.owner.push_screen(AskScreen(self.owner, "schedule of backups", asked, send, values=values))

    def do_remove(self) -> None:
        if (each := self.picked()) is None:
            return
        self.delete(
            f"/backups/{each.id}",
            name=each.id,
            what="to delete the backup with its file",
            done=f"{each.id} is deleted with its file",
        )

    def _follow(self) -> None:
        # In a group of its own: an exclusive worker would end the one that asks for the list.
        self.run_worker(self._followed(), group="backup", exclusive=True, exit_on_error=False)

    async def _followed(self) -> None:
        """Tell how it goes until it is done; the box answers at once then."""
        try:
            while True:
                work = await self.owner.client.get(f"/backups/work?wait={WAIT_S}", BackupWork)
                if not work.running:
                    break
                self.say(f"{work.fraction:.0%} {work.step}")
        except BoxError as error:
            self.refused(error)
            return
        if work.error is not None:
            self.say(f"{work.error} {work.hint or ''}".strip(), Kind.BAD)
        else:
            good = "the backup is good: it was restored and started"
            self.say("the backup is made" if work.kind == "create" else good)
        self.refetch()


def _opens(each: Backup) -> str:
    return "passphrase" if each.passphrase else f"{each.recipients[0][:12]}…" if each.recipients else ""


def _wrong_number(text: str) -> str:
    return "" if text.isdecimal() and 1 <= int(text) <= 1000 else "a number from 1 to 1000"
