"""A whole box with the real Node-RED and nginx: started, killed, adopted, stopped by the commands a user types."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support import ROOT, eventually, stack_cache
from tests.system.box import Box

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "h", stack_cache())
    try:
        yield box
    finally:
        box.down()
        assert processes_of(box.home) == []


def processes_of(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(home) in line and process.pid != os.getpid():
            found.append(line)
    return found


def appliance(home: Path, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance", *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, stdin=-3)


async def running(box: Box, name: str = "first", *, other_than: int | None = None) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        with box.api() as api:
            instances = api.get("/box/status").json()["instances"]
        found = [i for i in instances if i["name"] == name and i["state"] == "running"]
        return found[0] if found and found[0]["launcher_pid"] != other_than else None

    return await eventually(look, 60, every_s=0.1, what=f"{name} runs")


def through_nginx(instance: dict[str, Any], box: Box) -> int:
    url = re.sub(r"//[^/:]+", "//localhost", instance["url"])
    return httpx.get(url, verify=ssl.create_default_context(cafile=box.ca)).status_code


async def test_killed_appliance_is_started_again_and_nobody_notices(box: Box) -> None:
    box.up()
    before = await running(box)
    pid = box.status()["appliance"]["pid"]
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not psutil.pid_exists(pid))
    assert through_nginx(before, box) == 200
    box.up()
    after = await running(box)
    assert (after["launcher_pid"], after["node_red_pid"]) == (before["launcher_pid"], before["node_red_pid"])
    assert through_nginx(after, box) == 200
    assert box.status()["problems"] == [] or "disk" in str(box.status()["problems"])


async def test_second_start_is_refused_and_second_up_changes_nothing(box: Box) -> None:
    box.up()
    before = await running(box)
    pid = box.status()["appliance"]["pid"]
    refused = appliance(box.home, "serve")
    assert refused.returncode == 1
    assert f"as pid {pid}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert f"runs already, pid {pid}" in box.up()
    assert box.status()["appliance"]["pid"] == pid
    assert (await running(box))["launcher_pid"] == before["launcher_pid"]


async def test_down_ends_all_and_up_brings_back_what_was_wanted(box: Box) -> None:
    box.up()
    await running(box)
    box.cli("instance", "create", "second", "--wait")
    box.cli("instance", "stop", "second", "--wait")
    before = {i["name"]: i["url"] for i in box.status()["instances"]}
    box.down()
    assert processes_of(box.home) == []
    assert list((box.home / "run" / "up").iterdir()) == []
    box.up()
    first = await running(box)
    states = {i["name"]: i["state"] for i in box.status()["instances"]}
    assert states == {"first": "running", "second": "stopped"}
    assert {i["name"]: i["url"] for i in box.status()["instances"]} == before
    assert through_nginx(first, box) == 200


async def test_killed_launcher_takes_its_node_red_along_and_comes_back(box: Box) -> None:
    box.up()
    before = await running(box)
    os.kill(before["launcher_pid"], signal.SIGKILL)
    after = await running(box, other_than=before["launcher_pid"])
    assert after["node_red_pid"] != before["node_red_pid"]
    # Whoever is init here may take a moment to bury it.
    assert await eventually(lambda: ended(before["node_red_pid"]))
    shown = box.instance("first")
    assert shown["meta"]["restarts"] == 1
    assert await eventually(lambda: through_nginx(after, box) == 200)


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def what_is_seen_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()


async def test_secrets_are_in_no_arguments_and_environments(box: Box) -> None:
    box.up()
    instance = await running(box)
    for pid in (instance["launcher_pid"], instance["node_red_pid"], box.status()["appliance"]["pid"]):
        seen = what_is_seen_of(pid)
        assert not re.search(r"ff[a-z]{1,3}_[A-Za-z0-9_-]{20}", seen)
        assert box.password not in seen


async def test_two_boxes_side_by_side(box: Box, tmp_path: Path) -> None:
    other = Box(tmp_path / "other", stack_cache())
    try:
        box.up()
        other.up()
        one, two = await running(box), await running(other)
        assert one["url"] != two["url"]
        assert through_nginx(one, box) == through_nginx(two, other) == 200
        other.down()
        assert through_nginx(one, box) == 200
    finally:
        other.down()


async def test_password_is_shown_once(box: Box) -> None:
    (box.home / "config.toml").unlink()
    shown = re.search(r"Log in as admin with the password (\S+)", box.up())
    assert shown
    assert not (box.home / "state" / "first-admin-password").exists()
    assert "password" not in box.up()
    with box.api() as api:
        answer = api.get("/instances").json()
    assert answer["count"] == 1
    assert shown[1] not in (box.home / "logs" / "appliance.log").read_text()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[listen]\nhtpps = 1\n", "did you mean 'listen.https'"),
        ("[ingress]\nnginx = 'no-such-nginx'\n", "apt-get install nginx"),
        ("[ingress]\nnames = ['not a name']\n", "not a host name"),
        ("driver = 'localf'\n", "did you mean 'localfs'"),
        ("placer = 'unit'\n", "known placers"),
        ("[login]\nadmin_password_file = '/no/such/file'\n", "admin_password_file"),
    ],
)
async def test_bad_configuration_names_cause_and_next_step(box: Box, config: str, said: str) -> None:
    (box.home / "config.toml").write_text(config)
    refused = appliance(box.home, "up", "--detach")
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    (box.home / "config.toml").unlink()


async def test_port_in_use_is_named(box: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (box.home / "config.toml").write_text(f"[listen]\nport = {port}\n")
        refused = appliance(box.home, "up", "--detach")
    assert refused.returncode == 1
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "ss -ltnp" in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_down_without_a_box(tmp_path: Path) -> None:
    done = appliance(tmp_path / "nothing", "down")
    assert (done.returncode, "does not run" in done.stdout) == (0, True)
    assert not (tmp_path / "nothing").exists()
