"""nginx as a process: started, adopted, reloaded, refused, killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psutil
import pytest

from appliance.config import Home
from appliance.errors import Invalid
from appliance.proxy.model import Site
from appliance.proxy.process import Nginx
from appliance.proxy.program import ConfigRefused
from appliance.system.pidfd import Identity, boot_id
from tests.proxy_box import ProxyBox, quiet_port
from tests.support import eventually

pytestmark = pytest.mark.real


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[ProxyBox]:
    box = ProxyBox(tmp_path / 'h "x')  # a path that has to be quoted
    try:
        yield box
    finally:
        await box.close()


async def test_new_instance_is_served_without_a_poke_lost(box: ProxyBox) -> None:
    await box.run()
    first = await box.add("one")
    box.proxy.poke()
    second = await box.add("two")
    box.proxy.poke()
    await box.settled()
    async with box.client() as client:
        for site in (first, second):
            assert (await client.get(box.site_url(site))).status == 200


async def test_reload_keeps_a_live_websocket(box: ProxyBox) -> None:
    site = await box.add()
    await box.run()
    async with box.client() as client, client.ws_connect(box.site_url(site) + "/ws") as ws:
        pid = box.proxy.status().pid
        await box.add("two")
        box.proxy.poke()
        await box.settled()
        await ws.send_str("still here")
        assert await ws.receive_str(timeout=5) == "still here"
    assert box.proxy.status().pid == pid


async def test_at_most_one_reload_a_second(box: ProxyBox) -> None:
    await box.run()
    started = time.monotonic()
    versions = {box.proxy.status().version}
    for number in range(30):
        site = Site(str(uuid.uuid4()), f"i{number}", 20000 + number, 22000 + number)
        box.sites = [*box.sites, site] if number % 2 else box.sites[:-1]
        box.proxy.poke()
        await asyncio.sleep(0.05)
        versions.add(box.proxy.status().version)
    assert len(versions) <= 2 + int(time.monotonic() - started)


async def test_refused_configuration_keeps_the_last_good_one(box: ProxyBox, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await box.add()
    await box.run()
    good = box.proxy.status().version
    template = "appliance.proxy.controller.render"
    from appliance.proxy.render import render
    from appliance.system.templates import Rendered

    def broken(*arguments: object) -> Rendered:
        text = render(*arguments).text  # type: ignore[arg-type]
        return Rendered(text.replace("server_tokens off;", "server_tokens of_course;"), "f" * 16)

    with monkeypatch.context() as patch:
        patch.setattr(template, broken)
        box.proxy.poke()
        await eventually(lambda: "proxy.config" in box.conditions.open)
        problem = box.conditions.open["proxy.config"]
        assert 'invalid value "of_course"' in problem["cause"]
        assert good in problem["evidence"]
        async with box.client() as client:
            assert (await client.get(box.site_url(site))).status == 200
        assert "of_course" not in (box.home.nginx / "nginx.conf").read_text()
    box.proxy.poke()
    await eventually(lambda: not box.conditions.open)


async def test_refused_at_start_serves_what_worked_last(box: ProxyBox, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await box.add()
    await box.run()
    await box.halt()
    await box.make().stop()
    monkeypatch.setattr("appliance.proxy.controller.render", _refuse)
    box.proxy = box.make()
    box._task = asyncio.create_task(box.proxy.run())
    await eventually(lambda: "proxy.config" in box.conditions.open and box.proxy.status().running)
    async with box.client() as client:
        assert (await client.get(box.site_url(site))).status == 200


def _refuse(*_: object) -> None:
    raise Invalid("this cannot be rendered", hint="do something")


async def test_taken_port_of_an_instance_harms_only_that_one(box: ProxyBox) -> None:
    good = await box.add("good")
    bad = await box.add("bad")
    with socket.socket() as squatter:
        squatter.bind(("0.0.0.0", bad.public_port))
        squatter.listen()
        box._task = asyncio.create_task(_run(box))
        key = f"proxy.port.{bad.public_port}"
        await eventually(lambda: key in box.conditions.open, 20)
        problem = box.conditions.open[key]
        assert problem["about"] == bad.instance_id
        assert "bad" in problem["title"]
        assert f"port {bad.public_port} is in use" in problem["cause"]
        await eventually(lambda: box.proxy.status().sites == 1, 20)
        async with box.client() as client:
            assert (await client.get(box.site_url(good))).status == 200
    box.proxy.poke()
    await box.settled()
    await eventually(lambda: not box.conditions.open)


async def _run(box: ProxyBox) -> None:
    await box.proxy.run()


async def test_port_taken_while_running(box: ProxyBox) -> None:
    """A reload that cannot open a port leaves everything else as it was, and comes about later."""
    good = await box.add("good")
    await box.run()
    bad = Site(str(uuid.uuid4()), "bad", quiet_port(), 1)
    with socket.socket() as squatter:
        squatter.bind(("0.0.0.0", bad.public_port))
        squatter.listen()
        box.sites = [*box.sites, bad]
        box.proxy.poke()
        await eventually(lambda: f"proxy.port.{bad.public_port}" in box.conditions.open, 20)
        async with box.client() as client:
            assert (await client.get(box.site_url(good))).status == 200
        assert "proxy.config" not in box.conditions.log
    box.proxy.poke()
    await box.settled()


async def test_platform_port_taken_is_said_and_mended(box: ProxyBox) -> None:
    with socket.socket() as squatter:
        squatter.bind(("0.0.0.0", box.config.listen.https))
        squatter.listen()
        box._task = asyncio.create_task(_run(box))
        await eventually(lambda: "proxy.config" in box.conditions.open, 20)
        problem = box.conditions.open["proxy.config"]
        assert f"port {box.config.listen.https} is in use by another program" in problem["cause"]
        assert "listen" in problem["next_step"]
        assert not box.proxy.status().running
    await box.settled()
    await eventually(lambda: not box.conditions.open)


async def test_killed_nginx_is_started_again(box: ProxyBox) -> None:
    site = await box.add()
    await box.run()
    pid = box.proxy.status().pid
    assert pid is not None
    workers = psutil.Process(pid).children()
    assert workers
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: box.proxy.status().running and box.proxy.status().pid != pid, 20)
    async with box.client() as client:
        assert (await client.get(box.site_url(site))).status == 200
    assert not [worker for worker in workers if alive(worker)], "workers of the dead master still hold the ports"


async def test_one_that_can_not_be_written_down_is_not_left_to_itself(box: ProxyBox) -> None:
    """As on a full disk: started, it would hold the ports against its own successor, or be a zombie for ever."""
    await box.run()
    pid = box.proxy.status().pid
    assert pid is not None
    workers = psutil.Process(pid).children()
    record = box.home.run / "nginx.json"
    record.unlink()
    record.mkdir()  # no file takes its place
    os.kill(pid, signal.SIGKILL)
    try:
        await eventually(lambda: "proxy.config" in box.conditions.open, 20)
        await eventually(lambda: not [p for p in psutil.Process().children() if "nginx" in p.name()], 10)
    finally:
        for worker in workers:
            if alive(worker):
                worker.kill()


def alive(process: psutil.Process) -> bool:
    """Ended but not yet reaped by init is not alive."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_restarted_appliance_adopts(box: ProxyBox) -> None:
    site = await box.add()
    await box.run()
    before = box.proxy.status()
    await box.halt()
    async with box.client() as client:
        assert (await client.get(box.site_url(site))).status == 200, "nginx serves without the appliance"
    box.proxy = box.make()
    await box.run()
    after = box.proxy.status()
    assert (after.pid, after.version) == (before.pid, before.version)


