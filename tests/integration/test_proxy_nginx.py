"""The rendered configuration in a real nginx: what reaches an instance, and what does not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from appliance.proxy import pages
from appliance.proxy.model import Site
from tests.proxy_box import ProxyBox, raw

pytestmark = pytest.mark.real


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[ProxyBox]:
    box = ProxyBox(tmp_path / "h")
    await box.add()
    await box.run()
    try:
        yield box
    finally:
        await box.close()


def site(box: ProxyBox) -> Site:
    return box.sites[0]


async def seen(box: ProxyBox, cookie_headers: list[bytes]) -> list[str]:
    """The Cookie headers that the instance gets when a client sends these."""
    lines = b"".join(line + b"\r\n" for line in cookie_headers)
    host = f"localhost:{site(box).public_port}".encode()
    request = b"GET /x HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n" + lines + b"\r\n"
    answer = await raw(site(box).public_port, request, context=box.trust())
    body = json.loads(answer.partition(b"\r\n\r\n")[2].split(b"\r\n")[-1] or _chunks(answer))
    return [value for name, value in body["headers"] if name.lower() == "cookie"]


def _chunks(answer: bytes) -> bytes:
    match = re.search(rb"\{.*\}", answer, re.DOTALL)
    assert match, answer
    return match[0]


OWN = "OWN"  # stands for the name of the instance's own login cookie
CUT: list[tuple[list[str], list[str]]] = [
    (["__Host-weir_sid=secret"], []),
    (["a=1; __Host-weir_sid=secret; b=2"], ["a=1; b=2"]),
    (["weir_sid=secret; a=1"], ["a=1"]),
    (["a=1;weir_sid=secret;b=2"], ["a=1;b=2"]),
    (["a=1;   weir_sid=secret"], ["a=1"]),
    (["A=1; WEIR_SID=secret; __HOST-Weir_Form=secret"], ["A=1"]),
    (['a=1; weir_sid="secret; b=2'], ["a=1; b=2"]),
    (["a=1; __Secure-weir_sid=secret; __Host-weir_form=secret; b=2; weir_x=secret; c=3"], ["a=1; b=2; c=3"]),
    (["weir_sid=secret", "a=1"], ["a=1"]),
    (["a=1", "weir_sid=secret"], ["a=1"]),
    (["weir_sid =secret; a=1"], ["a=1"]),
    (["a=1; weir_sid"], ["a=1"]),
    ([f"weir_oauth_{uuid.uuid4()}=secret; a=1"], ["a=1"]),
    ([f"{OWN}=mine; weir_sid=secret"], [f"{OWN}=mine"]),
    ([f"weir_sid=secret; {OWN}=mine; weir_oauth_x=secret"], [f"{OWN}=mine"]),
    ([f"{OWN}=mine; {OWN}x=secret"], [f"{OWN}=mine"]),
    (["a=b, weir_sid=secret"], []),
    (['a="x weir_sid=secret"'], []),
    (["; ".join(f"weir_{n}=secret; a{n}=1" for n in range(6))], ["; ".join(f"a{n}=1" for n in range(6))]),
    (["; ".join(f"weir_{n}=secret; a{n}=1" for n in range(7))], []),
    (["my_weir_thing=1; sweir_sid=2"], ["my_weir_thing=1; sweir_sid=2"]),
    ([], []),
]


@pytest.mark.parametrize(("sent", "expected"), CUT)
async def test_cookies_of_weir_are_cut_in_every_spelling(box: ProxyBox, sent: list[str], expected: list[str]) -> None:
    own = f"weir_oauth_{site(box).instance_id}"
    got = await seen(box, [f"Cookie: {value.replace(OWN, own)}".encode() for value in sent])

    assert got == [value.replace(OWN, own) for value in expected]
    assert not any("secret" in value for value in got)


@pytest.mark.parametrize("kind", ["editor", "oauth", "http", "http_login"])
async def test_logins_of_the_instance_itself_pass(box: ProxyBox, kind: str) -> None:
    """Of its editor and of its flows' pages; those of another instance do not."""
    own, other = f"weir_{kind}_{site(box).instance_id}=mine", f"weir_{kind}_{uuid.uuid4()}=secret"
    assert await seen(box, [f"Cookie: {other}; {own}; weir_{kind}=secret; a=1".encode()]) == [f"{own}; a=1"]


