"""Pages, cookies and the rules that keep other pages of this host out (architecture §8)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from appliance.config import Config, Listen, Login
from appliance.model import Role
from tests.web_box import HOST, ORIGIN, PASSWORD, WebBox, web_box

SESSION = "__Host-weir_sid"
EVIL = "https://box.test:10003"  # an instance on the same host name


async def test_login_landing_logout(box: WebBox) -> None:
    await box.instance("first")
    browser = box.browser()
    page = await browser.get("/")
    assert (page.status, page.location) == (303, "/account/login")
    page = await browser.get("/account/login")
    assert page.status == 200 and page.fields["csrf"]
    page = await browser.login()
    assert (page.status, page.location) == (303, "/")
    landing = await browser.get("/")
    assert "first" in landing.text and "starting" in landing.text
    assert 'href="https://box.test:10000/"' in landing.text, "the link keeps the name that was asked under"
    assert (await browser.get("/account/login")).location == "/", "who is logged in needs no login page"
    page = await browser.post("/account/logout", landing.fields)
    assert page.status == 200 and SESSION not in browser.cookies
    assert (await browser.get("/")).location == "/account/login"


async def test_the_session_ends_at_the_platform_not_only_in_the_browser(box: WebBox) -> None:
    browser = box.browser()
    await browser.login()
    kept = browser.cookies[SESSION]
    await browser.post("/account/logout", (await browser.get("/")).fields)
    browser.cookies[SESSION] = kept
    assert (await browser.get("/")).location == "/account/login"


async def test_cookies_are_for_this_host_tls_and_no_script(box: WebBox) -> None:
    browser = box.browser()
    form = await browser.get("/account/login")
    login = await browser.login()
    for cookie in (*form.cookies, *login.cookies):
        assert cookie.startswith("__Host-weir_")
        assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= set(cookie.split("; ")[1:])
        assert "Domain" not in cookie


@pytest.mark.parametrize("door", ["tcp", "api"])
async def test_nobody_logs_in_without_tls(box: WebBox, door: str) -> None:
    """A plain cookie of 127.0.0.1 would be sent to every flow that listens on 127.0.0.1."""
    client = box.client(door, None, **{"Content-Type": "application/json"})
    async with client.post("/account/login", data=json.dumps({"username": "admin", "password": PASSWORD})) as answer:
        body = await answer.json()
        assert answer.status == 404 and "https://" in body["hint"]
        assert "Set-Cookie" not in answer.headers


async def test_json_login_as_the_references_clients_do(box: WebBox) -> None:
    client = box.client("web", None, **{"Content-Type": "application/json"})
    async with client.post("/account/login", data=json.dumps({"username": "admin", "password": "no"})) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, "unauthorized")
    async with client.post("/account/login", data=json.dumps({"username": "admin"})) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, "password_required")
    async with client.post("/account/login", data=json.dumps({"username": "admin", "password": PASSWORD})) as answer:
        assert answer.status == 200
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    async with client.post("/account/logout", data="{}", headers={"Cookie": cookie}) as answer:
        assert await answer.json() == {"status": "okay"}


async def test_a_planted_session_is_not_the_one_used(box: WebBox) -> None:
    attacker, victim = box.browser(), box.browser()
    await attacker.login()
    planted = attacker.cookies[SESSION]
    victim.cookies[SESSION] = "ffu_" + "A" * 43
    await victim.login()
    assert victim.cookies[SESSION] not in (planted, "ffu_" + "A" * 43)
    victim.cookies[SESSION] = planted
    page = await victim.get("/account/login")
    assert page.location == "/", "a session that is alive is one, whoever brought it; login makes a new id"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": EVIL, "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://box.test"},
        {"Origin": "http://box.test:8443"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_writes_from_other_pages_are_refused(box: WebBox, headers: dict[str, str]) -> None:
    browser = box.browser()
    await browser.login()
    fields = (await browser.get("/")).fields
    assert (await browser.post("/account/logout", fields, **headers)).status == 403
    assert (await browser.get("/")).status == 200, "still logged in"
    other = box.browser()
    form = (await other.get("/account/login")).fields
    page = await other.post("/account/login", {**form, "username": "admin", "password": PASSWORD}, **headers)
    assert page.status == 403 and SESSION not in other.cookies


async def test_json_from_another_page_is_refused_too(box: WebBox) -> None:
    client = box.client("web", None, **{"Content-Type": "application/json", "Origin": EVIL})
    async with client.post("/account/login", data=json.dumps({"username": "admin", "password": PASSWORD})) as answer:
        assert answer.status == 403 and "Set-Cookie" not in answer.headers


async def test_forms_carry_a_token_of_this_browser(box: WebBox) -> None:
    one, two = box.browser(), box.browser()
    login = {"username": "admin", "password": PASSWORD}
    foreign = (await two.get("/account/login")).fields
    await one.get("/account/login")
    assert (await one.post("/account/login", {**foreign, **login})).status == 403
    assert (await one.post("/account/login", login)).status == 403
    await one.login()
    await two.login()
    assert (await one.post("/account/logout", (await two.get("/")).fields)).status == 403
    assert (await one.get("/")).status == 200


async def test_a_form_that_lay_open_over_a_restart_still_works(home: Path) -> None:
    async with web_box(home) as box:
        browser = box.browser()
        fields = (await browser.get("/account/login")).fields
        token = box.context.box.derive("form", browser.cookies["__Host-weir_form"])
    assert fields["csrf"] == token, "bound to the box's key, not to a process"


async def test_wrong_passwords_are_said_in_words_and_counted(box: WebBox) -> None:
    browser = box.browser()
    page = await browser.login(password="not it")
    assert page.status == 401
    alert = re.search(r'role="alert">([^<]+)', page.text)
    assert alert and "password" in alert[1]
    assert 'value="admin"' in page.text, "the name need not be typed again"
    unknown = await browser.login(username="nobody", password="not it")
    assert re.search(r'role="alert">([^<]+)', unknown.text)[1] == alert[1]  # type: ignore[index]
    for _ in range(3):
        await browser.login(password="not it")
    page = await browser.login()
    assert page.status == 429 and int(page.headers["Retry-After"]) >= 1
    other = box.browser(**{"X-Forwarded-For": "192.0.2.8"})
    assert (await other.login(username="else", password="no")).status == 401, "other people are not locked out"
    box.context.clock.forward(seconds=31)  # type: ignore[attr-defined]
    assert (await browser.login()).status == 303


async def test_where_a_login_leads(box: WebBox) -> None:
    for wanted, target in (
        ("/account/complete/abc_DEF-1", "/account/complete/abc_DEF-1"),
        ("https://evil.test/", "/"),
        ("//evil.test/", "/"),
        ("/account/complete/a/../../..//evil.test", "/"),
        ("/api/v1/user", "/"),
        ("/\\evil.test", "/"),
    ):
        browser = box.browser()
        form = (await browser.get("/account/login")).fields
        page = await browser.post("/account/login", {**form, "next": wanted, "username": "admin", "password": PASSWORD})
        assert page.location == target, wanted


async def test_only_accepted_names_are_served(box: WebBox) -> None:
    for host in ("evil.test:8443", "box.test", "box.test:1", "localhost", ""):
        browser = box.browser(**{"X-Forwarded-Host": host})
        page = await browser.get("/account/login")
        assert page.status == 400 and "weir name add" in page.text, host
    for host in (HOST, "localhost:8443", "BOX.test:8443"):
        assert (await box.browser(**{"X-Forwarded-Host": host}).get("/account/login")).status == 200, host


async def test_pages_can_load_nothing_foreign_and_not_be_framed(box: WebBox) -> None:
    browser = box.browser()
    for page in (await browser.get("/account/login"), await browser.get("/nothing")):
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "script-src" not in policy
        assert page.headers["Referrer-Policy"] == "same-origin" and page.headers["Cache-Control"] == "no-store"
        assert "<script" not in page.text and " style=" not in page.text
        for source in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert source.startswith(("/", "data:,")), source
    form = (await browser.get("/account/login")).headers["Content-Security-Policy"]
    assert "form-action 'self' https://box.test:*;" in form
    assert (await browser.get("/assets/weir.css")).headers["Content-Type"].startswith("text/css")


async def test_an_error_is_a_page_for_people_and_json_for_programs(box: WebBox) -> None:
    page = await box.browser().get("/nothing")
    assert page.status == 404 and page.headers["Content-Type"].startswith("text/html")
    assert page.headers["X-Request-ID"] in page.text
    async with box.client("web").get("/nothing") as answer:
        assert (await answer.json())["code"] == "not_found"
    assert (await box.browser().get("/api/v1/nothing")).headers["Content-Type"].startswith("application/json")


async def test_names_are_shown_as_text(box: WebBox) -> None:
    browser = box.browser()
    page = await browser.login(username='"><script>alert(1)</script>', password="x")
    assert page.status == 401 and "<script" not in page.text and "&lt;script&gt;" in page.text


async def test_you_see_your_own_instances_only(box: WebBox) -> None:
    await box.instance("secret-plant")
    await box.person("sam", Role.NONE)
    browser = box.browser()
    await browser.login("sam")
    page = await browser.get("/")
    assert page.status == 200 and "secret-plant" not in page.text


async def test_sessions_end_by_idleness_and_age(home: Path) -> None:
    config = Config(listen=Listen(https=8443), login=Login(session_s=7 * 86400, idle_s=32 * 3600))
    async with web_box(home, config) as box:
        browser = box.browser()
        await browser.login()
        for _ in range(6):
            box.context.clock.forward(hours=27)  # type: ignore[attr-defined]
            assert (await browser.get("/")).status == 200
        box.context.clock.forward(hours=27)  # type: ignore[attr-defined]
        assert (await browser.get("/")).location == "/account/login", "seven days are the end"
        await browser.login()
        box.context.clock.forward(hours=33)  # type: ignore[attr-defined]
        assert (await browser.get("/")).location == "/account/login", "so are 32 idle hours"


async def test_ipv6_names_have_links_and_a_policy(home: Path) -> None:
    async with web_box(home, names=["[fd00::1]:8443"]) as box:
        await box.instance("first")
        browser = box.browser(**{"X-Forwarded-Host": "[fd00::1]:8443"})
        page = await browser.get("/account/login")
        assert "form-action 'self' https:;" in page.headers["Content-Security-Policy"]
        origin = "https://[fd00::1]:8443"
        await browser.post("/account/login", {**page.fields, "username": "admin", "password": PASSWORD}, Origin=origin)
        assert 'href="https://[fd00::1]:10000/"' in (await browser.get("/")).text


def test_the_origin_of_these_tests_is_the_boxs_own() -> None:
    assert f"https://{HOST}" == ORIGIN


async def test_two_session_cookies_are_none(box: WebBox) -> None:
    """A second value was planted from another port; taking either would be a guess."""
    browser = box.browser()
    await browser.login()
    good = f"{SESSION}={browser.cookies[SESSION]}"
    client = box.client("web", None, Accept="text/html")
    for cookies, status in (
        (good, 200),
        (f"a=b; {good}", 200),
        (f'{SESSION}="{browser.cookies[SESSION]}"', 200),
        (f"{good}; {good}", 200),
        (f"{good}; {SESSION}=ffu_other", 303),
        (f"weir_sid={browser.cookies[SESSION]}", 303),
        (f"{SESSION}", 303),
        (f'{SESSION}="', 303),
    ):
        async with client.get("/", headers={"Cookie": cookies}, allow_redirects=False) as answer:
            assert answer.status == status, cookies
