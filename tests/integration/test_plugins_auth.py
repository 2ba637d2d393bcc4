"""The editor's login through Weir, on the real Node-RED with a fake platform."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
import pytest

from tests.plugins.browser import Browser
from tests.plugins.fake_appliance import INSTANCE, FakeAppliance
from tests.plugins.harness import SECRETS, NodeRed
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real

FLOWS: list[dict[str, Any]] = [{"id": "tab", "type": "tab", "label": "Deployed"}]
BEHIND_NGINX = {
    "X-Forwarded-Host": "plant.example:10001",
    "X-Forwarded-Proto": "https",
    "X-Weir-Platform": "https://plant.example:8443",
}


@pytest.fixture
async def appliance() -> AsyncIterator[FakeAppliance]:
    async with FakeAppliance() as fake:
        yield fake


@pytest.fixture
async def node_red(appliance: FakeAppliance, tmp_path: Path) -> AsyncIterator[NodeRed]:
    async with NodeRed(tmp_path / "red", appliance, built_stack()) as instance:
        await instance.up()
        yield instance


@pytest.fixture
async def browser(node_red: NodeRed) -> AsyncIterator[Callable[[str], Browser]]:
    opened: list[Browser] = []

    def open_one(user: str) -> Browser:
        opened.append(Browser(node_red, user))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()


async def becomes(check: Callable[[], Awaitable[None]]) -> None:
    """Waits until `check` no longer fails."""

    async def passes() -> object:
        await check()
        return True

    waited: Awaitable[object] = eventually(passes, every_s=0.1)
    await waited


def message(location: str) -> str:
    """The text a refused login shows, or ''."""
    return unquote(parse_qs(urlsplit(location).query).get("session_message", [""])[0])


async def test_opening_the_editor_leads_straight_to_weir(browser: Callable[[str], Browser]) -> None:
    alice = browser("alice")
    assert (await alice.get("/settings"))[0] == 401
    assert (await alice.get("/auth/login"))[1] == {
        "type": "strategy",
        "autoLogin": True,
        "loginRedirect": "auth/strategy",
        "prompts": [{"type": "button", "label": "Log in with Weir", "url": "auth/strategy", "icon": "fa-sign-in"}],
    }


async def test_the_browser_is_sent_to_the_name_it_came_by(browser: Callable[[str], Browser]) -> None:
    alice = browser("alice")
    location = urlsplit(await alice.begin(**BEHIND_NGINX))
    assert f"{location.scheme}://{location.netloc}{location.path}" == "https://plant.example:8443/account/authorize"
    query = parse_qs(location.query)
    assert query["redirect_uri"] == ["https://plant.example:10001/auth/strategy/callback"]
    assert query["scope"][0].startswith("editor-")
    async with aiohttp.ClientSession() as http:
        url = f"{alice.node_red.url}/auth/strategy"
        async with http.get(url, headers=BEHIND_NGINX, allow_redirects=False) as answer:
            cookie = answer.cookies[f"__Host-weir_oauth_{INSTANCE}"]
            assert list(answer.cookies) == [f"__Host-weir_oauth_{INSTANCE}"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, True, "Lax", "600")
    assert (cookie["path"], cookie["domain"]) == ("/", ""), "else browsers refuse that name"
    async with aiohttp.ClientSession() as http:
        url = f"{alice.node_red.url}/auth/strategy"
        forged = {**BEHIND_NGINX, "X-Forwarded-Host": "evil.example/x?"}
        async with http.get(url, headers=forged, allow_redirects=False) as answer:
            assert "no usable host" in message(answer.headers["Location"])


async def test_a_member_deploys(appliance: FakeAppliance, browser: Callable[[str], Browser]) -> None:
    alice = browser("alice")
    await alice.login()
    status, answer = await alice.deploy(FLOWS)
    assert (status, list(answer)) == (200, ["rev"])
    assert appliance.stored["flows"] == FLOWS
    assert appliance.users_seen == ["id-of-alice"]
    status, settings = await alice.get("/settings")
    assert settings["user"].pop("image").startswith("data:image/svg+xml;base64,")
    assert settings["user"] == {"username": "alice", "permissions": ["*"]}
    for path in ("/settings", "/diagnostics"):
        text = json.dumps((await alice.get(path))[1])
        assert not [secret for secret in SECRETS.values() if secret in text]


async def test_a_viewer_reads_and_cannot_write(appliance: FakeAppliance, browser: Callable[[str], Browser]) -> None:
    victor, alice = browser("victor"), browser("alice")
    await victor.login()
    await alice.login()
    assert (await victor.get("/flows"))[0] == 200
    for path in ("/flows", "/nodes", "/flow", "/library/local/flows/x"):
        assert (await victor.post(path, {"flows": FLOWS}))[0] in (401, 403)
    assert appliance.stored["flows"] == []
    assert (await alice.deploy(FLOWS))[0] == 200
    assert (await victor.deploy([]))[0] in (401, 403)


async def test_who_has_no_role_here_is_told_so(appliance: FakeAppliance, browser: Callable[[str], Browser]) -> None:
    appliance.scope["nobody"] = "http"
    nobody = browser("nobody")
    location = await nobody.follow(appliance.authorize(await nobody.begin(), "nobody"))
    assert "your role does not let you open this editor" in message(location)
    denied = (await nobody.begin()).split("state=")[1].split("&")[0]
    url = f"{nobody.node_red.url}/auth/strategy/callback?error=access_denied&state={denied}"
    assert "you have no access to this instance" in message(await nobody.follow(url))


async def test_a_login_belongs_to_its_browser_and_is_good_once(
    appliance: FakeAppliance, browser: Callable[[str], Browser]
) -> None:
    mallory, victim, alice = browser("alice"), browser("victor"), browser("alice")
    # Login CSRF: the victim's browser is sent to a callback that somebody else's login has prepared.
    prepared = appliance.authorize(await mallory.begin(), "alice")
    assert "not begun in this browser" in message(await victim.follow(prepared))
    await victim.begin()
    assert "not begun in this browser" in message(await victim.follow(prepared))
    # Replay.
    back = appliance.authorize(await alice.begin(), "alice")
    assert "session_message" not in await alice.follow(back)
    assert "is used or too old" in message(await alice.follow(back))
    assert "log in again" in message(await alice.follow(f"{alice.node_red.url}/auth/strategy/callback?code=x&state=y"))


async def test_two_tabs_of_one_browser_can_log_in_at_once(
    appliance: FakeAppliance, browser: Callable[[str], Browser]
) -> None:
    alice = browser("alice")
    first, second = await alice.begin(), await alice.begin()
    for location in (first, second):
        assert "session_message" not in await alice.follow(appliance.authorize(location, "alice"))


async def test_a_wrong_code_and_an_absent_platform_are_explained(
    appliance: FakeAppliance, browser: Callable[[str], Browser]
) -> None:
    alice = browser("alice")
    back = appliance.authorize(await alice.begin(), "alice")
    appliance.codes.clear()
    assert "log in again" in message(await alice.follow(back))
    back = appliance.authorize(await alice.begin(), "alice")
    await appliance.go_away()
    assert "Weir is away" in message(await alice.follow(back))


async def websocket_auth(browser: Browser, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    socket = await http.ws_connect(f"{browser.node_red.url}/comms")
    await socket.send_json({"auth": browser.token})
    return socket


async def test_the_websocket_opens_by_token_and_closes_at_logout(browser: Callable[[str], Browser]) -> None:
    alice = browser("alice")
    await alice.login()
    async with aiohttp.ClientSession() as http:
        refused = await http.ws_connect(f"{alice.node_red.url}/comms")
        await refused.send_json({"auth": "made up"})
        assert await refused.receive_json() == {"auth": "fail"}
        socket = await websocket_auth(alice, http)
        assert await socket.receive_json() == {"auth": "ok"}
        assert (await alice.post("/auth/revoke", {"token": alice.token, "noRedirect": True}))[0] == 200
        await closed(socket)
    assert (await alice.get("/settings"))[0] == 401


async def closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Reads until the server closes the socket."""
    while True:
        received = await socket.receive(timeout=10)
        if received.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
            return


