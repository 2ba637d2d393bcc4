"""What clients notice of restarts, crashes and kills, through the real nginx, launcher and Node-RED: they wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.support import eventually, stack_cache
from tests.system.box import Box

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "h", stack_cache())
    try:
        box.up()
        yield box
    finally:
        box.down()


class Clients:
    """A few browsers that ask without a pause, over connections they keep and over new ones."""

    def __init__(self, url: str, ca: str) -> None:
        self.url, self.ca = url, ca
        self.answered = 0
        self.failed: list[str] = []
        self.longest_s = 0.0
        self.over = False

    async def ask(self, *, keep: bool) -> None:
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self.ca), force_close=not keep)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
            while not self.over:
                began = time.monotonic()
                try:
                    async with session.get(self.url) as answer:
                        await answer.read()
                        if answer.status != 200:
                            self.failed.append(str(answer.status))
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.failed.append(repr(error))
                self.answered += 1
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.ask(keep=number % 2 == 0)) for number in range(6)]
        await self.more(20)
        try:
            yield
            await self.more(20)
        finally:
            self.over = True  # not cancelled: a half-made TLS connection would be left behind
            await asyncio.gather(*tasks)

    async def more(self, count: int) -> None:
        """Until so many more have been answered."""
        until = self.answered + count
        await eventually(lambda: self.answered >= until, 90)


async def running(box: Box, **other_than: int) -> dict[str, Any]:
    """The first instance once it runs, with another pid than the named ones."""

    def look() -> dict[str, Any] | None:
        with box.api() as api:
            instance: dict[str, Any] = api.get("/box/status").json()["instances"][0]
        fresh = all(instance[name] not in (None, pid) for name, pid in other_than.items())
        return instance if instance["state"] == "running" and fresh else None

    return await eventually(look, 90, every_s=0.05)


async def clients_of(box: Box) -> Clients:
    instance = await running(box)
    return Clients(re.sub(r"//[^/:]+", "//localhost", instance["url"]), box.ca)


async def test_a_restart_fails_nobody(box: Box) -> None:
    clients = await clients_of(box)
    async with clients.asking():
        for _ in range(2):
            before = await running(box)
            await asyncio.to_thread(box.cli, "instance", "restart", "first")
            await running(box, node_red_pid=before["node_red_pid"])
            await clients.more(20)
    assert clients.failed == []
    assert (await running(box))["launcher_pid"] == before["launcher_pid"]


async def test_a_killed_node_red_fails_only_what_it_was_answering(box: Box) -> None:
    clients = await clients_of(box)
    before = await running(box)
    async with clients.asking():
        os.kill(before["node_red_pid"], signal.SIGKILL)
        await running(box, node_red_pid=before["node_red_pid"])
    assert len(clients.failed) <= 6  # each client had one request in flight at most
    assert set(clients.failed) <= {"503"}


async def test_a_killed_appliance_fails_nobody_and_adopts(box: Box) -> None:
    clients = await clients_of(box)
    before = await running(box)
    pid = box.status()["appliance"]["pid"]
    nginx = psutil.Process(pid).children()
    async with clients.asking():
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not psutil.pid_exists(pid))
        await clients.more(50)
        await asyncio.to_thread(box.up)
        after = await running(box)
        await clients.more(50)
    assert clients.failed == []
    assert (after["launcher_pid"], after["node_red_pid"]) == (before["launcher_pid"], before["node_red_pid"])
    assert [p.pid for p in nginx if p.is_running()] == [p.pid for p in nginx]


async def test_a_frozen_appliance_is_no_trouble_for_instances(box: Box) -> None:
    clients = await clients_of(box)
    before = await running(box)
    pid = box.status()["appliance"]["pid"]
    async with clients.asking():
        os.kill(pid, signal.SIGSTOP)
        try:
            await clients.more(300)
        finally:
            os.kill(pid, signal.SIGCONT)
        after = await running(box)
    assert clients.failed == []
    assert (after["launcher_pid"], after["node_red_pid"]) == (before["launcher_pid"], before["node_red_pid"])


async def test_a_killed_launcher_is_replaced_and_there_are_never_two_node_reds(box: Box) -> None:
    clients = await clients_of(box)
    before = await running(box)
    most = 0

    def replaced() -> bool:
        nonlocal most
        found = node_reds(box)
        most = max(most, len(found))
        return bool(found) and before["node_red_pid"] not in found

    async with clients.asking():
        os.kill(before["launcher_pid"], signal.SIGKILL)
        # With an end of its own: while six clients are busy, a time limit of pytest's may be raised in one of them.
        try:
            await eventually(replaced, 90, every_s=0.005, what="another Node-RED")
        except AssertionError as error:
            said = (box.home / "logs" / "appliance.log").read_text()[-3000:]
            raise AssertionError(f"{error}\n{box.cli('instance', 'show', 'first').stdout}\n{said}") from error
        after = await running(box, node_red_pid=before["node_red_pid"])
        most = max(most, len(node_reds(box)))
    assert most == 1
    assert after["launcher_pid"] != before["launcher_pid"]
    assert set(clients.failed) <= {"503"}  # the page that says why, no error of the network


def node_reds(box: Box) -> list[int]:
    """Living Node.js processes of this box. (Node-RED renames itself, so that its arguments are gone.)"""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.cwd().startswith(str(box.home / "instances")) and process.exe().endswith("/node")
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