async def test_adopts_without_its_record(box: ProxyBox) -> None:
    await box.run()
    pid = box.proxy.status().pid
    await box.halt()
    (box.home.run / "nginx.json").unlink()
    box.proxy = box.make()
    await box.run()
    assert box.proxy.status().pid == pid


async def test_never_takes_a_stranger_for_ours(box: ProxyBox, tmp_path: Path) -> None:
    """A record whose pid belongs to another process by now, and another box's nginx, are left alone."""
    await box.run()
    other = Nginx(Home(tmp_path / "other"))
    other._home.run.mkdir(parents=True)
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    record = Identity(pid=stranger.pid, start_time=1, boot_id=boot_id())
    (other._home.run / "nginx.json").write_bytes(msgspec.json.encode(record))
    try:
        assert not other.adopt()
        await other.stop()
        assert stranger.returncode is None
        assert box.proxy.status().running
    finally:
        stranger.kill()
        await stranger.wait()


async def test_nginx_missing_names_the_package(tmp_path: Path) -> None:
    box = ProxyBox(tmp_path / "h", nginx="nginx-that-is-not-there")
    assert not await box.proxy.apply()
    problem = box.conditions.open["proxy.config"]
    assert "not installed" in problem["cause"]
    assert "apt-get install" in problem["next_step"]


