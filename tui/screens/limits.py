"""What an instance takes of the machine, and what it may: its limits and the devices leased to it, to be changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from appliance.schema.instances import Instance
from appliance.schema.limits import ShownLimits
from tui import keytable
from tui.cli.limit_options import NUMBERS, listed, number
from tui.errors import BoxError, Usage
from tui.render import Column, Piece
from tui.screens.lists import FetchedScreen
from tui.screens.page import SCOPES, Page
from tui.screens.prompt import Question
from tui.signs import Kind
from tui.text import percent, size, visible
from tui.widgets.table import Rows
from tui.wire import decode

if TYPE_CHECKING:
    from tui.app import WeirApp

HIGH = 0.75  # of a limit
AGAIN_S = 30.0  # as often as the box looks at the disk
DEFAULT = "the box's default"
NOTHING = "nothing: it does not run"
NETWORKS, PORTS, DEVICES, DEVICE = "networks", "ports", "devices", "device "
MB = 1_000_000
Body = dict[str, Any]


class LimitsScreen(Page, FetchedScreen):
    """Limits beside the figures of now, one line each, then the bounds that are set elsewhere, and where. Enter changes
    a limit, at once where the instance runs."""

    word = "limits"
    columns: ClassVar[tuple[Column, ...]] = (Column("LIMIT", 13), Column("AT MOST", 0), Column("TAKES NOW", 28))
    scopes: ClassVar[tuple[str, ...]] = (keytable.LIMITS, *SCOPES)

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._shown: ShownLimits | None = None

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(max(AGAIN_S, self.profile.status_s), self._again)

    def _again(self) -> None:
        if self.owner.screen is self and not self.known.lost and self.owner.live.somebody_there:
            self.refetch()

    def heard(self, kind: str, ident: str) -> None:
        if kind == "instance.changed" and ident == self.instance.id:
            self.refetch()

    async def fetch(self) -> None:
        self._shown = await self.owner.client.get(self._path, ShownLimits)

    @property
    def _path(self) -> str:
        return f"/projects/{self.about[0].id}/limits"

    def rows(self) -> Rows:
        if self._shown is None:  # the cursor begins at the first limit
            return {}
        return _limits(self._shown, self.instance, ascii_only=self.profile.ascii) | _bounds(
            self.instance, ascii_only=self.profile.ascii
        )

    def subject(self) -> list[Piece]:
        said = super().subject()
        if said or self._shown is None or not self._shown.note:
            return said
        return [(visible(self._shown.note, ascii_only=self.profile.ascii), Kind.CHANGING)]

    def details(self) -> list[tuple[str, str]]:
        note = self._shown.note if self._shown else ""
        return [*super().details(), *([("on this box", note)] if note else [])]

    # -- changes ------------------------------------------------------------------------------------
    def do_set(self) -> None:
        key = self.table.key or ""
        if key in NUMBERS:
            _, unit, what = NUMBERS[key]
            measure = unit if unit == "MB" else unit.lower()
            self._question(f"{key} ({measure}, or default): ", lambda typed: self._number(key, typed), what)
        elif key == NETWORKS:
            self._question("networks, such as 192.0.2.0/24,2001:db8::/32; or all: ", self._networks, "")
        elif key == PORTS:
            self._question("ports, such as tcp:1880,udp:5000-5010; or own, or all: ", self._ports, "")
        elif key == DEVICES:
            self.do_lease()
        elif key.startswith(DEVICE):
            self.say("x takes the device back, a leases another one")
        else:
            self.say("this is set elsewhere: what is in brackets is among its settings (6)")

    def _question(self, sign: str, answer: Callable[[str], None], what: str) -> None:
        def given(typed: str) -> None:
            if typed.strip():
                answer(typed.strip())

        self.ask(Question(sign, given))
        if what:
            self.hint(what, "dim")

    def _number(self, key: str, typed: str) -> None:
        field, unit, _ = NUMBERS[key]
        try:
            value = number(key, typed, unit)
        except Usage as error:
            self.refused(error)
            return
        self._change({field: value}, f"{key} is {'as the type says' if value is None else typed}")

    def _networks(self, typed: str) -> None:
        wanted = listed(typed)
        self._change({"networks": wanted}, f"it may speak with {', '.join(wanted) or 'all'}")

    def _ports(self, typed: str) -> None:
        wanted = listed(typed)
        self._change({"ports": wanted}, f"it may open {', '.join(wanted) or 'all ports that nobody else has'}")

    def do_lease(self) -> None:
        def answer(typed: str) -> None:
            if path := typed.strip():
                work = self._with_devices(lambda now: [*now, path])
                self._carry_out(work, f"{path} is leased to {self.instance.name} alone")

        self.ask(Question("device, such as /dev/ttyUSB0: ", answer))

    def do_return(self) -> None:
        key = self.table.key or ""
        if not key.startswith(DEVICE):
            self.say("put the cursor on a device")
            return
        path = key.removeprefix(DEVICE)

        def go() -> None:
            work = self._with_devices(lambda now: [each for each in now if each != path])
            self._carry_out(work, f"{path} is taken back")

        self.confirm(path, "to take the device back", go)

    async def _with_devices(self, after: Callable[[list[str]], list[str]]) -> ShownLimits:
        """Change the list as it is now: somebody else may have changed it since it was shown."""
        client = self.owner.client
        now = await client.get(self._path, ShownLimits)
        return decode(await client.put(self._path, {"devices": sorted(set(after(now.devices)))}), ShownLimits)

    def _change(self, body: Body, done: str) -> None:
        async def ask() -> ShownLimits:
            return decode(await self.owner.client.put(self._path, body), ShownLimits)

        self._carry_out(ask(), done)

    def _carry_out(self, work: Awaitable[ShownLimits], done: str) -> None:
        async def run() -> None:
            try:
                self._shown = await work
            except BoxError as error:
                self.refused(error)
                return
            self.say(done if not self._shown.note else f"{done}; {self._shown.note}")
            self.repaint()

        self.run_worker(run(), exit_on_error=False, name="limits")


def _limits(found: ShownLimits, each: Instance, *, ascii_only: bool) -> Rows:
    now = each.resources
    disk = f"{found.disk_used_mb:g} MB" if found.disk_used_mb is not None else ""
    memory = f"{size(now.memory_bytes)}, {size(max(now.peak_bytes, now.memory_bytes))} at most" if now else ""
    numbers = {
        "memory": (found.memory_mb, " MB", memory, now.memory_bytes / MB if now else None),
        "cpu": (found.cpu_percent, "% of a core", f"{now.cpu_percent:.1f}%" if now else "", None),
        "tasks": (found.tasks, " processes and threads", "", None),
        "disk": (found.disk_mb, " MB", disk, found.disk_used_mb),
    }
    rows: Rows = {}
    for key, (most, unit, taken, used) in numbers.items():
        near = bool(most and used and used >= HIGH * most)
        said: Piece = (DEFAULT, "dim") if most is None else (f"{most}{unit}", "plain")
        rows[key] = [(key, "name"), said, (taken, Kind.CHANGING if near else "plain")]
    for key, of, all_ in ((NETWORKS, found.networks, "all"), (PORTS, found.ports, "all that nobody else has")):
        shown = visible(", ".join(of), ascii_only=ascii_only)
        rows[key] = [(key, "name"), (shown or all_, "plain" if of else "dim"), ("", "plain")]
    for path in found.devices:
        shown = visible(path, ascii_only=ascii_only)
        rows[DEVICE + path] = [("device", "name"), (shown, "plain"), ("leased to it alone", "dim")]
    if not found.devices:
        rows[DEVICES] = [(DEVICES, "name"), ("none; a leases one", "dim"), ("", "plain")]
    return rows


def _bounds(each: Instance, *, ascii_only: bool) -> Rows:
    """What else bounds it, and where that comes from; also while it does not run."""
    now, settings, launcher = each.resources, each.settings, each.launcher_settings
    interval, install = launcher.get("healthCheckInterval"), launcher.get("installTimeout")
    told = (
        ("heap", _heap(each), _share(now.heap_bytes, now.heap_limit_bytes) if now else _silent(each)),
        ("event loop", "", f"late by {now.lag_ms:.0f} ms (p99)" if now and now.lag_ms is not None else ""),
        ("API takes", f"{settings.get('apiMaxLength') or '5mb'} (apiMaxLength)", ""),
        ("debug shows", f"{settings.get('debugMaxLength') or 1000} characters (debugMaxLength)", ""),
        ("looked at", f"{f'every {interval / 1000:g} s' if interval else 'by default'} (health-interval)", ""),
        ("installs take", f"{f'{install:g} s' if install else 'by default'} (install-timeout)", ""),
    )
    return {
        f"bound {label}": [(label, "key"), (visible(most, ascii_only=ascii_only), "dim"), (taken, "plain")]
        for label, most, taken in told
    }


def _silent(each: Instance) -> str:
    return NOTHING if each.meta.node_red_pid is None else "not measured yet"


def _heap(each: Instance) -> str:
    memory = each.stack.properties.get("memory")
    return f"{memory} MB, of the stack" if memory else "what the box has"


def _share(used: int | None, most: int | None) -> str:
    return f"{size(used)}, {percent(used, most)} of what it may" if used and most else ""
