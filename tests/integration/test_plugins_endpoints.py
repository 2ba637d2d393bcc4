"""Who may use the pages and websockets of flows, on the real Node-RED with a fake platform."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest

from tests.plugins.fake_appliance import FakeAppliance
from tests.plugins.harness import NodeRed, jar
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real

FLOWS: list[dict[str, Any]] = [
    {"id": "tab", "type": "tab", "label": "Pages"},
    {"id": "in", "type": "http in", "z": "tab", "url": "/page", "method": "get", "wires": [["fn"]]},
    {"id": "poster", "type": "http in", "z": "tab", "url": "/page", "method": "post", "wires": [["fn"]]},
    {
        "id": "fn",
        "type": "function",
        "z": "tab",
        "func": "msg.payload = {who: msg.req.user?.username ?? null}; return msg;",
        "outputs": 1,
        "wires": [["out"]],
    },
    {"id": "out", "type": "http response", "z": "tab", "wires": []},
    {"id": "wsl", "type": "websocket-listener", "path": "/ws/echo", "wholemsg": "false"},
    {"id": "wsi", "type": "websocket in", "z": "tab", "server": "wsl", "wires": [["wso"]]},
    {"id": "wso", "type": "websocket out", "z": "tab", "server": "wsl", "wires": []},
]
PAGE = {"Accept": "text/html"}
GOOD = "ffhttp_" + "a" * 43


@asynccontextmanager
async def running(tmp_path: Path, **endpoints: str) -> AsyncIterator[tuple[NodeRed, FakeAppliance]]:
    async with FakeAppliance() as fake:
        fake.stored["flows"] = FLOWS
        options = {"httpAdminRoot": "", "forgeURL": fake.url, **endpoints}
        async with NodeRed(tmp_path / "red", fake, built_stack(), endpoints=options) as red:
            red.extra_boot = {"endpointsGoodMs": 50}
            await red.up()
            yield red, fake


class Visitor:
    """A browser at the flows' pages."""

    def __init__(self, red: NodeRed) -> None:
        self.red = red
        self.http = aiohttp.ClientSession(cookie_jar=jar())

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def ask(self, path: str = "/page", method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, text, and where it leads."""
        url = path if path.startswith("http") else self.red.url + path
        async with self.http.request(method, url, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text(), answer.headers.get("Location", "")

    async def upgrade(self, path: str = "/ws/echo", **headers: str) -> int:
        """101 when a message comes back, else the status."""
        try:
            async with self.http.ws_connect(self.red.url + path, headers=headers) as socket:
                await socket.send_str("hello")
                assert await socket.receive_str(timeout=10) == "hello"
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status

    async def login(self, user: str, fake: FakeAppliance, path: str = "/page?a=1") -> tuple[int, str, str]:
        status, _, location = await self.ask(path, **PAGE)
        assert status == 302, status
        return await self.ask(fake.authorize(location, user))


async def test_people_log_in_and_are_asked_for_again(tmp_path: Path) -> None:
    async with running(tmp_path, type="flowforge-user") as (red, fake), Visitor(red) as alice, Visitor(red) as other:
        status, text, location = await alice.ask(**PAGE)
        query = parse_qs(urlsplit(location).query)
        assert status == 302 and location.startswith(f"{fake.url}/account/authorize?") and "who" not in text
        assert query["scope"][0].startswith("httpAuth-") and query["redirect_uri"] == [f"{red.url}/_ffAuth/callback"]
        assert (await alice.ask())[0] == 401, "a program is not sent to a login page"
        assert await alice.upgrade() == 401
        back = await alice.login("alice", fake)
        assert back[0] == 302 and back[2] == "/page?a=1"
        assert (await alice.ask())[:2] == (200, '{"who":"alice"}')
        assert await alice.upgrade() == 101
        # A page of another instance is "same site": cookies come along, Origin tells.
        assert (await alice.ask(method="POST", Origin="https://evil.example"))[0] == 403
        assert await alice.upgrade(Origin="http://127.0.0.1:1") == 403
        assert (await alice.ask(method="POST", Origin=red.url))[0] == 200 and await alice.upgrade(Origin=red.url) == 101
        # A login is good in the browser that began it only.
        stolen = fake.authorize(await _begin(other), "alice")
        async with Visitor(red) as thief:
            assert (await thief.ask(stolen))[0] == 401
        # Whoever is thrown out of the team is out here as well.
        fake.refused_users.add("alice")

        async def is_out() -> bool:
            return (await alice.ask())[0] == 401

        await eventually(is_out)
        assert await alice.upgrade() == 401
        assert (await alice.ask("/settings"))[0] == 401, "the editor has its own login"


async def test_a_page_at_another_name_of_the_domain_logs_nobody_in(tmp_path: Path) -> None:
    """It can plant cookies for the whole domain, but none whose name begins with __Host-: so only such ones count."""
    nginx = {"X-Forwarded-Host": "line-1.plant.example", "X-Forwarded-Proto": "https"}
    async with running(tmp_path, type="flowforge-user") as (red, fake), Visitor(red) as mallory:
        attempt, state, code = await _begun(mallory, fake, nginx)
        back = f"/_ffAuth/callback?{urlencode({'state': state, 'code': code})}"
        plain = attempt.removeprefix("__Host-")
        assert (await mallory.ask(back, Cookie=plain, **nginx))[0] == 401, "a login that another page planted"
        async with mallory.http.get(
            red.url + back, headers={**nginx, "Cookie": attempt}, allow_redirects=False
        ) as answer:
            session = answer.headers["Set-Cookie"].partition(";")[0]
        assert session.startswith("__Host-weir_http_")
        assert (await mallory.ask(Cookie=session, **nginx))[0] == 200
        planted = session.removeprefix("__Host-")
        assert (await mallory.ask(Cookie=planted, **nginx))[0] == 401


async def _begun(visitor: Visitor, fake: FakeAppliance, nginx: dict[str, str]) -> tuple[str, str, str]:
    """The cookie of a login that was begun behind nginx, its state, and the code that the platform gave."""
    async with visitor.http.get(f"{visitor.red.url}/page", headers={**nginx, **PAGE}, allow_redirects=False) as answer:
        cookie, location = answer.headers["Set-Cookie"].partition(";")[0], answer.headers["Location"]
    visitor.http.cookie_jar.clear()
    query = parse_qs(urlsplit(fake.authorize(location, "alice")).query)
    return cookie, query["state"][0], query["code"][0]


async def _begin(visitor: Visitor) -> str:
    return (await visitor.ask(**PAGE))[2]


async def test_programs_come_with_tokens_and_an_absent_platform_throws_nobody_out(tmp_path: Path) -> None:
    async with running(tmp_path, type="flowforge-user") as (red, fake), Visitor(red) as program:
        assert (await program.ask(Authorization=f"Bearer {GOOD}"))[0] == 401
        fake.http_tokens.add(GOOD)

        async def is_in() -> bool:
            return (await program.ask(Authorization=f"Bearer {GOOD}"))[0] == 200

        await eventually(is_in)
        assert await program.upgrade(Authorization=f"Bearer {GOOD}") == 101
        for other in ("Bearer fft_secret-of-node-red", "Bearer x", "Basic eDp5", f"Bearer {GOOD}x"):
            assert (await program.ask(Authorization=other, **PAGE))[0] == 401, other
        await fake.go_away()
        assert await is_in() and await program.upgrade(Authorization=f"Bearer {GOOD}") == 101
        new = "ffhttp_" + "b" * 43
        assert (await program.ask(Authorization=f"Bearer {new}"))[0] == 503, "away is not the same as refused"
        await fake.come_back()
        fake.http_tokens.clear()

        async def is_out() -> bool:
            return (await program.ask(Authorization=f"Bearer {GOOD}"))[0] == 401

        await eventually(is_out, what="a token that was deleted is refused (FlowFuse: for five minutes it is not, L29)")


async def test_one_user_and_a_password_hold_for_websockets_too(tmp_path: Path) -> None:
    hashed = _hash("s3cret")
    async with running(tmp_path, type="basic", user="u", **{"pass": hashed}) as (red, _), Visitor(red) as visitor:
        good, bad = (
            aiohttp.encode_basic_auth("u", word)
            if hasattr(aiohttp, "encode_basic_auth")
            else aiohttp.BasicAuth("u", word).encode()
            for word in ("s3cret", "wrong")
        )
        assert (await visitor.ask())[0] == 401 and await visitor.upgrade() == 401
        assert (await visitor.ask(Authorization=bad))[0] == 401 and await visitor.upgrade(Authorization=bad) == 401
        assert (await visitor.ask(Authorization=good))[0] == 200 and await visitor.upgrade(Authorization=good) == 101
        assert (await visitor.ask("/ui/socket.io/?EIO=4&transport=polling"))[0] == 401


async def test_settings_that_make_no_sense_close_rather_than_open(tmp_path: Path) -> None:
    async with running(tmp_path, type="closed") as (red, _), Visitor(red) as visitor:
        assert (await visitor.ask(**PAGE))[0] == 401 and await visitor.upgrade() == 401
        assert (await visitor.ask("/auth/login"))[0] == 200, "the editor is not concerned"


def _hash(password: str) -> str:
    stack = built_stack()
    script = (
        "const [, dir, word] = process.argv; console.log(require(dir + '/node_modules/bcryptjs').hashSync(word, 4));"
    )
    done = subprocess.run(
        [stack.node, "-e", script, stack.node_red, password], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()
