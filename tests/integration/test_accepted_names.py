"""A name is added to a whole box and taken back: certificate, nginx, login and editor follow, and nothing restarts."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support import eventually, stack_cache
from tests.system.box import Box

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

NAME = "plant.other"
LOGIN = "/account/login"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "h", stack_cache())
    try:
        yield box
    finally:
        box.down()


def get(box: Box, port: int, path: str = LOGIN, *, trusted: bool = True, shown: int | None = None) -> httpx.Response:
    """What a browser gets under `NAME`. `shown` is the port in the name, where that is another one than nginx's.

    Raises httpx.ConnectError when the certificate is not good for `NAME`, unless it is not to be trusted at all.
    """
    context = ssl.create_default_context(cafile=box.ca)
    if not trusted:
        context.check_hostname = False
    headers = {"Host": authority(shown or port), "Accept": "text/html"}
    with httpx.Client(verify=context, timeout=20) as client:
        return client.get(f"https://127.0.0.1:{port}{path}", headers=headers, extensions={"sni_hostname": NAME})


def authority(port: int) -> str:
    return NAME if port == 443 else f"{NAME}:{port}"


def status(box: Box, port: int, **how: Any) -> int:
    """0 when the certificate is not good for `NAME`."""
    try:
        return get(box, port, **how).status_code
    except httpx.ConnectError:
        return 0


async def everywhere(check: Callable[[], bool]) -> None:
    """Several times in a row: after a reload nginx's old workers may take connections for some milliseconds more."""
    await eventually(lambda: all(check() for _ in range(5)), 15)


def pids(box: Box) -> tuple[Any, ...]:
    status = box.status()
    nginx = (box.home / "nginx" / "nginx.pid").read_text().strip()
    processes = [(each["launcher_pid"], each["node_red_pid"]) for each in status["instances"]]
    return status["appliance"]["pid"], nginx, processes


async def test_add_use_restart_remove(box: Box) -> None:
    box.up()
    box.cli("instance", "start", "first", "--wait")
    platform = urlsplit(box.url).port or 443
    editor = urlsplit(box.instance_url("first")).port or 443
    before, url = pids(box), box.status()["appliance"]["url"]

    for port in (platform, editor):
        refused = get(box, port, trusted=False)
        assert (refused.status_code, f"weir name add {NAME}" in refused.text) == (421, True)
        with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
            get(box, port)

    box.cli("name", "add", NAME)
    await everywhere(lambda: status(box, platform) == status(box, editor, path="/") == 200)
    login = get(box, editor, "/auth/strategy")
    assert login.headers["location"].startswith(f"https://{authority(platform)}/account/authorize?")
    asked = urlsplit(login.headers["location"])
    assert get(box, platform, f"{asked.path}?{asked.query}").status_code in (302, 303), "the way back is allowed"
    assert pids(box) == before
    assert box.status()["appliance"]["url"] == url
    assert NAME in ca_page(box)

    box.down()
    box.up()
    assert get(box, platform).status_code == 200, "at once: the certificate was made with the name"

    box.cli("name", "remove", NAME)
    await everywhere(lambda: status(box, platform, trusted=False) == status(box, editor, trusted=False) == 421)
    with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
        get(box, platform)


async def test_a_port_of_its_own_and_the_fingerprint(box: Box) -> None:
    """Behind a router that forwards another port; and what `weir status` shows is what the CA page shows."""
    (box.home / "config.toml").write_text(
        f'[login]\nadmin_password_file = "{box.password_file}"\n[first]\ninstance = ""\n'
    )
    box.up()
    platform = urlsplit(box.url).port or 443
    box.cli("name", "add", f"{NAME}:9443")
    await everywhere(lambda: status(box, platform, shown=9443) == 200)
    assert get(box, platform).status_code == 421, "without that port it is another name"
    listed = box.json("name", "list")
    assert {"name": NAME, "port": 9443, "source": "added"} in listed["names"]

    fingerprint = box.status()["appliance"]["caFingerprint"]
    assert f"CA SHA-256 {fingerprint}\n" in box.cli("status").stdout
    assert fingerprint in ca_page(box)
    assert len(fingerprint.split(":")) == 32


def ca_page(box: Box) -> str:
    return httpx.get(f"http://127.0.0.1:{_http_port(box)}/").text


def _http_port(box: Box) -> int:
    """The port of the CA page, which the box may have had to choose."""
    chosen = box.home / "state" / "ports.toml"
    lines = chosen.read_text().splitlines() if chosen.exists() else []
    found = [int(line.partition("=")[2]) for line in lines if line.split("=")[0].strip() == "http"]
    return found[0] if found else 80