async def test_no_odd_bytes_bring_a_cookie_through(box: ProxyBox) -> None:
    """Whatever the spelling of the header, the value of the session never arrives."""
    for line in (b"Cookie:weir_sid=secret", b"cookie: \tweir_sid=secret", b"COOKIE: a=1;\tweir_sid=secret"):
        assert "secret" not in str(await seen(box, [line]))
    for line in (b"Cookie : weir_sid=secret", b"Cookie: a=1\r\n weir_sid=secret", b"Cookie_: weir_sid=secret"):
        host = f"localhost:{site(box).public_port}".encode()
        request = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n" + line + b"\r\n\r\n"
        answer = await raw(site(box).public_port, request, context=box.trust())
        assert b'"Cookie", "' not in answer, (line, answer)


async def test_headers_are_set_not_added_to(box: ProxyBox) -> None:
    forged = {
        "X-Forwarded-Host": "evil",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-For": "1.2.3.4",
        "X-Weir-Platform": "https://evil",
        "X-Forwarded-Port": "1",
        "Forwarded": "for=evil",
        "X-Real-IP": "1.2.3.4",
    }
    async with box.client() as client:
        for url in (box.url, box.site_url(site(box))):
            answer = await (await client.get(url, headers=forged)).json()
            headers = {name.lower(): value for name, value in answer["headers"]}
            assert headers["x-forwarded-host"] == url.removeprefix("https://")
            assert headers["x-forwarded-proto"] == "https"
            assert headers["x-forwarded-for"] == headers["x-real-ip"]
            assert headers["x-real-ip"] in ("127.0.0.1", "::1")  # what localhost is here
            assert "forwarded" not in headers
            assert "x-forwarded-port" not in headers
            assert "evil" not in str(headers)
        assert headers["x-weir-platform"] == box.url


async def test_name_with_a_port_of_its_own(box: ProxyBox) -> None:
    """`plant.example:8444` is the platform from outside; an instance keeps its port under that name."""
    async with box.client() as client:
        answer = await client.get(box.url, headers={"Host": "plant.example:8444"}, server_hostname="plant.example")
        assert answer.status == 200
        assert ["Host", "plant.example:8444"] in (await answer.json())["headers"]
        wrong = await client.get(box.url, headers={"Host": f"plant.example:{box.config.listen.https}"})
        assert wrong.status == 421
        port = site(box).public_port
        answer = await client.get(box.site_url(site(box)), headers={"Host": f"plant.example:{port}"})
        assert ["X-Weir-Platform", "https://plant.example:8444"] in (await answer.json())["headers"]


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("plant.other", "weir name add plant.other"),
        ("plant.other:8443", "weir name add plant.other:8443"),
        ("plant.other:PORT", "weir name add plant.other"),
        ("[2001:db8::9]:8443", "weir name add [2001:db8::9]:8443"),
        ("a<script>alert(1)", "weir name add HOST"),
        ('x"onload="y', "weir name add HOST"),
        ("localhost", "weir name add localhost"),
        ("localhost:1", "weir name add localhost:1"),
    ],
)
async def test_unknown_name_is_told_the_command(box: ProxyBox, host: str, named: str) -> None:
    host = host.replace("PORT", str(box.config.listen.https))
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    answer = (await raw(box.config.listen.https, request, context=box.trust())).decode()

    assert answer.startswith("HTTP/1.1 421 ")
    assert answer.endswith(f"<pre>{named}")
    assert not box.platform.requests


async def test_unknown_name_reaches_no_instance(box: ProxyBox) -> None:
    port = site(box).public_port
    for host in (b"evil.example", f"evil.example:{port}".encode(), b"localhost", b"localhost:1", b""):
        request = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        answer = await raw(port, request, context=box.trust())
        assert answer.split(b" ")[1] in (b"421", b"400"), (host, answer)
    absolute = f"GET https://evil.example/ HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    assert (await raw(port, absolute.encode(), context=box.trust())).split(b" ")[1] == b"421"
    mixed = f"GET https://localhost:{port}/ HTTP/1.1\r\nHost: plant.example:{port}\r\nConnection: close\r\n\r\n"
    assert (await raw(port, mixed.encode(), context=box.trust())).split(b" ")[1] == b"421"
    assert not box.ups[site(box).instance_id].requests


