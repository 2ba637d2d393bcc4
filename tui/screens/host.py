"""The machine and the appliance on it: what it has, how it is, under which names it is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from appliance.schema.backups import Backups
from appliance.schema.box import BoxName, BoxNames, Machine
from appliance.schema.broker import BrokerStatus
from appliance.schema.instances import Instance
from appliance.schema.operations import WearReport
from tui import hostwords, keytable, platformkeys
from tui.cli.names import OWNERS, written
from tui.render import FACT_COLUMNS, Column, Piece
from tui.screens.details import fact_rows
from tui.screens.lists import FetchedScreen
from tui.screens.prompt import Question
from tui.signs import Kind
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp

AGAIN_S = 10.0
NAMES = "names"


class HostScreen(FetchedScreen):
    """Asked for again every ten seconds while it is looked at."""

    word = "host"
    columns: ClassVar[tuple[Column, ...]] = FACT_COLUMNS
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.HOST, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._machine: Machine | None = None
        self._names: list[BoxName] = []
        self._wear = WearReport(disk=None, instances=[])
        self._broker = BrokerStatus(enabled=False, running=False)
        self._backups: Backups | None = None  # for those who may see them

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(max(AGAIN_S, self.profile.status_s), self._again)

    def _again(self) -> None:
        if self.owner.screen is self and not self.known.lost and self.owner.live.somebody_there:
            self.refetch()

    async def fetch(self) -> None:
        client = self.owner.client
        self._machine = await client.get("/box/machine", Machine)
        self._names = (await client.get("/box/names", BoxNames)).names
        self._wear = await client.get("/box/wear", WearReport)
        self._broker = await client.get("/box/broker", BrokerStatus)
        self._backups = await client.get("/backups", Backups) if self.known.may("backup:list") else None

    def rows(self) -> Rows:
        if self._machine is None:
            return {}
        status = self.known.status
        facts = hostwords.of_machine(self._machine)
        if status is not None:
            facts = [("CPU", f"{status.host.cpu_percent:.0f}% busy", "plain"), *facts]
            facts += hostwords.of_broker(self._broker)
            facts += hostwords.of_backups(self._backups) if self._backups is not None else []
            facts += [*hostwords.of_operations(status, self._wear), *hostwords.of_appliance(status)]
        cells = self.size.width - 18
        rows = fact_rows(facts, cells, ascii_only=self.profile.ascii)
        for at, each in enumerate(self._names):
            shown = f"{written(each)}  ({OWNERS.get(each.source, each.source)})"
            text = fact_rows([("", shown)], cells, ascii_only=self.profile.ascii)["0.0"][1]
            rows[f"{NAMES}.{at}"] = [("reached as" if at == 0 else "", "key"), text]
        return rows

    def subject(self) -> list[Piece]:
        return super().subject() or [("the names are at the end: a adds one, x takes back one that was added", "dim")]

    def do_name(self) -> None:
        def answer(typed: str) -> None:
            if typed:
                work = self.owner.client.post("/box/names", {"name": typed})
                self.attempt(work, done=f"browsers may reach the box as {typed}", then=self.refetch)

        self.ask(Question("name or address, with the port where it differs: ", answer))

    def do_remove(self) -> None:
        each = self._chosen_name()
        if each is None:
            self.say("put the cursor on a name that was added, at the end of the list")
        elif each.source != "added":
            self.say(f"{written(each)} is there by {OWNERS.get(each.source, each.source)}", Kind.BAD)
        else:
            name = written(each)
            path = f"/box/names/{quote(name, safe='')}"
            done = f"{name} is taken back"
            self.confirm(
                name,
                "to refuse browsers that use it",
                lambda: self.attempt(self.owner.client.delete(path), done=done, then=self.refetch),
            )

    def _chosen_name(self) -> BoxName | None:
        group, _, at = (self.table.key or "").partition(".")
        return self._names[int(at)] if group == NAMES and int(at) < len(self._names) else None
