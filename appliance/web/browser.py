"""What protects a browser's session: cookies, the origin rule and tokens in forms.

Instances are on other ports of the same host name. Cookies don't know ports and ports count as the same site, so
neither SameSite nor the cookie itself tells our own page from one that a flow serves. What does: the Origin header,
Sec-Fetch-Site, and a token that only our own page can have read.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from msgspec import Struct

from appliance.auth.secrets import same
from appliance.errors import Forbidden, Invalid, NotFound
from appliance.web import identity
from appliance.web.bodies import FORM, JSON
from appliance.web.identity import Caller, Door, Identity, cookie, own_origins, user_subject

if TYPE_CHECKING:
    from appliance.services.accounts import SessionInfo
    from appliance.web.route import Ask, Route
    from appliance.web.services import Services

FORM_FIELD = "csrf"


class Browser(Struct, frozen=True):
    """A browser as the pages see it.

    `session` is None when nobody is logged in. `form_token` goes into every form; `form_cookie` is to be set with
    a page that has a form (empty when the browser has it already).
    """

    session: SessionInfo | None
    session_id: str
    form_token: str
    form_cookie: str


class Browsers:
    """Looks at requests of browsers, and refuses writes that did not come from a page of ours."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._identity = Identity(services)

    async def check(self, route: Route, ask: Ask[Any, Any], by: Caller) -> Ask[Any, Any]:
        """`ask` with the browser and its subject. Raises Invalid for a foreign name, Forbidden for a foreign page."""
        if by.door is not Door.WEB:
            # A cookie of http://127.0.0.1:3000 would be sent to every flow that listens on 127.0.0.1.
            home = f"https://{self._services.names()[0]}/"
            raise NotFound("people log in over TLS only, not at this door", hint=f"Open {home}")
        if by.origin not in own_origins(self._services.names()):
            raise Invalid(f"{by.origin} is not a name of this box", hint="Add it on the box: weir name add HOST[:PORT]")
        browser = await self._browser(ask.request)
        if route.method == "POST":
            self._demand_own_page(ask, browser, by.origin)
        subject = user_subject(browser.session) if browser.session else identity.NOBODY
        return msgspec.structs.replace(ask, subject=subject, browser=browser)

    async def _browser(self, request: web.Request) -> Browser:
        session = await self._identity.session(request)
        if session is not None:
            session_id = cookie(request, identity.SESSION_COOKIE) or ""
            return Browser(session, session_id, session.csrf, "")
        known = cookie(request, identity.FORM_COOKIE) or ""
        nonce = known if len(known) == 32 and known.isalnum() else secrets.token_hex(16)
        made = "" if nonce == known else make_cookie(identity.FORM_COOKIE, nonce)
        return Browser(None, "", self._services.secrets.derive("form", nonce), made)

    def _demand_own_page(self, ask: Ask[Any, Any], browser: Browser, origin: str) -> None:
        """A program (no Origin, JSON) may post: a page can't, since browsers always send Origin with a POST and ask
        before they send JSON to another origin, which nobody answers here."""
        request = ask.request
        sent = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        if sent is None and request.content_type == JSON and site == "same-origin":
            return
        if sent is None or sent.lower() != origin or site != "same-origin":
            raise Forbidden(
                f"this request came from {sent or 'a page without a name'}, not from {origin}",
                code="forbidden",
                hint=f"Open {origin}/ and try there.",
            )
        if request.content_type == FORM and not same(ask.body.get(FORM_FIELD, ""), browser.form_token):
            raise Forbidden(
                "this form is too old, or its cookie is missing",
                code="forbidden",
                hint="Go back, reload the page and try again.",
            )


def make_cookie(name: str, value: str, *, max_age_s: int | None = None) -> str:
    """A Set-Cookie value: for this host, by TLS only, hidden from scripts."""
    age = "" if max_age_s is None else f"; Max-Age={max_age_s}"
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}; Secure"


def session_cookie(session_id: str, *, max_age_s: int) -> str:
    return make_cookie(identity.SESSION_COOKIE, session_id, max_age_s=max_age_s)


def ended_session_cookie() -> str:
    return make_cookie(identity.SESSION_COOKIE, "", max_age_s=0)
