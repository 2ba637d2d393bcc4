"""`--wait`: follow an instance until it is as asked, or say why it is not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing

import msgspec
from msgspec import Struct

from appliance.schema.instances import Instance, InstanceMeta, InstanceStatus
from tui.address import Address
from tui.cli.session import instance_path, say
from tui.client import Client
from tui.errors import BoxError, NotRunning, Refused
from tui.feed import Feed
from tui.loglines import WRONG, Entries, entry, lines
from tui.signs import BAD, signed
from tui.text import fit, visible
from tui.wire import OPEN, SseEvent

SHOWN_LINES = 5
LOG_HINT = "weir instance logs {name} shows all of its log."


class Goal(Struct, frozen=True):
    """What to wait for: one of `states`, or that the instance is `gone`. `verb` completes "did not …"."""

    states: frozenset[str]
    verb: str
    gone: bool = False


class Failed(BoxError):
    """The instance went another way than asked; the message is the box's own reason."""


class Progress:
    """Shows each state once: in place on a terminal, else a line each."""

    def __init__(self) -> None:
        self._shown = ""
        self._in_place = sys.stderr.isatty()

    def show(self, state: str, message: str) -> None:
        text = visible(f"{signed(state)}: {message}" if message else signed(state))
        if text == self._shown:
            return
        self._shown = text
        if self._in_place:
            sys.stderr.write(f"\r\x1b[K{fit(text, min(len(text), 78))}")
            sys.stderr.flush()
        else:
            say(text)

    def clear(self) -> None:
        if self._in_place and self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def wait_for(address: Address, instance_id: str, name: str, goal: Goal, timeout_s: float) -> str:
    """The state reached. Raises Failed with the cause, or when `timeout_s` have passed."""
    return asyncio.run(_wait(address, instance_id, name, goal, timeout_s))


async def _wait(address: Address, instance_id: str, name: str, goal: Goal, timeout_s: float) -> str:
    client, progress = Client(address), Progress()
    watch = Watch(client, instance_id, goal, progress.show)
    try:
        async with asyncio.timeout(timeout_s):
            return await watch.run()
    except TimeoutError as error:
        progress.clear()
        raise Failed(_late(watch.meta, name, goal, timeout_s), hint=LOG_HINT.format(name=name)) from error
    except Failed:
        progress.clear()
        await _tell_log(client, instance_id)
        raise
    finally:
        progress.clear()
        await client.close()


class Watch:
    """Follows one instance by events; each connection starts with a look at what is."""

    def __init__(self, client: Client, instance_id: str, goal: Goal, show: Callable[[str, str], None]) -> None:
        self.meta: InstanceMeta | None = None
        self._client = client
        self._id = instance_id
        self._goal = goal
        self._show = show

    async def run(self) -> str:
        """The state that the goal asked for. Raises Failed, or Refused when it may not be watched."""
        feed = Feed(self._client, "/events", on_lost=lambda error: self._show("unknown", error.message))
        async with aclosing(feed.events()) as events:
            async for event in events:
                reached = await self._heard(event)
                if reached:
                    return reached
        raise Failed("the box ended the event stream")

    async def _heard(self, event: SseEvent) -> str:
        if event.kind == "instance.state":
            status = msgspec.json.decode(event.data, type=InstanceStatus)
            return self._judge(status.meta) if status.id == self._id else ""
        if event.kind in (OPEN, "reset") or self._id in event.data:
            return await self._look()
        return ""

    async def _look(self) -> str:
        try:
            found = await self._client.get(instance_path(self._id), Instance)
        except Refused as error:
            if error.status == 404 and self._goal.gone:
                return "gone"
            if error.passing:
                return ""
            raise
        except NotRunning:
            return ""
        return self._judge(found.meta)

    def _judge(self, meta: InstanceMeta) -> str:
        self.meta = meta
        if meta.state in self._goal.states:
            return meta.state
        if meta.state in BAD and not self._goal.gone:
            raise Failed(
                f"the instance did not {self._goal.verb}: {meta.message or meta.reason or meta.state}",
                hint="The lines above are the end of its log." if meta.state == "crashed" else "",
            )
        self._show(meta.state, meta.message)
        return ""


def _late(meta: InstanceMeta | None, name: str, goal: Goal, timeout_s: float) -> str:
    state = f"still {meta.state}" if meta else "not heard of"
    why = f": {meta.message or meta.reason}" if meta and (meta.message or meta.reason) else ""
    return f"{name} did not {goal.verb} within {timeout_s:.0f} s, it is {state}{why}"


async def _tell_log(client: Client, instance_id: str) -> None:
    """The end of the log, as the evidence of a failure; its absence is no second failure."""
    try:
        page = await client.get(f"/projects/{instance_id}/logs", Entries, {"limit": "50"})
    except BoxError:
        return
    entries = [entry(bytes(raw)) for raw in page.log]
    wrong = [each for each in entries if each.level in WRONG] or entries
    for each in wrong[-SHOWN_LINES:]:
        for line in lines(each)[:SHOWN_LINES]:
            say(line)
