"""The API over its real sockets: what is refused and how, what bodies are taken."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator

import pytest

from appliance.model import Role
from tests.web_box import API, WebBox, ask, raw

# Refusals


async def test_the_shape_of_a_refusal(box: WebBox) -> None:
    async with box.client("tcp").get(f"{API}/nothing") as answer:
        body = await answer.json()
        assert (answer.status, body["code"], body["error"]) == (404, "not_found", "Not Found")
        assert body["instance"] == answer.headers["X-Request-Id"] and len(body["instance"]) == 16
        assert (body["status"], body["title"]) == (404, "Not Found")
    async with box.client("tcp").get(f"{API}/user") as answer:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await answer.json())["hint"]


async def test_a_wrong_method_is_told_which_are_right(box: WebBox) -> None:
    for method, path, allowed in (
        ("PUT", f"{API}/stacks", "GET, HEAD, POST"),
        ("DELETE", f"{API}/instances", "GET, HEAD"),
        ("TRACE", f"{API}/user", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/healthz", "GET, HEAD"),
    ):
        async with box.client("api").request(method, path) as answer:
            body = await answer.json()
            assert (answer.status, body["code"], answer.headers["Allow"]) == (405, "not_found", allowed), path
            assert allowed in body["hint"]


async def test_what_nobody_foresaw_is_told_by_number_only(
    box: WebBox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(*_: object) -> None:
        raise KeyError("secret detail")

    monkeypatch.setattr(box.services.box, "status", breaks)
    with caplog.at_level(logging.ERROR):
        status, body = await ask(box.client("api"), "GET", f"{API}/box/status")
    assert (status, body["code"]) == (500, "unexpected_error")
    assert "secret detail" not in json.dumps(body)
    assert body["instance"] in caplog.text and "secret detail" in caplog.text


async def test_head_and_security_headers(box: WebBox) -> None:
    async with box.client("api").head(f"{API}/user") as answer:
        assert answer.status == 200 and await answer.read() == b""
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Server" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_doubled_headers_are_refused(box: WebBox) -> None:
    ann = await box.token(await box.person("ann", Role.VIEWER))
    answer = await raw(
        box,
        f"GET {API}/user HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ann}\r\nAuthorization: Bearer x\r\n"
        "Connection: close\r\n\r\n".encode(),
    )
    assert b" 400 " in answer.splitlines()[0] and b"there twice" in answer


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400),  # no name
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"name": 5}', "application/json", 400),
        (b'{"name": "\xff"}', "application/json", 400),
        (b"[" * 10_000 + b"]" * 10_000, "application/json", 400),
        (b'{"name": "deep", "flows": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "application/json", 400),
        (b'{"name": "deep", "other": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "application/json", 400),
        (b"name=x", "application/x-www-form-urlencoded", 415),
        (b'{"name": "plain"}', "text/plain", 415),
    ],
)
async def test_bodies_that_do_not_fit(box: WebBox, body: bytes, kind: str, status: int) -> None:
    got, told = await ask(box.client("api"), "POST", f"{API}/projects", data=body, headers={"Content-Type": kind})
    assert got == status, told
    assert told["code"] in ("invalid_request", "invalid_name") and told["error"]
    assert (await ask(box.client("api"), "GET", f"{API}/instances"))[1]["count"] == 0


async def test_a_hundred_megabytes_are_refused_without_being_read(box: WebBox) -> None:
    head = f"POST {API}/projects HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    token = await box.token(await box.person("olga", Role.OWNER))
    head += f"Authorization: Bearer {token}\r\n"
    answer = await raw(box, f"{head}Content-Length: {100 * 1024 * 1024}\r\n\r\n".encode())
    assert b" 413 " in answer.splitlines()[0], "answered before a byte of it was sent"

    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * 1024 * 1024

    client = box.client("tcp", token)
    with pytest.raises(Exception) as refused:  # noqa: PT011 - either the answer or the cut connection is seen first
        async with client.post(
            f"{API}/projects", data=chunks(), headers={"Content-Type": "application/json"}
        ) as answer2:
            assert answer2.status == 413
            raise ValueError("413")
    assert "413" in str(refused.value) or isinstance(refused.value, OSError | asyncio.IncompleteReadError)
    assert (await ask(box.client("api"), "GET", f"{API}/instances"))[1]["count"] == 0


async def test_rights_come_before_the_body(box: WebBox) -> None:
    """Without a token nobody makes us read megabytes."""
    answer = await raw(
        box,
        f"POST {API}/projects HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Content-Length: 9000000\r\n\r\n".encode(),
    )
    assert b" 401 " in answer.splitlines()[0]


async def test_compressed_bodies_are_refused(box: WebBox) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert (await ask(box.client("api"), "POST", f"{API}/projects", data=b"x", headers=headers))[0] == 415


@pytest.mark.parametrize("query", ["limit=x", "limit=0", "limit=100000", "cursor=zzz"])
async def test_queries_that_do_not_fit(box: WebBox, query: str) -> None:
    instance = await box.instance("first")
    status, body = await ask(box.client("api"), "GET", f"{API}/projects/{instance.id}/logs?{query}")
    assert (status, body["code"]) == (400, "invalid_request")


async def test_the_api_describes_itself(box: WebBox) -> None:
    for path in (f"{API}/openapi.json", "/api/openapi.json"):
        status, body = await ask(box.client("tcp"), "GET", path)
        assert (status, body["openapi"]) == (200, "3.1.0")
    status, page = await ask(box.client("tcp"), "GET", "/api/")
    assert status == 200 and "/api/v1/box/status" in page
    assert re.findall(r"<script[^>]*>[^<]*", page) == ['<script src="/assets/api.js">']  # our own, nothing inline


async def test_the_certificate_authority(box: WebBox) -> None:
    assert (await ask(box.client("web"), "GET", "/ca.crt"))[0] == 404
    box.context.home.tls.mkdir()
    (box.context.home.tls / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    async with box.client("web").get("/ca.crt") as answer:
        assert answer.status == 200 and answer.content_type == "application/x-x509-ca-cert"