async def test_addresses_are_names_too(box: ProxyBox) -> None:
    async with box.client() as client:
        for host in ("127.0.0.1", "[::1]"):
            answer = await client.get(f"https://{host}:{box.config.listen.https}/")
            assert ["Host", f"{host}:{box.config.listen.https}"] in (await answer.json())["headers"]


async def test_flag_file_opens_and_closes_at_once(box: ProxyBox) -> None:
    version = box.proxy.status().version
    pages.render_stopped(box.home, site(box).instance_id, "line <1>", "crashed", "exit", "flows </p><script>")
    async with box.client() as client:
        assert (await client.get(box.site_url(site(box)))).status == 200
        box.flag(site(box)).unlink()
        for method in ("GET", "POST", "HEAD"):
            answer = await client.request(method, box.site_url(site(box)) + "/flows")
            assert answer.status == 503
            assert answer.headers["Cache-Control"] == "no-store"
        text = await (await client.get(box.site_url(site(box)))).text()
        assert "line &lt;1&gt; has crashed" in text
        assert "flows &lt;/p&gt;&lt;script&gt;" in text
        assert "<script" not in text
        box.flag(site(box)).touch()
        assert (await client.get(box.site_url(site(box)))).status == 200
    assert box.proxy.status().version == version


async def test_instance_that_just_went_away(box: ProxyBox) -> None:
    """The flag is still there but nobody listens: a page that looks again, not nginx's own."""
    await box.ups[site(box).instance_id].close()
    async with box.client() as client:
        answer = await client.get(box.site_url(site(box)))
        assert answer.status == 503
        assert "stopped answering" in await answer.text()


async def test_pages_of_the_proxy_cannot_be_asked_for(box: ProxyBox) -> None:
    async with box.client() as client:
        for path in ("/.weir-page/away", "/.weir-page/gone"):
            assert (await client.get(box.site_url(site(box)) + path)).status == 404


async def test_answers_of_a_flow_do_not_steer_nginx(box: ProxyBox) -> None:
    hostile = {
        "set-X-Accel-Redirect": "/.weir-page/away",
        "set-Strict-Transport-Security": "max-age=99999999",
        "set-Clear-Site-Data": '"*"',
        "set-Alt-Svc": 'h2="evil:1"',
        "set-X-Mine": "1",
    }
    async with box.client() as client:
        answer = await client.get(box.site_url(site(box)) + "/x", params=hostile)
        assert answer.status == 200
        assert answer.headers["X-Mine"] == "1"
        assert not {"Strict-Transport-Security", "Clear-Site-Data", "Alt-Svc"} & set(answer.headers)


async def test_websocket_passes(box: ProxyBox) -> None:
    async with box.client() as client, client.ws_connect(box.site_url(site(box)) + "/ws") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=5) == "hello"


async def test_large_body_streams_to_the_instance(box: ProxyBox) -> None:
    """It arrives while it is still being sent: nothing is kept on the box's disk first."""
    up = box.ups[site(box).instance_id]
    chunk = bytes(2**20)

    async def body() -> AsyncIterator[bytes]:
        yield chunk
        await asyncio.wait_for(up.eating.wait(), 10)  # the first megabyte is there before the rest is sent
        for _ in range(98):
            yield chunk

    async with box.client() as client:
        answer = await client.post(box.site_url(site(box)) + "/eat", data=body())
        assert (await answer.json())["size"] == 99 * 2**20
    assert not list((box.home.nginx / "tmp" / "body").rglob("*"))