@pytest.mark.parametrize("with_scope", [True, False])
async def test_a_demotion_reaches_tokens_already_given(
    appliance: FakeAppliance, browser: Callable[[str], Browser], with_scope: bool
) -> None:
    appliance.lifetime_s = 2
    appliance.refresh_has_scope = with_scope
    alice = browser("alice")
    await alice.login()
    assert (await alice.deploy(FLOWS))[0] == 200
    appliance.scope["alice"] = "read"

    async def read_only() -> None:
        assert (await alice.deploy(FLOWS))[0] == 401

    await becomes(read_only)
    assert (await alice.get("/flows"))[0] == 200


async def test_a_revocation_ends_sessions_and_websockets(
    appliance: FakeAppliance, browser: Callable[[str], Browser]
) -> None:
    appliance.lifetime_s = 2
    alice, victor = browser("alice"), browser("victor")
    await alice.login()
    await victor.login()
    async with aiohttp.ClientSession() as http:
        socket = await websocket_auth(alice, http)
        assert await socket.receive_json() == {"auth": "ok"}
        appliance.refused_users.add("alice")
        await closed(socket)
    assert (await alice.get("/settings"))[0] == 401
    assert (await victor.get("/settings"))[0] == 200
    await eventually(lambda: {s["user"] for s in appliance.stored["sessions"].values()} == {"victor"})


