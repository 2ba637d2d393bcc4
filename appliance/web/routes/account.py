"""Rows of the route table: accounts without a login, for browsers and for programs of the reference."""

from __future__ import annotations

from typing import Any

from appliance.schema.common import Status
from appliance.schema.users import ForgotPassword, GivenToken, NewPassword, Register, User
from appliance.web.pages import recovery
from appliance.web.route import Handler, Route
from appliance.web.routes.rows import SMALL


def _public(path: str, handler: Handler, body: Any, summary: str) -> Route:
    return Route("POST", path, handler, summary, auth="public", body=body, response=Status, max_body_bytes=SMALL)


ACCOUNT = (
    Route(
        "GET",
        "/account/reset_password",
        recovery.page,
        "The page for a new password, by a code.",
        auth="browser",
        response=bytes,
        max_body_bytes=SMALL,
    ),
    Route(
        "POST",
        "/account/reset_password",
        recovery.reset,
        "Set a new password by the page's form.",
        auth="browser",
        body=dict,
        response=bytes,
        max_body_bytes=SMALL,
    ),
    Route(
        "POST",
        "/account/reset_password/{token}",
        recovery.reset_by_token,
        "Set a new password with a code, once.",
        auth="public",
        body=NewPassword,
        response=Status,
        max_body_bytes=SMALL,
    ),
    Route(
        "POST",
        "/account/forgot_password",
        recovery.forgot,
        "Always refused: the box sends no mail.",
        auth="public",
        body=ForgotPassword,
        response=Status,
        max_body_bytes=SMALL,
    ),
    Route(
        "POST",
        "/account/register",
        recovery.register,
        "Sign up, where the platform's settings allow it.",
        auth="public",
        body=Register,
        response=User,
        max_body_bytes=SMALL,
    ),
    _public("/account/login/token", recovery.second_factor, GivenToken, "Always refused: nobody has a second factor."),
    _public("/account/verify", recovery.confirm, None, "Always refused: the box sends no mail."),
    _public("/account/verify/token", recovery.confirm_by_token, GivenToken, "Always refused: the box sends no mail."),
    _public("/account/email_change/{token}", recovery.confirm, None, "Always refused: the box sends no mail."),
)
