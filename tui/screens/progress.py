"""Something that takes several steps: which one it is at, how long each took, and why it stopped."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from appliance.schema.instances import Instance
from tui.errors import BoxError
from tui.loglines import WRONG, Entries, entry, lines
from tui.render import Column, Piece
from tui.screens.lists import ListScreen
from tui.signs import BAD, Kind
from tui.text import visible, wrapped
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp

SIGNS = {"wait": (" ", "dim"), "now": ("~", Kind.CHANGING), "done": ("+", Kind.UP), "failed": ("x", Kind.BAD)}
SHOWN_LINES = 8
STARTING = ("launcher starts", "modules are installed", "Node-RED loads", "flows start")
STATES = {"starting": 0, "installing": 1, "loading": 2, "running": 4}


class Steps:
    """Named steps in order; each is waited for, under way, done or failed."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.at = -1
        self.failed = ""
        self._began = [0.0] * len(names)
        self._took = [0.0] * len(names)

    def go_to(self, step: int) -> None:
        """All before `step` are done; steps back are ignored."""
        now = time.monotonic()
        while self.at < step:
            if 0 <= self.at < len(self.names):
                self._took[self.at] = now - self._began[self.at]
            self.at += 1
            if self.at < len(self.names):
                self._began[self.at] = now

    def fail(self, why: str) -> None:
        """The step that is under way has failed; the last one, where all seemed to be done."""
        if 0 <= self.at < len(self.names):
            self._took[self.at] = time.monotonic() - self._began[self.at]
        self.failed = why
        self.at = min(self.at, len(self.names) - 1)

    def state(self, step: int) -> str:
        if step < self.at:
            return "done"
        return "wait" if step > self.at else "failed" if self.failed else "now"

    def took_s(self, step: int) -> float:
        """How long a step took, or takes until now."""
        return self._took[step] if step < self.at or self.failed else time.monotonic() - self._began[step]

    @property
    def over(self) -> bool:
        return bool(self.failed) or self.at >= len(self.names)


Work = tuple[str, Callable[[], Awaitable[None]]]


class ProgressScreen(ListScreen):
    """Makes an instance: `first` are requests, one after the other; then its start is followed until it runs.

    `made` answers the instance's id once it is known.
    """

    columns: ClassVar[tuple[Column, ...]] = (Column("", 1), Column("STEP", 0), Column("TOOK", 7, right=True))

    def __init__(self, owner: WeirApp, name: str, first: list[Work], made: Callable[[], str]) -> None:
        super().__init__(owner)
        self._name = name
        self._first = first
        self._made = made
        self.steps = Steps((*(each for each, _ in first), *STARTING))
        self._log: list[str] = []
        self._restarted = True

    def label(self) -> str:
        return f"making {self._name}"

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._run(), exit_on_error=False, name="make")
        self.set_interval(1.0, self._tick)

    async def _run(self) -> None:
        for at, (_, work) in enumerate(self._first):
            self.steps.go_to(at)
            self.repaint()
            try:
                await work()
            except BoxError as error:
                self.steps.fail(f"{error.message} {error.hint}".strip())
                self.repaint()
                return
        self.steps.go_to(len(self._first))
        self._look()

    @property
    def current(self) -> Instance | None:
        return self.known.instances.get(self._made())

    def heard(self, kind: str, ident: str) -> None:
        if ident == self._made() and self.steps.at >= len(self._first):
            self._look()

    def _tick(self) -> None:
        if not self.steps.over:
            self._look()
            self.repaint()

    def _look(self) -> None:
        """What the live state of the instance means for the steps. Flows can end Node-RED some time after they started,
        so it is looked at for as long as the screen is there."""
        each = self.current
        if each is None or self.steps.failed or self.steps.at < len(self._first):
            return
        state = each.meta.state
        if state in BAD or state == "safe" or each.meta.restarts:
            self.steps.fail(_why(each))
            self.run_worker(self._tell_log(each), exit_on_error=False, name="log of failure")
        elif state in STATES:
            self.steps.go_to(len(self._first) + STATES[state])
        self.repaint()

    async def _tell_log(self, each: Instance) -> None:
        """The end of the log as evidence; its absence is no second failure."""
        try:
            page = await self.owner.client.get(f"/projects/{each.id}/logs", Entries, {"limit": "50"})
        except BoxError:
            return
        entries = [entry(bytes(raw)) for raw in page.log]
        wrong = [one for one in entries if one.level in WRONG] or entries
        self._log = [line for one in wrong for line in lines(one, ascii_only=self.profile.ascii)][-SHOWN_LINES:]
        self.repaint()

    def rows(self) -> Rows:
        rows: Rows = {}
        for at, name in enumerate(self.steps.names):
            state = self.steps.state(at)
            sign, style = SIGNS[state]
            took = "" if state == "wait" else f"{self.steps.took_s(at):.1f} s"
            rows[str(at)] = [(sign, style), (name, "dim" if state == "wait" else "plain"), (took, "plain")]
        told = [*wrapped(visible(self.steps.failed, ascii_only=self.profile.ascii), max(20, self.size.width - 18))]
        for at, line in enumerate([*told, *self._log]):
            rows[f"why{at}"] = [("", "plain"), (line, Kind.BAD if at < len(told) else "plain"), ("", "plain")]
        return rows

    def subject(self) -> list[Piece]:
        each = self.current
        if self.steps.failed:
            return [(f"{self._name} does not run: the cause is above", Kind.BAD)]
        if self.steps.over and each is not None:
            return [
                ("it runs: ", Kind.UP),
                (visible(each.url, ascii_only=self.profile.ascii), "name"),
                ("  Enter shows it", "dim"),
            ]
        return [(visible(each.meta.message, ascii_only=self.profile.ascii), "plain")] if each is not None else []

    def do_whole(self) -> None:
        each = self.current
        if each is None:
            self.say("it is not made", Kind.BAD)
        else:
            self.owner.go("show", [each])


def _why(each: Instance) -> str:
    """The box's words for it; where it is already at the next try, that there was one before."""
    said = each.meta.message or each.meta.reason
    if each.meta.state in BAD or each.meta.state == "safe":
        return said or each.meta.state
    return f"Node-RED ended as it started, and is started again. {said}".strip()
