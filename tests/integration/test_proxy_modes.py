"""The access modes `host` and `path` in a real nginx, and what is said at addresses of before."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.proxy import pages
from appliance.proxy.controller import NAME
from appliance.proxy.model import Site
from appliance.system.access import Former
from appliance.system.tls import AcceptedName
from tests.proxy_box import ProxyBox, raw
from tests.support import eventually

pytestmark = pytest.mark.real

HOST = {"mode": "host", "domain": "plant.example", "names": []}
PATH = {"mode": "path", "path_is_one_trust_domain": True, "names": []}


async def running(root: Path, former: Former, ingress: dict[str, Any]) -> ProxyBox:
    box = ProxyBox(root, **ingress)
    box.former = former
    await box.add("Line-1")
    await box.add("two")
    await box.run()
    return box


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[ProxyBox]:
    box = await running(tmp_path / "h", Former(ports=True, paths=True, domain=AcceptedName("old.example")), HOST)
    yield box
    await box.close()


@pytest.fixture
async def paths(tmp_path: Path) -> AsyncIterator[ProxyBox]:
    box = await running(tmp_path / "h", Former(ports=True), PATH)
    yield box
    await box.close()


async def get(
    box: ProxyBox, host: str, path: str = "/", *, port: int = 0, tls_name: str = "", **headers: str
) -> aiohttp.ClientResponse:
    """Ask nginx as a browser that has this name in its address bar; the certificate must be good for it."""
    shown = port or box.config.listen.https
    async with box.client() as client:
        answer = await client.get(
            f"https://localhost:{shown}{path}",
            headers={"Host": f"{host}:{shown}", **headers},
            server_hostname=tls_name or host,
            allow_redirects=False,
        )
        await answer.read()
        return answer


async def test_an_instance_at_a_name_of_its_own(hosts: ProxyBox) -> None:
    https = hosts.config.listen.https
    answer = await get(hosts, "line-1.plant.example", "/red/x?y=1", Cookie="__Host-weir_sid=secret; a=1")
    told = await answer.json()
    headers = {name.lower(): value for name, value in told["headers"]}
    assert told["path"] == "/red/x?y=1"
    assert headers["host"] == headers["x-forwarded-host"] == f"line-1.plant.example:{https}"
    assert headers["x-weir-platform"] == f"https://plant.example:{https}"
    assert headers["cookie"] == "a=1"
    assert hosts.ups[hosts.sites[0].instance_id].requests and not hosts.ups[hosts.sites[1].instance_id].requests
    # Browsers ask another name over a connection whose certificate is good for it: the name in the request counts.
    await get(hosts, "TWO.plant.example", tls_name="line-1.plant.example")
    assert hosts.ups[hosts.sites[1].instance_id].requests
    for name in ("plant.example", "localhost"):
        assert (await get(hosts, name)).status == 200
        assert hosts.platform.requests.pop().headers["Host"] == f"{name}:{https}"


async def test_a_websocket_under_its_own_name(hosts: ProxyBox) -> None:
    url = f"wss://localhost:{hosts.config.listen.https}/ws"
    host = {"Host": f"two.plant.example:{hosts.config.listen.https}"}
    async with hosts.client() as client, client.ws_connect(url, headers=host) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"


async def test_its_page_while_it_is_away(hosts: ProxyBox) -> None:
    hosts.flag(hosts.sites[0]).unlink()
    pages.render_stopped(hosts.home, hosts.sites[0].instance_id, "Line-1", "stopped")
    answer = await get(hosts, "line-1.plant.example")
    assert answer.status == 503 and "Line-1 is stopped" in await answer.text()
    assert (await get(hosts, "two.plant.example")).status == 200


@pytest.mark.parametrize(
    ("host", "tls_name", "target"),
    [
        ("nobody.plant.example", "", "https://plant.example:{https}/"),
        ("line-1.old.example", "", "https://line-1.plant.example:{https}/"),
        ("nobody.old.example", "", "https://plant.example:{https}/"),
        ("localhost|/i/line-1/red", "", "https://line-1.plant.example:{https}/"),
        ("localhost|/i/nobody", "", "https://localhost:{https}/"),
    ],
)
async def test_a_wrong_name_leads_to_the_right_one(hosts: ProxyBox, host: str, tls_name: str, target: str) -> None:
    name, _, path = host.partition("|")
    answer = await get(hosts, name, path or "/", tls_name=tls_name)
    assert answer.status == 421
    assert f"<a href='{target.format(https=hosts.config.listen.https)}'>" in await answer.text()
    assert not hosts.platform.requests


async def test_a_wrong_port_in_the_host_header_reaches_nobody(hosts: ProxyBox) -> None:
    request = b"GET / HTTP/1.1\r\nHost: line-1.plant.example:9\r\nConnection: close\r\n\r\n"
    answer = await raw(hosts.config.listen.https, request, context=hosts.trust(), name="line-1.plant.example")
    assert answer.startswith(b"HTTP/1.1 421")
    other = b"GET https://line-1.plant.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    answer = await raw(hosts.config.listen.https, other, context=hosts.trust(), name="line-1.plant.example")
    assert answer.startswith(b"HTTP/1.1 421")
    assert not hosts.ups[hosts.sites[0].instance_id].requests


async def test_the_old_port_says_where_it_is_now(hosts: ProxyBox) -> None:
    site, https = hosts.sites[0], hosts.config.listen.https
    answer = await get(hosts, "localhost", "/red", port=site.public_port)
    text = await answer.text()
    assert answer.status == 421 and f"<a href='https://line-1.plant.example:{https}/'>" in text
    unknown = await get(hosts, "evil.example", port=site.public_port, tls_name="localhost")
    assert unknown.status == 421 and "line-1" not in await unknown.text()
    assert not hosts.ups[site.instance_id].requests


async def test_plain_http_leads_to_the_instance(hosts: ProxyBox) -> None:
    async with hosts.client() as client:
        host = {"Host": "line-1.plant.example"}
        answer = await client.get(f"{hosts.http}/red?a=1", headers=host, allow_redirects=False)
        assert answer.status == 302
        trust = await client.get(f"{hosts.http}/ca.crt", headers=host)
        assert trust.status == 200, "trust begins under any name"
        assert answer.headers["Location"] == f"https://line-1.plant.example:{hosts.config.listen.https}/red?a=1"


async def test_the_platforms_own_name_comes_first(tmp_path: Path) -> None:
    box = ProxyBox(tmp_path / "h", **{**HOST, "names": ["weir.plant.example"]})
    clash, good = await box.add("Weir"), await box.add("two")
    await box.run_until(1)
    try:
        key = f"{NAME}{clash.instance_id}"
        assert "weir instance set weir name=OTHER" in box.conditions.open[key]["next_step"]
        assert (await get(box, "weir.plant.example")).status == 200 and box.platform.requests
        assert not box.ups[clash.instance_id].requests
        box.sites = [good, Site(clash.instance_id, "free", clash.public_port, clash.node_red_port, "free")]
        box.proxy.poke()
        await box.settled()
        assert key not in box.conditions.open
        assert (await get(box, "free.plant.example")).status == 200
    finally:
        await box.close()


async def test_an_old_port_that_is_taken_is_no_problem(tmp_path: Path) -> None:
    import socket

    box = ProxyBox(tmp_path / "h", **HOST)
    box.former = Former(ports=True)
    site = await box.add()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", site.public_port))
        taken.listen()
        await box.run()
        try:
            assert box.conditions.open == {}
            assert (await get(box, "line-1.plant.example")).status == 200
        finally:
            await box.close()


# path


async def test_an_instance_below_a_path(paths: ProxyBox) -> None:
    https = paths.config.listen.https
    answer = await get(paths, "localhost", "/i/line-1/red/x?y=1", Cookie="__Host-weir_sid=secret; a=1")
    told = await answer.json()
    headers = {name.lower(): value for name, value in told["headers"]}
    assert told["path"] == "/i/line-1/red/x?y=1", "Node-RED serves at that path itself"
    assert headers["x-weir-platform"] == f"https://localhost:{https}"
    assert headers["cookie"] == "a=1"
    for path in ("/i/line-1", "/i/line-1?a=b"):
        answer = await get(paths, "localhost", path)
        assert answer.status == 301 and answer.headers["Location"] == path.replace("line-1", "line-1/")
    await get(paths, "localhost", "/account/login")
    assert [request.path for request in paths.platform.requests] == ["/account/login"]


async def test_cookies_and_workers_stay_below_the_path(paths: ProxyBox) -> None:
    sent = {
        "a=1; Path=/": "a=1; Path=/i/line-1/",
        "a=1; path=/x": "a=1; path=/i/line-1/x",
        "a=1; Path=/i/line-1/auth": "a=1; Path=/i/line-1/auth",
        "a=1; Path=/i/two/": "a=1; Path=/i/line-1/i/two/",
        "a=1": "a=1",
    }
    for cookie, expected in sent.items():
        query = f"?set-Set-Cookie={cookie.replace(' ', '%20').replace(';', '%3B').replace('=', '%3D')}"
        answer = await get(paths, "localhost", f"/i/line-1/{query}&set-Service-Worker-Allowed=/")
        assert answer.headers["Set-Cookie"] == expected
        assert "Service-Worker-Allowed" not in answer.headers


async def test_pages_of_nginx_below_the_path(paths: ProxyBox) -> None:
    site = paths.sites[0]
    paths.flag(site).unlink()
    pages.render_stopped(paths.home, site.instance_id, "Line-1", "crashed")
    answer = await get(paths, "localhost", "/i/line-1/")
    assert answer.status == 503 and "Line-1 has crashed" in await answer.text()
    assert answer.headers["Retry-After"] == "5"
    await paths.ups[paths.sites[1].instance_id].close()
    gone = await get(paths, "localhost", "/i/two/")
    assert gone.status == 503 and "stopped answering" in await gone.text()
    nobody = await get(paths, "localhost", "/i/nobody/")
    assert nobody.status == 404 and f"href='https://localhost:{paths.config.listen.https}/'" in await nobody.text()
    hidden = await get(paths, "localhost", f"/.weir-page/away/{site.instance_id}")
    assert hidden.status == 404 or not hidden.headers.get("Retry-After")


async def test_old_port_leads_below_the_path(paths: ProxyBox) -> None:
    answer = await get(paths, "localhost", "/red", port=paths.sites[0].public_port)
    assert answer.status == 421
    assert f"<a href='https://localhost:{paths.config.listen.https}/i/line-1/'>" in await answer.text()


async def test_a_websocket_below_the_path(paths: ProxyBox) -> None:
    up = paths.ups[paths.sites[0].instance_id]
    url = f"wss://localhost:{paths.config.listen.https}/i/line-1/ws"
    async with paths.client() as client, client.ws_connect(url) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
    await eventually(lambda: bool(up.requests))
    assert json.dumps([request.path for request in up.requests]) == '["/i/line-1/ws"]'
