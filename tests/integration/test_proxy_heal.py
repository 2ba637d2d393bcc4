"""nginx comes back whatever else is wrong, and nobody is taken for it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from appliance.config import Home
from appliance.proxy.family import command_line
from appliance.proxy.model import Site
from appliance.proxy.process import Nginx
from appliance.system import tls
from tests.descriptors import left
from tests.proxy_box import ProxyBox, quiet_port
from tests.support import eventually

pytestmark = pytest.mark.real


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[ProxyBox]:
    box = ProxyBox(tmp_path / "h")
    try:
        yield box
    finally:
        await box.close()


async def test_killed_nginx_is_started_again_at_once_while_a_port_is_taken(box: ProxyBox) -> None:
    """That one instance has a problem, for hours perhaps, is no reason to look away from all others."""
    bad = Site(str(uuid.uuid4()), "bad", quiet_port(), 1)
    with socket.socket() as squatter:
        squatter.bind(("0.0.0.0", bad.public_port))
        squatter.listen()
        await box.run()
        box.sites = [bad]
        box.proxy.poke()
        await eventually(lambda: f"proxy.port.{bad.public_port}" in box.conditions.open, 20)
        for _ in range(3):  # each a failure more, so each with a longer pause after it
            pid = box.proxy.status().pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            before_s = time.monotonic()
            await eventually(lambda: box.proxy.status().running and box.proxy.status().pid != pid, 40)  # noqa: B023
        assert time.monotonic() - before_s < 5


async def test_a_lack_of_descriptors_ends_no_nginx_and_leaves_none_unknown(
    box: ProxyBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.run()
    await box.halt()
    nginx = Nginx(box.home)
    assert nginx.adopt()
    for count in range(4):
        with left(count):
            assert await nginx.answering.stuck() == "", "it was not asked, or it answered"
    await nginx.stop()
    read = Path.read_bytes

    def scarce(path: Path) -> bytes:
        if path.name == "stat":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", scarce)
        with pytest.raises(OSError, match="Too many open files"):
            await nginx.start()
    await eventually(lambda: not [p for p in psutil.Process().children() if "nginx" in p.name()])


@pytest.mark.skipif(os.geteuid() != 0, reason="starts a process of another account")
async def test_never_takes_a_name_for_a_proof(tmp_path: Path) -> None:
    """Any account's process can call itself our nginx; taken for it, it would keep the real one from being started."""
    home = Home(tmp_path / "h")
    home.run.mkdir(parents=True)
    nginx = Nginx(home)
    name = f"nginx: master process nginx -p {home.nginx} -c {nginx.config} "
    process = await asyncio.create_subprocess_exec(name, "-e", "sleep 60", executable="/usr/bin/perl", user=65534)
    try:
        await eventually(lambda: command_line(process.pid).startswith("nginx: master process"))
        assert not nginx.adopt()
    finally:
        process.kill()
        await process.wait()


async def test_a_certificate_that_can_not_be_renewed_keeps_nobody_out(
    box: ProxyBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await box.add()
    await box.run()

    def refuse(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tls, "ensure", refuse)
    box.proxy.poke()
    await eventually(lambda: "proxy.tls" in box.conditions.open, 20)
    pid = box.proxy.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: box.proxy.status().running and box.proxy.status().pid != pid, 20)
    async with box.client() as client:
        assert (await client.get(box.site_url(site))).status == 200