async def test_stop_leaves_nothing(box: ProxyBox) -> None:
    await box.run()
    pid = box.proxy.status().pid
    assert pid is not None
    processes = [psutil.Process(pid), *psutil.Process(pid).children()]
    await box.halt()
    await box.make().stop()
    assert not [p for p in processes if alive(p)]
    await box.make().stop()  # again is fine


async def test_renewed_certificate_is_taken_up(box: ProxyBox) -> None:
    await box.run()
    version = box.proxy.status().version
    (box.home.tls / "box.key").unlink()
    box.proxy.poke()
    await eventually(lambda: box.proxy.status().version != version)
    async with box.client() as client:
        assert (await client.get(box.url)).status == 200


async def test_configuration_test_is_bounded_and_clean(box: ProxyBox, tmp_path: Path) -> None:
    nginx = Nginx(box.home)
    nginx.prepare()
    wrong = tmp_path / "wrong.conf"
    wrong.write_text("events {}\nhttp { server { listen nonsense:port; } }\n")
    with pytest.raises(ConfigRefused, match="nonsense"):
        await nginx.test(wrong)


async def test_log_is_capped(box: ProxyBox) -> None:
    await box.run()
    log = box.home.logs / "nginx.log"
    with log.open("ab") as file:
        file.truncate(6 * 2**20)
    box.proxy.poke()
    await eventually(lambda: log.with_suffix(".log.1").exists() and log.exists() and log.stat().st_size < 2**20)


async def test_two_boxes_side_by_side(box: ProxyBox, tmp_path: Path) -> None:
    other = ProxyBox(tmp_path / "second")
    try:
        await box.run()
        await other.run()
        await other.halt()
        await other.make().stop()
        async with box.client() as client:
            assert (await client.get(box.url)).status == 200
    finally:
        await other.close()


def _family(box: ProxyBox) -> tuple[int, list[int]]:
    master = box.proxy.status().pid
    assert master is not None
    return master, [p.pid for p in psutil.Process(master).children()]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.system.rounds.PROBE_S", 0.2)
    monkeypatch.setattr("appliance.system.rounds.PROBE_AGAIN_S", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_frozen_master_is_replaced(box: ProxyBox) -> None:
    site = await box.add()
    await box.run()
    master, _ = _family(box)
    os.kill(master, signal.SIGSTOP)
    await eventually(lambda: box.proxy.status().pid not in (None, master), 30)
    await box.settled()
    assert not psutil.pid_exists(master) or psutil.Process(master).status() == psutil.STATUS_ZOMBIE
    async with box.client() as client, client.get(box.site_url(site)) as answer:
        assert answer.status == 200


@pytest.mark.usefixtures("impatient")
async def test_frozen_worker_is_replaced_and_the_others_go_on(box: ProxyBox) -> None:
    site = await box.add()
    await box.run()
    master, workers = _family(box)
    os.kill(workers[0], signal.SIGSTOP)
    await eventually(lambda: workers[0] not in _family(box)[1], 30)
    assert box.proxy.status().pid == master
    assert set(workers[1:]) <= set(_family(box)[1])
    async with box.client() as client:
        for _ in range(10):
            async with client.get(box.site_url(site)) as answer:
                assert answer.status == 200


@pytest.mark.usefixtures("impatient")
async def test_frozen_all_is_replaced_while_a_change_waits(box: ProxyBox) -> None:
    await box.run()
    master, workers = _family(box)
    for pid in (master, *workers):
        os.kill(pid, signal.SIGSTOP)
    site = await box.add()
    box.proxy.poke()
    await eventually(lambda: box.proxy.status().pid not in (None, master), 60)
    await box.settled()
    async with box.client() as client, client.get(box.site_url(site)) as answer:
        assert answer.status == 200


async def test_one_slow_answer_replaces_nobody(box: ProxyBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.system.rounds.PROBE_S", 0.1)
    await box.run()
    master, workers = _family(box)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    await eventually(lambda: box.proxy._rounds.misses >= 1)
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    await eventually(lambda: box.proxy._rounds.misses == 0)
    assert _family(box) == (master, workers)
