"""The pages in a real browser behind a real nginx: the form's redirects reach the editor, and phones can use them."""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appliance.config import Config, Home, Listen
from appliance.system import tls
from tests.chromium import chromium
from tests.integration.test_oauth_login import Editor
from tests.support import eventually, free_port
from tests.web_box import PASSWORD, WebBox, web_box

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

NGINX = """
{user}daemon off; pid {dir}/nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
  uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  ssl_certificate {cert}; ssl_certificate_key {key};
  server {{
    listen 127.0.0.1:{https} ssl;
    location / {{
      proxy_pass http://unix:{socket}; proxy_http_version 1.1;
      proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
  server {{
    listen 127.0.0.1:{public} ssl; default_type text/html;
    location = /auth/strategy/callback {{ return 302 /editor; }}
    location / {{ return 200 "<title>editor</title>the editor"; }}
  }}
}}
"""


class Site:
    """A box behind nginx, an instance's port beside it."""

    def __init__(self, box: WebBox, https: int, public: int) -> None:
        self.box = box
        self.url = f"https://localhost:{https}"
        self.instance_url = f"https://localhost:{public}"


@pytest.fixture
async def site(home: Path) -> AsyncIterator[Site]:
    https, public = free_port(), free_port()
    config = Config(listen=Listen(https=https, public_base=public))
    async with web_box(home, config, names=[f"localhost:{https}"]) as box:
        with nginx(home, https, public):
            await eventually(lambda: _answers(https) and _answers(public), what="nginx listens")
            yield Site(box, https, public)


@contextmanager
def nginx(home: Path, https: int, public: int) -> Iterator[None]:
    files = tls.ensure(Home(home), [tls.AcceptedName("localhost", None)])
    directory = home / "test-nginx"
    directory.mkdir()
    config = directory / "nginx.conf"
    config.write_text(
        NGINX.format(
            # As root nginx would give its workers to another account, which may not enter the test's directories.
            user="user root; " if os.getuid() == 0 else "",
            dir=directory,
            cert=files.cert,
            key=files.key,
            https=https,
            public=public,
            socket=Home(home).web_socket,
        )
    )
    process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(config), "-p", str(directory)])
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(name="chromium")
async def chromium_() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def log_in(page: Page) -> None:
    await page.fill("input[name=username]", "admin")
    await page.fill("input[name=password]", PASSWORD)
    await page.click("button[type=submit]")


async def test_the_form_of_an_editors_login_leads_to_the_editors_port(site: Site, chromium: Browser) -> None:
    """Browsers hold the redirects of a form against the page's form-action."""
    instance = await site.box.instance("first")
    editor = Editor(site.box, instance, await site.box.boot(instance))
    editor.redirect_uri = f"{site.instance_url}/auth/strategy/callback"
    context = await chromium.new_context(ignore_https_errors=True)
    page = await context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    await page.goto(site.url + editor.authorize())
    assert urllib.parse.urlsplit(page.url).path.startswith("/account/request/")
    await log_in(page)
    await page.wait_for_url(f"{site.instance_url}/editor", timeout=15_000)
    assert await page.inner_text("body") == "the editor"
    assert not refused
    # Logged in already: the next editor opens without a form.
    await page.goto(site.url + editor.authorize())
    await page.wait_for_url(f"{site.instance_url}/editor", timeout=15_000)
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_on_a_phone(site: Site, chromium: Browser, scheme: str, tmp_path: Path) -> None:
    for name in ("first", "a-rather-long-name-of-an-instance-that-has-to-be-broken"):
        await site.box.instance(name)
    context = await chromium.new_context(
        ignore_https_errors=True, viewport={"width": 360, "height": 640}, color_scheme=scheme
    )
    page = await context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    await page.goto(site.url)
    await _fits(page)
    await page.screenshot(path=tmp_path / "login.png")
    await page.fill("input[name=username]", "admin")
    await page.fill("input[name=password]", "wrong")
    await page.click("button[type=submit]")
    assert "password" in (await page.inner_text("[role=alert]")).lower()
    await _fits(page)
    await log_in(page)
    await page.wait_for_selector("text=a-rather-long-name")
    await _fits(page)
    await page.screenshot(path=tmp_path / "landing.png")
    await page.click("text=Log out")
    await page.wait_for_selector("text=You are logged out")
    await _fits(page)
    await page.goto(f"{site.url}/nothing")
    await _fits(page)
    assert [text for text in refused if "401" not in text and "404" not in text] == [], "nothing broke the policy"
    await context.close()


async def test_another_ports_page_can_neither_log_out_nor_frame(site: Site, chromium: Browser) -> None:
    context = await chromium.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await page.goto(site.url)
    await log_in(page)
    await page.wait_for_selector("text=Your instances")
    evil = await context.new_page()
    await evil.goto(f"{site.instance_url}/page")
    cookies = {cookie["name"] for cookie in await context.cookies(site.url)}
    assert "__Host-weir_sid" in cookies
    assert await evil.evaluate("document.cookie") == ""
    read = await evil.evaluate(
        """async (url) => { try { return (await (await fetch(url, {credentials: 'include'})).text()) }
        catch (error) { return 'refused' } }""",
        f"{site.url}/",
    )
    assert read == "refused"
    await evil.evaluate(
        """(action) => { const f = document.createElement('form'); f.method = 'post'; f.action = action;
        document.body.append(f); f.submit() }""",
        f"{site.url}/account/logout",
    )
    await evil.wait_for_url(f"{site.url}/account/logout")
    assert "not from" in await evil.inner_text("body")
    await page.reload()
    await page.wait_for_selector("text=Your instances")
    await context.close()


async def _fits(page: Page) -> None:
    """No sideways scrolling, nothing too small for a thumb, inputs that do not make the phone zoom."""
    assert not await page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    small = await page.evaluate(
        """[...document.querySelectorAll('a.button, button, input:not([type=hidden])')]
        .filter(e => e.getBoundingClientRect().height < 44 || parseFloat(getComputedStyle(e).fontSize) < 16)
        .map(e => e.outerHTML)"""
    )
    assert small == []


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
