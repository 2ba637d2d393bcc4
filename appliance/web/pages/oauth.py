"""The provider side of the editor's login (instance protocol §3.3): authorization code with PKCE."""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec

from appliance.errors import Unauthorized
from appliance.model import Subject
from appliance.schema.oauth import OAuthRefusal, OAuthToken
from appliance.services.oauth import OAuthError
from appliance.web.pages.account import login_form
from appliance.web.pages.visitor import BrowserAsk, browser_of
from appliance.web.route import Ask, Reply, redirect
from appliance.web.services import Services


async def authorize(services: Services, ask: BrowserAsk) -> Reply:
    """Keep the request of an editor and go on with it: at once when logged in, else over the login page."""
    try:
        request = await services.oauth.begin(dict(ask.request.query), services.names())
    except OAuthError as error:
        return _refused(ask, error)
    if browser_of(ask).session is not None:
        return redirect(f"/account/complete/{request.id}")
    return redirect(f"/account/request/{request.id}/editor")


async def login_page(services: Services, ask: BrowserAsk) -> Reply:
    """The login page in the middle of an editor's login."""
    target = f"/account/complete/{ask.id}"
    return redirect(target) if browser_of(ask).session else login_form(services, ask, target)


async def complete(services: Services, ask: BrowserAsk) -> Reply:
    """Answer an editor's request with a code.

    The protocol makes this a GET with an effect, so a page of an instance can start it with the user's session. That
    is safe: the code is for the one client that began the request, goes only to that client's own exact redirect URI,
    and is worth nothing without the verifier that this client's browser holds.
    """
    session = browser_of(ask).session
    if session is None:
        return redirect(f"/account/request/{ask.id}/editor")
    return await _sent_to(ask, services.oauth.complete(ask.id, session.user))


async def reject(services: Services, ask: BrowserAsk) -> Reply:
    """Tell an editor that its user does not want to log in."""
    return await _sent_to(ask, services.oauth.reject(ask.id))


async def token(services: Services, ask: Ask[None, dict[str, str]]) -> OAuthToken | Reply:
    """Trade a code, or a refresh token, for tokens. The client's secret is the credential."""
    try:
        return await services.oauth.exchange(ask.body)
    except OAuthError as error:
        return _told(error)


async def check(services: Services, ask: Ask[None, None]) -> None:
    """200 if the bearer token belongs to exactly this owner, else 401."""
    kind, owner = ask.params["kind"], ask.params["owner"]
    good = {"project": _runs, "http": services.endpoints.opens}.get(kind)
    if good is None or not await good(ask.subject, owner):
        raise Unauthorized("this token does not belong to that owner")


async def _runs(subject: Subject, owner: str) -> bool:
    return subject.kind in ("launcher", "node_red", "published") and subject.instance_id == owner


async def _sent_to(ask: BrowserAsk, location: Awaitable[str]) -> Reply:
    try:
        return redirect(await location)
    except OAuthError as error:
        return _refused(ask, error)


def _refused(ask: BrowserAsk, error: OAuthError) -> Reply:
    """Back to the editor where that is safe; else a page for people, and the reference's JSON for programs."""
    if error.location is not None:
        return redirect(error.location)
    if "text/html" in ask.request.headers.get("Accept", ""):
        raise error
    return _told(error)


def _told(error: OAuthError) -> Reply:
    refusal = OAuthRefusal(error=error.code, description=error.message)
    return Reply(msgspec.json.encode(refusal), status=error.status)
