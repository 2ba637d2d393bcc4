"""A page served by instance A is an attacker on the same host name, or on one beside: no wall for cookies.

With an administrator logged in, the page must get no cookie of Weir's, change nothing at the platform or at
instance B, and fix no session (architecture §8).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.chromium import chromium
from tests.support import eventually, stack_cache
from tests.system.box import Box
from tests.system.test_browser import log_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.real, pytest.mark.timeout(240), pytest.mark.usefixtures("shared_processes")]

# The page tries everything a script on another port of the same host can try, and says what came of it.
ATTACK = """<!doctype html><title>attack</title><script>
const platform = 'PLATFORM', other = 'OTHER';
async function tried(name, url, options) {
  try {
    const answer = await fetch(url, options);
    return [name, answer.status, answer.type, answer.type === 'opaque' ? '' : (await answer.text()).slice(0, 400)];
  } catch (error) { return [name, 0, 'refused', String(error)]; }
}
async function run() {
  for (const name of ['weir_sid', '__Host-weir_sid', 'weir_csrf', '__Host-weir_csrf'])
    for (const where of ['', '; domain=' + location.hostname.split('.').slice(1).join('.')])
      document.cookie = name + '=ffu_' + 'A'.repeat(43) + '; path=/; secure' + where;
  const form = new URLSearchParams({username: 'admin', password: 'x'});
  const include = {credentials: 'include'};
  const stop = platform + '/api/v1/projects/BID/actions/stop';
  return {
    cookie: document.cookie,
    tried: [
      await tried('read user', platform + '/api/v1/user', include),
      await tried('read landing', platform + '/', include),
      await tried('list instances', platform + '/api/v1/instances', include),
      await tried('stop B', stop, {method: 'POST', ...include}),
      await tried('stop B blind', stop, {method: 'POST', mode: 'no-cors', ...include}),
      await tried('logout', platform + '/account/logout', {method: 'POST', mode: 'no-cors', ...include}),
      await tried('login', platform + '/account/login', {method: 'POST', body: form, mode: 'no-cors', ...include}),
      await tried('read B', other + '/flows', include),
      await tried('deploy B', other + '/flows', {method: 'POST', mode: 'no-cors', body: '[]', ...include}),
      await tried('authorize', platform + '/account/authorize?response_type=code', include),
    ],
  };
}
</script>"""


def attack_flow(platform: str, other: str, other_id: str) -> list[dict[str, Any]]:
    page = ATTACK.replace("PLATFORM", platform).replace("OTHER", other).replace("BID", other_id)
    tab = "bb00000000000001"
    return [
        {"id": tab, "type": "tab", "label": "Attack"},
        {
            "id": "bb00000000000002",
            "type": "http in",
            "z": tab,
            "url": "/attack",
            "method": "get",
            "wires": [["bb00000000000003"]],
        },
        {
            "id": "bb00000000000003",
            "type": "function",
            "z": tab,
            "outputs": 1,
            "wires": [["bb00000000000004"]],
            "func": f"msg.payload = {json.dumps(page)}; msg.headers = {{'content-type': 'text/html'}}; return msg;",
        },
        {"id": "bb00000000000004", "type": "http response", "z": tab, "statusCode": "200", "wires": []},
        {
            "id": "bb00000000000005",
            "type": "http in",
            "z": tab,
            "url": "/seen",
            "method": "get",
            "wires": [["bb00000000000006"]],
        },
        {
            "id": "bb00000000000006",
            "type": "function",
            "z": tab,
            "outputs": 1,
            "wires": [["bb00000000000004"]],
            "func": "msg.payload = msg.req.headers.cookie || ''; return msg;",
        },
    ]


DOMAIN = "plant.example"


@pytest.fixture(scope="module", params=["", f'mode = "host"\ndomain = "{DOMAIN}"'], ids=["port", "host"])
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """In the access modes that keep instances apart; in `path` one origin has everything, which is said there."""
    box = Box(tmp_path_factory.mktemp("box") / "h", stack_cache(), ingress=f"{request.param}\n")
    with (box.home / "config.toml").open("a") as config:
        config.write('[first]\ninstance = ""\n')
    box.up()
    try:
        yield box
    finally:
        box.down()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium(f"--host-resolver-rules=MAP {DOMAIN} 127.0.0.1, MAP *.{DOMAIN} 127.0.0.1") as browser:
        yield browser


@pytest.fixture(scope="module")
def other(box: Box) -> Any:
    box.cli("instance", "create", "victim", "--wait")
    return box.instance("victim")


@pytest.fixture(scope="module")
def attacker(box: Box, other: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    file: Path = tmp_path_factory.mktemp("flows") / "attack.json"
    file.write_text(json.dumps(attack_flow(box.url, box.instance_url("victim"), other["id"])))
    box.cli("instance", "create", "attacker", "--flows", str(file), "--wait")
    return box.instance("attacker")


async def logged_in(page: Page, box: Box) -> None:
    await page.goto(box.url)
    await page.wait_for_selector("input[name=password]")
    await log_in(page, box)
    await page.wait_for_selector("text=victim")


async def test_a_page_of_an_instance_gets_and_changes_nothing(
    box: Box, browser: Browser, attacker: Any, other: Any
) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await logged_in(page, box)
    before = {c["name"]: c["value"] for c in await context.cookies() if "weir" in c["name"]}
    evil = await context.new_page()
    await evil.goto(f"{box.instance_url('attacker')}/attack")
    found = await evil.evaluate("run()")
    session = next(value for name, value in before.items() if name.endswith("weir_sid"))

    assert session not in json.dumps(found), "the session cookie is not readable by the page"
    answers = {name: (status, text) for name, status, _, text in found["tried"]}
    for name in ("read user", "read landing", "list instances", "stop B", "read B"):
        status, text = answers[name]
        assert status in (0, 401, 403, 404) and "victim" not in text, (name, status, text)
    seen = await evil.goto(f"{box.instance_url('attacker')}/seen")
    assert seen is not None and seen.status == 200
    assert session not in await seen.text(), "nginx cuts our cookies before an instance sees them"
    assert "weir_sid" not in await seen.text()

    assert box.instance("victim")["desired"] == "running"
    await page.reload()
    await page.wait_for_selector("text=victim")  # still logged in: the blind logout and login did nothing
    after = {c["name"]: c["value"] for c in await context.cookies(box.url) if c["name"] == "__Host-weir_sid"}
    assert after.get("__Host-weir_sid") == session or "__Host-weir_sid" not in after
    await context.close()


async def test_a_page_cannot_fix_a_session(box: Box, browser: Browser, attacker: Any) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    evil = await context.new_page()
    await evil.goto(f"{box.instance_url('attacker')}/attack")
    await evil.evaluate("run()")
    planted = {c["value"] for c in await context.cookies(box.url) if c["name"].endswith("weir_sid")}
    page = await context.new_page()
    await logged_in(page, box)
    used = {c["value"] for c in await context.cookies(box.url) if c["name"] == "__Host-weir_sid"}
    assert used and not (used & planted), "login makes a new session id"
    await context.close()


async def test_a_form_posted_across_ports_is_refused(box: Box, browser: Browser, attacker: Any) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await logged_in(page, box)
    evil = await context.new_page()
    await evil.goto(f"{box.instance_url('attacker')}/attack")
    await evil.evaluate(
        """(action) => { const f = document.createElement('form'); f.method = 'post'; f.action = action;
        document.body.append(f); f.submit(); }""",
        f"{box.url.rstrip('/')}/account/logout",
    )
    await evil.wait_for_load_state()
    await page.reload()
    await eventually(lambda: page.query_selector("text=victim"), what="still logged in")
    await context.close()
