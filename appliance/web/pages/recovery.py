"""A new password without the old one, and signing up."""

from __future__ import annotations

from appliance.errors import Invalid, TooMany, Unauthorized
from appliance.schema.common import Status
from appliance.schema.users import ForgotPassword, GivenToken, NewPassword, Register, User
from appliance.web import pages
from appliance.web.pages.visitor import BrowserAsk, browser_of
from appliance.web.route import Ask, Reply, redirect
from appliance.web.services import Services

DONE = Status()


async def page(services: Services, ask: BrowserAsk) -> Reply:
    """Where the code is typed that an administrator handed over. It never stands in an address."""
    return form(ask)


async def reset(services: Services, ask: BrowserAsk) -> Reply:
    """By the page's form."""
    code, password = str(ask.body.get("code", "")).strip(), str(ask.body.get("password", ""))
    try:
        if password != ask.body.get("again", ""):
            raise Invalid("The two passwords differ.", hint="Type both again.")
        await services.directory.recovery.reset(code, password, address=ask.address)
    except (Invalid, TooMany) as error:
        good = code if error.code != "password_reset_failed" else ""
        return form(ask, good, error)
    return redirect("/account/login")


async def reset_by_token(services: Services, ask: Ask[None, NewPassword]) -> Status:
    await services.directory.recovery.reset(ask.params["token"], ask.body.password, address=ask.address)
    return DONE


async def forgot(services: Services, ask: Ask[None, ForgotPassword]) -> Status:
    """Always refused, for known and unknown addresses alike: the box sends no mail."""
    raise Invalid(
        "This box sends no mail, so passwords can't be recovered by it.",
        code="password_reset_unavailable",
        hint="Ask an administrator of this box for a code: weir user reset-password NAME.",
    )


async def second_factor(services: Services, ask: Ask[None, GivenToken]) -> Status:
    """Always refused, as a wrong code is: no account has one, and a login by password is whole."""
    raise Unauthorized("There is no login that waits for a second factor.", hint="Log in with your password.")


async def confirm(services: Services, ask: Ask[None, None]) -> Status:
    """Always refused: codes would come by mail, and addresses count without being confirmed."""
    raise _no_mail()


async def confirm_by_token(services: Services, ask: Ask[None, GivenToken]) -> Status:
    """Always refused, as `confirm` is."""
    raise _no_mail()


def _no_mail() -> Invalid:
    return Invalid(
        "This box sends no mail, so there is nothing to confirm.",
        hint="An administrator of this box changes the address: PUT /api/v1/users/ID.",
    )


async def register(services: Services, ask: Ask[None, Register]) -> User:
    return await services.directory.recovery.register(ask.body, address=ask.address)


def form(ask: BrowserAsk, code: str = "", error: Invalid | TooMany | None = None) -> Reply:
    """The page; with `code` known only the password is asked for."""
    browser = browser_of(ask)
    message = f"{error} {error.hint}".strip() if error else ""
    body = pages.render("recovery.html", message=message, code=code, token=browser.form_token)
    headers = [("Set-Cookie", browser.form_cookie)] if browser.form_cookie else []
    if isinstance(error, TooMany):
        headers.append(("Retry-After", str(error.retry_after_s)))
    return Reply(body, pages.HTML, error.status if error else None, tuple(headers))
