"""The screens' application: feeds what is known, goes from screen to screen, and asks the box for changes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import ClassVar
from urllib.parse import quote

import msgspec
from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Key

from appliance.schema.box import BoxStatus
from appliance.schema.instances import Instance, Instances, InstanceStatus
from appliance.schema.resources import InstanceResources
from tui import crash, keys
from tui.address import Address
from tui.client import Client
from tui.errors import BoxError, Refused
from tui.feed import Feed
from tui.profile import Profile
from tui.screens.frame import Frame
from tui.screens.instances import InstancesScreen
from tui.screens.lists_of_words import HelpScreen, ProblemsScreen
from tui.screens.logs import LogsScreen
from tui.signs import Kind
from tui.state import Known
from tui.terminal import ends_with_terminal
from tui.theme import Theme
from tui.wire import OPEN, SseEvent

DOING = {"start": "starting", "stop": "stopping", "restart": "restarting"}
REFUSED_PAUSE_S = 15.0


def run(address: Address, profile: Profile) -> None:
    """Show the screens until the user quits or the terminal is gone."""
    app = WeirApp(Client(address), profile)
    with ends_with_terminal(sys.stdin.fileno(), app.leave):
        # Without mouse reports the terminal's own selecting and copying works, and fewer bytes travel.
        app.run(mouse=False)
    if app.fault is not None:
        raise crash.told(app.fault) from app.fault


class WeirApp(App[None]):
    """Owns the client and what is known. The instances stay at the bottom; other screens are made when gone to."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", "quit", show=False, priority=True)]

    def __init__(self, client: Client, profile: Profile) -> None:
        # The terminal's own colours and background: cheapest on the wire, and right on a light terminal too.
        super().__init__(ansi_color=True)
        self.client = client
        self.profile = profile
        self.looks = Theme(profile)
        self.known = Known()
        self._dirty = False
        self._typed_at = time.monotonic()
        self._wanted = asyncio.Event()
        self._measured = asyncio.Event()  # set: the status is to be asked for now
        self._main: asyncio.AbstractEventLoop | None = None

    def on_mount(self) -> None:
        self._main = asyncio.get_running_loop()
        self.push_screen(InstancesScreen(self))
        for name, work in (("events", self._watch), ("instances", self._load), ("status", self._measure)):
            self.run_worker(work(), exit_on_error=False, name=name)

    async def on_unmount(self) -> None:
        await self.client.close()

    def on_key(self, event: Key) -> None:
        self._typed_at = time.monotonic()
        if self.screen_stack and isinstance(self.screen, Frame) and self.screen.takes(event):
            event.prevent_default()

    @property
    def fault(self) -> Exception | None:
        """What ended the screens against their will."""
        return self._exception

    def _fatal_error(self) -> None:
        # textual's own prints the trace with all local variables, tokens among them, and keeps it all in memory
        # (https://github.com/Textualize/textual/issues/3069).
        self._close_messages_no_wait()

    def leave(self) -> None:
        """Quit; may be called from any thread and never waits."""
        if self._main is not None and not self._main.is_closed():
            self._main.call_soon_threadsafe(self.exit)

    # -- what is known ------------------------------------------------------------------------------
    def reload(self) -> None:
        """Ask the box for all instances again."""
        self._wanted.set()

    async def _watch(self) -> None:
        """Keep what is known true by the box's events, for ever."""
        feed = Feed(self.client, "/events", on_lost=self._on_lost)
        while True:
            try:
                async for event in feed.events():
                    await self._heard(event)
            except BoxError as error:  # refused for good: the way in may be opened again
                self._on_lost(error)
                await asyncio.sleep(REFUSED_PAUSE_S)

    async def _heard(self, event: SseEvent) -> None:
        if event.kind == OPEN:
            self.known.lost = ""
            self._changed()
        if event.kind == "reset" or (event.kind == OPEN and not self.known.loaded):
            self.reload()
        elif event.kind.startswith("problem."):
            self._measured.set()
        elif event.kind.startswith("instance."):
            try:
                await self._instance_event(event)
            except (msgspec.MsgspecError, BoxError):
                self.reload()  # whatever it said, the list says it too

    async def _instance_event(self, event: SseEvent) -> None:
        about = msgspec.json.decode(event.data, type=About)
        if event.kind == "instance.removed":
            self.known.remove(about.id)
        elif event.kind == "instance.state":
            status = msgspec.json.decode(event.data, type=InstanceStatus)
            if not self.known.set_meta(status.id, status.meta):
                await self._fetch(about.id)
        elif event.kind == "instance.resources":
            told = msgspec.json.decode(event.data, type=InstanceResources)
            if not self.known.set_resources(told.id, told.resources):
                await self._fetch(about.id)
        elif event.kind == "instance.changed":
            await self._fetch(about.id)
        self._changed()

    async def _fetch(self, ident: str) -> None:
        try:
            self.known.put(await self.client.get(f"/instances/{quote(ident, safe='')}", Instance))
        except Refused as error:
            if error.status != 404:
                raise
            self.known.remove(ident)

    async def _load(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                first = not self.known.loaded
                self.known.replace((await self.client.get("/instances", Instances)).instances)
                if first:
                    self._paint()  # what everyone waits for is not gathered with other changes
            except BoxError as error:
                self.frame.say(f"{error.message} {error.hint}".strip(), Kind.BAD)
                await asyncio.sleep(1 if getattr(error, "passing", True) else REFUSED_PAUSE_S)
                self.reload()
            self._changed()

    async def _measure(self) -> None:
        """The numbers of the header, while somebody is there to read them."""
        while True:
            if time.monotonic() - self._typed_at < self.profile.rest_s and not self.known.lost:
                # Who is not answered here is told so by the event stream's banner.
                with contextlib.suppress(BoxError):
                    self.known.status = await self.client.get("/box/status", BoxStatus)
                self._changed()
            self._measured.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.profile.status_s):
                    await self._measured.wait()
            await asyncio.sleep(self.profile.repaint_s)  # several problems at once are one question

    def _on_lost(self, error: BoxError) -> None:
        self.known.lost = error.message.rstrip(".")
        self._changed()

    def _changed(self) -> None:
        """Paint soon, once for all changes until then."""
        if not self._dirty:
            self._dirty = True
            self.set_timer(self.profile.repaint_s, self._paint)

    def _paint(self) -> None:
        self._dirty = False
        if self.screen_stack:  # there is none while the application closes
            self.frame.repaint()

    # -- going about --------------------------------------------------------------------------------
    @property
    def frame(self) -> Frame:
        """The screen on top."""
        assert isinstance(self.screen, Frame)
        return self.screen

    def go(self, word: str) -> None:
        """Show the screen that `:word` names."""
        if word == self.frame.word:
            return
        if word == "inst":
            while len(self.screen_stack) > 2:
                self.pop_screen()
        elif word == "help":
            self.push_screen(HelpScreen(self))
        elif word == "problems":
            self.push_screen(ProblemsScreen(self))

    def back(self, *, quit_at_first: bool = False) -> None:
        """Leave the screen; the first one is left only by quitting."""
        if len(self.screen_stack) > 2:
            self.pop_screen()
            self.frame.repaint()
        elif quit_at_first:
            self.exit()

    def command(self, text: str) -> None:
        """Carry out what was typed after `:`; a name may follow the word."""
        word, _, name = text.partition(" ")
        action = keys.commands().get(word)
        if word in keys.PLACES:
            self.go(word)
        elif action is None:
            self.frame.say(f"'{word}' is no command; ? lists them", Kind.BAD)
        elif action.scope == keys.INSTANCES:
            self._command_on(word, name.strip())
        else:
            self.frame.action_act(action.id)

    def _command_on(self, word: str, name: str) -> None:
        found = self.known.find(name) if name else self.frame.current
        if name and found is None:
            self.frame.say(f"there is no instance '{name}'", Kind.BAD)
        else:
            self.act_on(found, word)

    def act_on(self, instance: Instance | None, what: str) -> None:
        """Do an action of the key table to an instance."""
        if instance is None:
            self.frame.say("there is no instance here", Kind.BAD)
        elif what == "logs":
            self.push_screen(LogsScreen(self, instance))
        elif what == "address":
            self.frame.say(instance.url, "name")
        else:
            self.run_worker(self._ask(instance, what), exit_on_error=False, name=what)

    async def _ask(self, instance: Instance, action: str) -> None:
        self.frame.say(f"{instance.name}: {DOING[action]}")
        try:
            await self.client.post(f"/projects/{instance.id}/actions/{action}")
        except BoxError as error:
            self.frame.say(f"{instance.name}: {error.message} {error.hint}".strip(), Kind.BAD)


class About(msgspec.Struct, frozen=True):
    """What every event of an instance says."""

    id: str
