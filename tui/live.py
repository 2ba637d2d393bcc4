"""Keeps what is known true: by the box's events, by asking again where they are not enough, and while it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from appliance.schema.box import BoxStatus
from appliance.schema.instances import Instance, Instances, InstanceStatus
from appliance.schema.resources import InstanceResources, ResourceHistory
from appliance.schema.users import OwnPermissions
from tui.client import Client
from tui.errors import BoxError, Refused
from tui.feed import Feed
from tui.profile import Profile
from tui.state import POINTS, Known
from tui.wire import OPEN, SseEvent

REFUSED_PAUSE_S = 15.0
MOST_PICTURES = 64  # histories that wait to be asked for


class About(msgspec.Struct, frozen=True):
    """What every event of an instance says."""

    id: str


class Live:
    """Runs as four workers. `changed(at_once)` asks for a repaint, `told(text)` shows a sentence, `heard(event, id)`
    passes an event on to the screen."""

    def __init__(
        self,
        client: Client,
        known: Known,
        profile: Profile,
        *,
        changed: Callable[[bool], None],
        told: Callable[[str], None],
        heard: Callable[[str, str], None],
    ) -> None:
        self._client = client
        self._known = known
        self._profile = profile
        self._changed = changed
        self._told = told
        self._heard = heard
        self._feed = Feed(client, "/events", on_lost=self._on_lost)
        self._typed_at = time.monotonic()
        self._wanted = asyncio.Event()
        self._rights_wanted = asyncio.Event()
        self._measured = asyncio.Event()  # set: the status is to be asked for now
        self._pictures: asyncio.Queue[str] = asyncio.Queue(MOST_PICTURES)

    def typed(self) -> None:
        """Somebody is there."""
        self._typed_at = time.monotonic()

    @property
    def somebody_there(self) -> bool:
        """Whether somebody typed lately; who is away needs no numbers."""
        return time.monotonic() - self._typed_at < self._profile.rest_s

    def reload(self) -> None:
        """Ask the box for all instances, and for one's rights, again."""
        self._wanted.set()
        self._rights_wanted.set()

    def ask_now(self) -> None:
        """`reload`, and where the box is lost look at once whether it is back."""
        self._feed.hurry()
        self.reload()

    def recheck_rights(self) -> None:
        """Something was refused: the role may be another by now."""
        self._rights_wanted.set()

    def want_picture(self, ident: str) -> None:
        """Ask for the last figures of an instance, once; when many wait already, not now."""
        if ident not in self._known.pictures and not self._pictures.full():
            self._known.set_history(ident, ())
            self._pictures.put_nowait(ident)

    async def watch(self) -> None:
        """Keep what is known true by the box's events, for ever."""
        while True:
            try:
                async for event in self._feed.events():
                    await self._hear(event)
            except BoxError as error:  # refused for good: the way in may be opened again
                self._on_lost(error)
                await asyncio.sleep(REFUSED_PAUSE_S)

    async def _hear(self, event: SseEvent) -> None:
        if event.kind == OPEN:
            self._known.lost = ""
            self._rights_wanted.set()
            self._changed(False)
        if event.kind == "reset" or (event.kind == OPEN and not self._known.loaded):
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
            self._known.remove(about.id)
        elif event.kind == "instance.state":
            status = msgspec.json.decode(event.data, type=InstanceStatus)
            if not self._known.set_meta(status.id, status.meta):
                await self._fetch(about.id)
        elif event.kind == "instance.resources":
            told = msgspec.json.decode(event.data, type=InstanceResources)
            if not self._known.set_resources(told.id, told.resources):
                await self._fetch(about.id)
        elif event.kind == "instance.changed":
            await self._fetch(about.id)
        self._changed(False)
        self._heard(event.kind, about.id)

    async def _fetch(self, ident: str) -> None:
        try:
            self._known.put(await self._client.get(f"/instances/{quote(ident, safe='')}", Instance))
        except Refused as error:
            if error.status != 404:
                raise
            self._known.remove(ident)

    async def load(self) -> None:
        """Ask for all instances whenever that is wanted, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                first = not self._known.loaded
                self._known.replace((await self._client.get("/instances", Instances)).instances)
                if first:
                    self._changed(True)  # what everyone waits for is not gathered with other changes
            except BoxError as error:
                self._told(f"{error.message} {error.hint}".strip())
                await asyncio.sleep(1 if getattr(error, "passing", True) else REFUSED_PAUSE_S)
                self.reload()
            self._changed(False)

    async def learn_rights(self) -> None:
        """Ask what the user may whenever that may have changed, for ever."""
        while True:
            await self._rights_wanted.wait()
            self._rights_wanted.clear()
            try:
                self._known.rights.tell(await self._client.get("/user/permissions", OwnPermissions))
            except Refused as error:
                if error.status == 404:
                    self._known.rights.tell(None)
            except BoxError:
                pass  # the event stream tells that the box is away, and asks again when it is back
            self._changed(False)

    async def measure(self) -> None:
        """The numbers of the header, while somebody is there to read them."""
        while True:
            if self.somebody_there and not self._known.lost:
                # Who is not answered here is told so by the event stream's banner.
                with contextlib.suppress(BoxError):
                    self._known.status = await self._client.get("/box/status", BoxStatus)
                self._changed(False)
            self._measured.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._profile.status_s):
                    await self._measured.wait()
            await asyncio.sleep(self._profile.repaint_s)  # several problems at once are one question

    async def draw(self) -> None:
        """The pictures that are wanted, one after the other, for ever."""
        while True:
            ident = await self._pictures.get()
            path = f"/projects/{quote(ident, safe='')}/resources"
            with contextlib.suppress(BoxError):  # without a history the picture begins now
                found = await self._client.get(path, ResourceHistory, {"limit": str(POINTS)})
                self._known.set_history(ident, found.resources)
                self._changed(False)

    def _on_lost(self, error: BoxError) -> None:
        self._known.lost = error.message.rstrip(".")
        self._changed(False)
