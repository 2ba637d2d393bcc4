"""Settings of the platform: what an administrator may switch, and what each sees of it."""

from __future__ import annotations

import difflib
import platform as python
from importlib import metadata
from typing import Any

from msgspec import Struct

from appliance.errors import Invalid
from appliance.model import Subject
from appliance.services.context import Context, Recorder
from appliance.services.people import updates
from appliance.store import box, personal_tokens
from appliance.store.engine import Tx
from appliance.store.tokens import Kind
from appliance.store.values import from_json, iso, to_json

KEY = "platform_settings"
TEXT_LENGTH = 4096
Seen = str  # "all" | "users" | "admins"


class Setting(Struct, frozen=True):
    """`kind` of its values; `default`; who sees it: "all", "users" or "admins"."""

    kind: type[Any]
    default: Any
    seen: Seen = "admins"
    nullable: bool = False


SETTINGS: dict[str, Setting] = {
    "user:signup": Setting(bool, False, "all"),
    "user:tcs-required": Setting(bool, False, "all"),
    "user:tcs-url": Setting(str, "", "all", nullable=True),
    "branding:account:signUpTopBanner": Setting(str, None, "all", nullable=True),
    "branding:account:signUpLeftBanner": Setting(str, None, "all", nullable=True),
    "team:create": Setting(bool, False, "users"),
    "user:team:auto-create": Setting(bool, False),
    "user:team:auto-create:teamType": Setting(str, None, nullable=True),
}
# Settings of the reference that stand still here: what they show, who sees it, and why they can't be changed.
FIXED: dict[str, tuple[Any, Seen, str]] = {
    "user:reset-password": (False, "all", "this box sends no mail; use weir user reset-password"),
    "team:user:invite:external": (False, "users", "this box sends no mail, so only people with an account are invited"),
    "telemetry:enabled": (False, "admins", "Weir tells nobody about your box"),
    "user:team:trial-mode": (False, "admins", "there is nothing to buy"),
    "user:team:auto-create:instanceType": (None, "admins", "teams of new people begin without instances"),
    "user:team:auto-create:application": (False, "admins", "teams of new people begin without applications"),
    "platform:sso:direct": (False, "admins", "there is no single sign-on"),
    "user:offboarding-required": (False, "admins", "accounts are deleted at once"),
}
TCS_DATE = "user:tcs-date"
TCS_UPDATED = "user:tcs-updated"
_SEES = {"all": ("all",), "users": ("all", "users"), "admins": ("all", "users", "admins")}


class PlatformSettings:
    """Kept as one document in the database; what was never set has its default."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def shown(self, subject: Subject) -> dict[str, Any]:
        """What this subject may see: a little for strangers, more for users, most for administrators."""
        seen = _seen_by(subject)
        kept, counted = await self._context.store.read(lambda tx: (stored(tx), _stats_token(tx)))
        found = {key: value for key, value in kept.items() if SETTINGS[key].seen in seen} if kept else {}
        found |= {key: value for key, (value, who, _) in FIXED.items() if who in seen}
        found |= {"features": {}}
        if "users" in seen:
            found |= {"email": False, "stacks": _STACK_PROPERTIES, "license": {}, "base_url": self._context.base_url()}
            found |= {TCS_DATE: await self._context.store.read(lambda tx: box.get(tx, TCS_DATE))}
        if "admins" in seen:
            versions = {"version:forge": _version(), "version:node": None, "version:python": python.python_version()}
            found |= {"platform:licensed": False, "platform:stats:token": counted, **versions}
        return found

    async def change(self, subject: Subject, document: dict[str, Any]) -> None:
        """All or nothing. Raises Invalid naming the key, what is wrong with it, and the nearest that is known."""
        wanted = {key: _checked(key, value) for key, value in document.items() if key != TCS_UPDATED}
        wanted = {key: value for key, value in wanted.items() if key in SETTINGS}
        renewed = TCS_UPDATED in document

        def work(tx: Tx) -> None:
            before = stored(tx)
            after = before | wanted
            changed = updates(before, after)
            if renewed:
                date = iso(self._context.now_ms())
                changed.append({"key": TCS_DATE, "old": box.get(tx, TCS_DATE), "new": date, "dif": "updated"})
                box.put(tx, TCS_DATE, date)
            if not changed:
                return
            box.put(tx, KEY, to_json(after))
            self._audit.record(
                tx,
                "platform.settings.updated",
                subject=subject,
                scope_type="platform",
                scope_id=None,
                body={"updates": changed},
            )

        await self._context.store.write(work)


def stored(tx: Tx) -> dict[str, Any]:
    """Every setting with its value."""
    kept = box.get(tx, KEY)
    known = from_json(kept) if kept else {}
    return {key: known.get(key, setting.default) for key, setting in SETTINGS.items()}


# What a stack may say of itself under this driver; the reference publishes it with label, description and pattern.
_STACK_PROPERTIES = {
    "nodered": {"label": "Node-RED version", "validate": "^(0|[1-9]\\d*)\\.(0|[1-9]\\d*)\\.(0|[1-9]\\d*)$"},
    "node": {"label": "Node.js version", "validate": "^\\d+(\\.\\d+){0,2}$"},
    "memory": {"label": "Memory (MB)", "validate": "^[1-9]\\d*$"},
}


def _seen_by(subject: Subject) -> tuple[str, ...]:
    if subject.kind != "user" or subject.scopes is not None:
        return _SEES["all"]
    return _SEES["admins" if subject.admin and subject.team_ids is None else "users"]


def _stats_token(tx: Tx) -> bool:
    return bool(personal_tokens.of_kind(tx, Kind.STATS))


def _checked(key: str, value: Any) -> Any:
    if key in FIXED:
        shown, _, why = FIXED[key]
        if value != shown:
            raise Invalid(f"'{key}' can't be changed: {why}.", hint="Leave it out.")
        return value
    setting = SETTINGS.get(key)
    if setting is None:
        raise _unknown(key)
    if value is None and setting.nullable:
        return setting.default
    if type(value) is not setting.kind:
        raise Invalid(f"'{key}' takes {_KINDS[setting.kind]}.", hint="Correct its value.")
    _check_text(key, value)
    return value


def _check_text(key: str, value: Any) -> None:
    if isinstance(value, str) and len(value) > TEXT_LENGTH:
        raise Invalid(f"'{key}' takes at most {TEXT_LENGTH} characters.", hint="Shorten it.")
    if key == "user:tcs-url" and value and not str(value).startswith(("https://", "http://")):
        raise Invalid("'user:tcs-url' takes an address of the web.", hint="Begin it with https://.")


_KINDS: dict[type[Any], str] = {bool: "true or false", str: "a text"}


def _unknown(key: str) -> Invalid:
    near = difflib.get_close_matches(key, [*SETTINGS, *FIXED], n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(SETTINGS)}."
    return Invalid(f"There is no setting '{key[:80]}'.", hint=hint)


def _version() -> str:
    try:
        return metadata.version("weir")
    except metadata.PackageNotFoundError:
        return "0"
