"""Rows of the route table: pages for browsers, and the login of editors."""

from __future__ import annotations

from typing import Any

from appliance.schema.oauth import OAuthRefusal, OAuthToken
from appliance.web.pages import account, inbox, oauth
from appliance.web.route import Handler, Route
from appliance.web.routes.rows import SMALL


def _page(method: str, path: str, handler: Handler, summary: str, **rest: Any) -> Route:
    return Route(method, path, handler, summary, auth="browser", response=bytes, max_body_bytes=SMALL, **rest)


PAGES = (
    _page("GET", "/", account.landing, "Your instances."),
    _page("GET", "/account/login", account.login_page, "The login page."),
    _page("POST", "/account/login", account.login, "Log in by form or JSON.", body=dict),
    _page("POST", "/account/logout", account.logout, "Log out.", body=dict),
    _page(
        "POST",
        "/account/invitations/{invitation}/accept",
        inbox.accept,
        "Accept an invitation by the page's form.",
        body=dict,
    ),
    _page(
        "POST",
        "/account/invitations/{invitation}/reject",
        inbox.reject,
        "Decline an invitation by the page's form.",
        body=dict,
    ),
    _page("POST", "/account/notifications/read", inbox.read, "Mark notices as read by the page's form.", body=dict),
    _page("GET", "/account/authorize", oauth.authorize, "An editor asks for a login.", refusal=OAuthRefusal),
    _page("GET", "/account/request/{id}/editor", oauth.login_page, "The login page of an editor's login."),
    _page("GET", "/account/complete/{id}", oauth.complete, "Finish an editor's login.", refusal=OAuthRefusal),
    _page("GET", "/account/reject/{id}", oauth.reject, "Refuse an editor's login.", refusal=OAuthRefusal),
    Route(
        "POST",
        "/account/token",
        oauth.token,
        "Trade an authorization code or a refresh token.",
        auth="public",
        body=dict,
        response=OAuthToken,
        refusal=OAuthRefusal,
        max_body_bytes=SMALL,
    ),
    Route("GET", "/account/check/{kind}/{owner}", oauth.check, "Whether a token belongs to this owner.", auth="bearer"),
)