async def test_an_absent_platform_costs_rights_only_at_expiry(
    appliance: FakeAppliance, browser: Callable[[str], Browser]
) -> None:
    appliance.lifetime_s = 3
    alice = browser("alice")
    await alice.login()
    await appliance.go_away()
    assert (await alice.get("/settings"))[0] == 200

    async def refused() -> None:
        assert (await alice.get("/settings"))[0] == 401

    await becomes(refused)
    await appliance.come_back()

    async def welcome() -> None:
        assert (await alice.get("/settings"))[0] == 200

    await becomes(welcome)


async def test_a_session_survives_a_restart_of_node_red(
    appliance: FakeAppliance, node_red: NodeRed, browser: Callable[[str], Browser]
) -> None:
    alice, victor, quitter = browser("alice"), browser("victor"), browser("quitter")
    appliance.scope["quitter"] = "*"
    for one in (alice, victor, quitter):
        await one.login()
    await node_red.stop()
    appliance.scope["alice"] = "read"
    appliance.refused_users.add("quitter")
    await node_red.up()
    # No new login: the platform has been asked again about each of them.
    assert (await victor.get("/flows"))[0] == 200
    assert (await alice.get("/flows"))[0] == 200
    assert (await alice.deploy(FLOWS))[0] == 401
    assert (await quitter.get("/flows"))[0] == 401
    async with aiohttp.ClientSession() as http:
        socket = await websocket_auth(victor, http)
        assert await socket.receive_json() == {"auth": "ok"}
        await socket.close()


async def test_without_the_launchers_memory_a_session_needs_a_silent_login(
    appliance: FakeAppliance, node_red: NodeRed, browser: Callable[[str], Browser]
) -> None:
    alice = browser("alice")
    old = await alice.login()
    await node_red.stop()
    node_red.kept = None
    appliance.scope["alice"] = "read"
    await node_red.up()
    assert (await alice.get("/flows"))[0] == 401
    await alice.login()
    assert (await alice.get("/flows"))[0] == 200
    # The old token is honoured again, with the rights of today.
    alice.token = old
    assert (await alice.get("/flows"))[0] == 200
    assert (await alice.deploy(FLOWS))[0] == 401


async def test_sessions_that_cannot_be_read_do_not_end_node_red(
    appliance: FakeAppliance, node_red: NodeRed, browser: Callable[[str], Browser]
) -> None:
    alice = browser("alice")
    old = await alice.login()
    await node_red.stop()
    await node_red.up()
    appliance.failing["sessions"] = 3
    assert (await alice.get("/flows"))[0] == 200
    assert old in appliance.stored["sessions"]
