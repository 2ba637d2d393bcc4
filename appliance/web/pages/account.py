"""Logging in and out, and the page with your instances."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from msgspec import Struct

from appliance.errors import Forbidden, TooMany, Unauthorized
from appliance.schema.common import Status
from appliance.schema.instances import Instance
from appliance.services.accounts import PASSWORD_EXPIRED
from appliance.system.access import HOST, Access, access_of
from appliance.web import pages
from appliance.web.bodies import JSON
from appliance.web.browser import ended_session_cookie, session_cookie
from appliance.web.middleware import CONTENT_POLICY
from appliance.web.pages import recovery
from appliance.web.pages.inbox import inbox
from appliance.web.pages.visitor import BrowserAsk, browser_of
from appliance.web.route import Reply, redirect
from appliance.web.services import Services

# Where a login may lead: the landing page, or back into an editor's login. Nothing else, and nothing elsewhere.
_NEXT = re.compile(r"/(account/complete/[A-Za-z0-9_-]{1,128})?")
_MOODS = {
    "running": ("good", "●"),
    "safe": ("wait", "▲"),
    "crashed": ("bad", "✖"),
    "error": ("bad", "✖"),
    "unknown": ("bad", "?"),
    "stopped": ("", "○"),
    "suspended": ("", "○"),
}


class Card(Struct, frozen=True):
    """One instance on the landing page; `mood` is a class of the style sheet, `sign` repeats it without colour."""

    name: str
    state: str
    message: str
    mood: str
    sign: str
    url: str


async def landing(services: Services, ask: BrowserAsk) -> Reply:
    """Your instances, with links that go to the host name this page was asked under."""
    browser = browser_of(ask)
    if browser.session is None:
        return redirect("/account/login")
    found = await services.instances.list(ask.subject)
    access = access_of(services.config)
    cards = [_card(each, access.seen_from(ask.origin, each.url, each.ports["public"])) for each in found.instances]
    ca = (services.home.tls / "ca.crt").exists()
    body = pages.render(
        "landing.html",
        user=browser.session.user,
        instances=cards,
        inbox=await inbox(services, ask),
        token=browser.form_token,
        ca=ca,
    )
    return Reply(body, pages.HTML)


async def login_page(services: Services, ask: BrowserAsk) -> Reply:
    browser = browser_of(ask)
    target = _next(ask.request.query.get("next", ""))
    return redirect(target) if browser.session else login_form(services, ask, target)


async def login(services: Services, ask: BrowserAsk) -> Reply:
    """By the page's form, or by JSON as the reference's clients do: then 200 without a body, and the cookie."""
    if ask.request.content_type == JSON:
        return Reply(headers=(("Set-Cookie", await _new_session(services, ask)),))
    target = _next(ask.body.get("next", ""))
    try:
        return redirect(target, await _new_session(services, ask))
    except (Unauthorized, TooMany) as error:
        return login_form(services, ask, target, error)
    except Forbidden as error:
        return await _must_change(services, ask, error)


async def logout(services: Services, ask: BrowserAsk) -> Reply | Status:
    """Ends the session everywhere at once; without one it only clears the cookie."""
    browser = browser_of(ask)
    if browser.session is not None:
        await services.accounts.logout(browser.session_id)
    gone = (("Set-Cookie", ended_session_cookie()),)
    if ask.request.content_type == JSON:
        return Reply(b'{"status":"okay"}', headers=gone)
    return Reply(pages.render("logout.html"), pages.HTML, headers=gone)


def login_form(services: Services, ask: BrowserAsk, target: str, error: Unauthorized | TooMany | None = None) -> Reply:
    """The login page; after a refusal with the reason and what was typed as name."""
    browser = browser_of(ask)
    body = pages.render(
        "login.html",
        message=str(error) if error else "",
        username=(ask.body or {}).get("username", "")[:254],
        token=browser.form_token,
        next=target,
        editor=target != "/",
    )
    headers = [("Content-Security-Policy", _policy(ask.origin, access_of(services.config)))]
    if browser.form_cookie:
        headers.append(("Set-Cookie", browser.form_cookie))
    if isinstance(error, TooMany):
        headers.append(("Retry-After", str(error.retry_after_s)))
    return Reply(body, pages.HTML, error.status if error else None, tuple(headers))


async def _new_session(services: Services, ask: BrowserAsk) -> str:
    """Log in and answer the cookie. The id is always a new one, so a planted one is worth nothing."""
    username, password = str(ask.body.get("username", "")), str(ask.body.get("password", ""))
    if not username or not password:
        raise Unauthorized("Username and password are both needed.", code="password_required")
    session_id, _ = await services.accounts.login(username, password, address=ask.address)
    age_s = services.config.login.session_s
    return session_cookie(session_id, max_age_s=age_s)


async def _must_change(services: Services, ask: BrowserAsk, error: Forbidden) -> Reply:
    """Whoever proved a password that has to be changed gets the page that changes it. Raises `error` else."""
    proved = str(ask.body.get("username", "")), str(ask.body.get("password", ""))
    code = await services.directory.recovery.for_expired(*proved) if error.code == PASSWORD_EXPIRED else None
    if code is None:
        raise error
    return recovery.form(ask, code)


def _policy(origin: str, access: Access) -> str:
    """After the form is sent, the editor's login redirects to the instance, and browsers hold redirects of a
    form against `form-action` as well. A source can't name an IPv6 address, so there any TLS address is allowed."""
    host = f"*.{access.domain.name}" if access.mode == HOST and access.domain else urlsplit(origin).hostname or ""
    target = "https:" if ":" in host else f"https://{host}:*"
    return CONTENT_POLICY.replace("form-action 'self'", f"form-action 'self' {target}")


def _next(wanted: str) -> str:
    return wanted if _NEXT.fullmatch(wanted) else "/"


def _card(instance: Instance, url: str) -> Card:
    meta = instance.meta
    mood, sign = _MOODS.get(meta.state, ("wait", "◌"))
    return Card(instance.name, meta.state, meta.message, mood, sign, url)