async def test_body_over_the_limit_is_refused(box: ProxyBox) -> None:
    head = f"POST /eat HTTP/1.1\r\nHost: localhost:{site(box).public_port}\r\nContent-Length: 200000000\r\n\r\n"
    answer = await raw(site(box).public_port, head.encode(), context=box.trust())
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_plain_port_gives_the_ca_and_redirects_the_rest(box: ProxyBox) -> None:
    async with box.client() as client:
        page = await (await client.get(box.http)).text()
        assert re.search(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", page)
        assert 'name="viewport"' in page
        ca = await client.get(box.http + "/ca.crt")
        assert ca.content_type == "application/x-x509-ca-cert"
        assert await ca.read() == (box.home.tls / "ca.crt").read_bytes()
        answer = await client.get(box.http + "/a?b", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, box.url + "/a?b")
        unknown = await client.get(box.http + "/a", headers={"Host": "evil.example"}, allow_redirects=False)
        assert unknown.status == 421


async def test_platform_away(box: ProxyBox) -> None:
    await box.platform.close()
    async with box.client() as client:
        answer = await client.get(box.url)
        assert answer.status == 503
        assert "Weir is starting" in await answer.text()


async def test_http2_and_only_modern_tls(box: ProxyBox) -> None:
    context = box.trust()
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("localhost", box.config.listen.https, ssl=context)
    shaken: Any = writer.get_extra_info("ssl_object")
    assert shaken.selected_alpn_protocol() == "h2"
    assert shaken.version() == "TLSv1.3"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_certificate_covers_every_accepted_name(box: ProxyBox) -> None:
    for name in ("localhost", "127.0.0.1", "::1", "plant.example", "weir-test", "weir-test.local"):
        await raw(box.config.listen.https, b"GET / HTTP/1.0\r\n\r\n", context=box.trust(), name=name)


async def test_gzip_for_instances_only(box: ProxyBox) -> None:
    headers = {"Accept-Encoding": "gzip", "X-Long": "x" * 4000}
    async with box.client() as client:
        assert (await client.get(box.site_url(site(box)), headers=headers)).headers.get("Content-Encoding") == "gzip"
        assert "Content-Encoding" not in (await client.get(box.url, headers=headers)).headers


PLANTED = "__Host-weir_sid=planted"
PLANTINGS = [
    f"{PLANTED}; Path=/; Secure; HttpOnly",
    f"{PLANTED}; path=/; SECURE",
    f"{PLANTED};Secure;Secure;Path=/",
    f"{PLANTED};   Secure   ; Path=/",
    f"{PLANTED}; Secure=; Path=/",
    f"{PLANTED}; Secure=1; Path=/; secure",
    f"\t{PLANTED}; Secure; Path=/",
    "__Host-weir_sid\t=planted; Secure; Path=/",
    "__Host-weir_sid = planted; Secure; Path=/",
    f"{PLANTED};; ; Secure; Path=/",
    f"{PLANTED}; Path=/; Secure;",
    "__Host-weir_http_5b1de0f0-7a4c-4c07-9a3f-2f7c5c1f9d10=planted; Path=/; Secure",
]


@pytest.mark.parametrize("planted", PLANTINGS)
async def test_an_instance_plants_no_cookie_of_the_platform(box: ProxyBox, planted: str) -> None:
    """Browsers refuse a __Host- cookie that is not Secure (RFC 6265bis §5.7); everything else is left as it is."""
    port = site(box).public_port
    query = urlencode({"set-Set-Cookie": planted})
    request = f"GET /?{query} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    answer = (await raw(port, request.encode(), context=box.trust())).partition(b"\r\n\r\n")[0].decode()
    lines = [line for line in answer.split("\r\n") if line.lower().startswith("set-cookie:")]
    for line in lines:
        attributes = [part.partition("=")[0].strip(" \t").lower() for part in line.split(";")[1:]]
        assert "secure" not in attributes, lines


async def test_cookies_of_an_instance_itself_pass(box: ProxyBox) -> None:
    of_logins = [
        f"{name}_{site(box).instance_id}=x; Path=/; HttpOnly; SameSite=Lax; Secure"
        for name in ("weir_oauth", "__Host-weir_oauth", "__Host-weir_http", "__Host-weir_http_login")
    ]
    for cookie in (*of_logins, "__Host-flow=1; Secure; Path=/", "a=1; Secure"):
        async with box.client() as client:
            answer = await client.get(f"{box.site_url(site(box))}/?{urlencode({'set-Set-Cookie': cookie})}")
            assert answer.headers["Set-Cookie"] == cookie
