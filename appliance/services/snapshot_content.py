"""What a snapshot holds, and how it changes hands. Pure.

At rest and in a file a snapshot looks the same, but for the secret: credentials are `{"$": cipher}`, so are the values
of hidden variables (`{"hidden": true, "$": …}`) and of secret settings. Exporting and importing are one thing then:
encrypting anew, from one secret to another (platform model §5, §7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from appliance.errors import Invalid
from appliance.schema.snapshots import Components, SnapshotSettings
from appliance.services import credentials, documents, palette
from appliance.store.snapshots import Content

# Settings that are secrets: they leave the box encrypted or not at all.
SECRETS = (("httpNodeAuth", "pass"), ("localAuth", "pass"), ("palette", "npmrc"))
# What every file that Weir writes can be opened with, so that a wrong secret is known even without credentials.
CHECK = b"weir"
NO_CREDENTIALS = b"{}"
Settings = dict[str, Any]
Turn = Callable[[bytes], bytes]


def capture(
    flows: bytes | None, sealed: bytes | None, own: Mapping[str, Any], modules: dict[str, str] | None, secret: str
) -> Content:
    """What an instance is now. `sealed`: its credentials as they are stored; `own`: its settings, all in clear."""
    settings = {key: value for key, value in own.items() if key != "env"}
    variables = own.get("env")
    return Content(
        flows=flows or b"[]",
        credentials=_sealed_credentials(sealed or NO_CREDENTIALS, secret),
        settings=_secrets(without_modules(settings), lambda value: _seal(value, secret)),
        env=_map(variables if isinstance(variables, list) else [], secret),
        modules=palette.modules(dict(own)) if modules is None else modules,
    )


def rekey(content: Content, old: str, new: str) -> Content:
    """The same under another secret. Raises Forbidden `invalid_credentials_secret` when `old` isn't the one."""

    def turn(cipher: Any) -> dict[str, Any]:
        plain = credentials.decrypt(cipher, old) if isinstance(cipher, str) else None
        if plain is None or not _is_text(plain):
            raise credentials.wrong_secret()
        return {"$": credentials.encrypt(plain, new)}

    env = content.env
    return replace(
        content,
        credentials=_rekeyed(content.credentials, old, new),
        settings=None if content.settings is None else _secrets(content.settings, lambda value: turn(value["$"])),
        env=None if env is None else {name: _turned(value, turn) for name, value in env.items()},
    )


def narrowed(content: Content, parts: Components) -> Content:
    """Those components only; without flows there are no credentials either. Names without values: `keys`."""
    content = content if parts.flows else replace(content, flows=b"[]")
    if not (parts.flows and parts.credentials):
        content = replace(content, credentials=NO_CREDENTIALS)
    if content.env is None or parts.env_vars == "all":
        return content
    return replace(content, env=None if parts.env_vars is False else {k: _key(v) for k, v in content.env.items()})


def without_secrets(content: Content) -> Content:
    """What may be read by whoever may read the rest: no credentials, no hidden values, no passwords."""
    return replace(
        content,
        credentials=NO_CREDENTIALS,
        settings=None if content.settings is None else _secrets(content.settings, lambda _: None),
        env=None if content.env is None else {name: _shown(value) for name, value in content.env.items()},
    )


def settings_of(content: Content) -> SnapshotSettings:
    """As the wire has them."""
    return SnapshotSettings(settings=content.settings or {}, env=content.env or {}, modules=content.modules or {})


def restored(content: Content, current: Mapping[str, Any], policy: Mapping[str, Any], secret: str) -> Settings:
    """The instance's own settings, in clear, after a rollback. What the template locks, and what the snapshot does
    not say, stays; so does a hidden value that the snapshot knows only by name."""
    after = dict(current)
    if content.settings is not None:
        opened = _secrets(content.settings, lambda value: credentials.decrypt(value["$"], secret).decode())
        after = _laid(_kept_secrets(opened, current), current, policy)
    modules = palette.modules(dict(current)) if _locked_modules(policy) else content.modules
    if (listed := palette.modules(dict(current)) if modules is None else modules) or "palette" in after:
        after = palette.with_modules(after, listed)
    if content.env is not None:
        after["env"] = _list(content.env, current.get("env"), secret)
    elif "env" in current:
        after["env"] = current["env"]
    return after


def without_modules(settings: Mapping[str, Any]) -> Settings:
    """Modules travel beside the settings, not in them."""
    group = settings.get("palette")
    if not isinstance(group, dict) or "modules" not in group:
        return dict(settings)
    return {**settings, "palette": {key: value for key, value in group.items() if key != "modules"}}


def check_mark(secret: str) -> str:
    """What goes into a file beside the rest, to know the secret by."""
    return credentials.encrypt(CHECK, secret)


def has_secrets(content: Content) -> bool:
    """Whether anything in it is encrypted."""
    inside = (_at(content.settings or {}, group, key) for group, key in SECRETS)
    return b'"$"' in content.credentials or any(map(_is_cipher, (*inside, *(content.env or {}).values())))


def without_secret_settings(settings: Mapping[str, Any]) -> Settings:
    """`settings` without those of `SECRETS`."""
    return _secrets(settings, lambda _: None)


def with_secret_settings(settings: Mapping[str, Any], source: Mapping[str, Any]) -> Settings:
    """`settings` with those of `SECRETS` as they are in `source`; what is no secret value is left out."""
    after = dict(settings)
    for group, key in SECRETS:
        value = _at(source, group, key)
        if value and (isinstance(value, str) or _is_cipher(value)) and isinstance(after.get(group), dict):
            after[group] = {**after[group], key: value}
    return after


def _sealed_credentials(stored: bytes, secret: str) -> bytes:
    """Node-RED stores them encrypted; what it did not encrypt is encrypted now."""
    values: dict[str, Any] = documents.check(stored, documents.OBJECT, "credentials")
    if not values or "$" in values:
        return stored if values else NO_CREDENTIALS
    return msgspec.json.encode({"$": credentials.encrypt(stored, secret)})


def _rekeyed(stored: bytes, old: str, new: str) -> bytes:
    values: dict[str, Any] = documents.check(stored, documents.OBJECT, "credentials")
    if "$" not in values:
        return _sealed_credentials(stored, new)
    try:
        cipher = msgspec.json.decode(values["$"], type=str)
        plain = credentials.decrypt(cipher, old)
        documents.check(plain, documents.OBJECT, "credentials")
    except (Invalid, msgspec.MsgspecError) as error:
        raise credentials.wrong_secret() from error
    return msgspec.json.encode({"$": credentials.encrypt(plain, new)})


def _turned(value: Any, turn: Callable[[Any], dict[str, Any]]) -> Any:
    return {**value, **turn(value["$"])} if _is_cipher(value) else value


def _secrets(settings: Mapping[str, Any], change: Callable[[Any], Any]) -> Settings:
    """`settings` with every secret in them changed; None removes it, and what is no secret value is removed, too."""
    changed = dict(settings)
    for group, key in SECRETS:
        if (value := _at(changed, group, key)) is None:
            continue
        new = change(value) if value and (isinstance(value, str) or _is_cipher(value)) else None
        rest = {name: item for name, item in changed[group].items() if name != key}
        changed[group] = rest if new is None else {**rest, key: new}
    return changed


def _is_cipher(value: object) -> bool:
    return isinstance(value, dict) and "$" in value


def _at(settings: Mapping[str, Any], group: str, key: str) -> Any:
    values = settings.get(group)
    return values.get(key) if isinstance(values, dict) else None


def _seal(value: Any, secret: str) -> dict[str, str] | None:
    return {"$": credentials.encrypt(value.encode(), secret)} if isinstance(value, str) and value else None


def _kept_secrets(opened: Settings, current: Mapping[str, Any]) -> Settings:
    for group, key in SECRETS:
        values, now = opened.get(group), _at(current, group, key)
        same_user = isinstance(values, dict) and values.get("user") == _at(current, group, "user")
        if isinstance(values, dict) and key not in values and now is not None and same_user:
            opened = {**opened, group: {**values, key: now}}
    return opened


def _laid(wanted: Mapping[str, Any], current: Mapping[str, Any], policy: Mapping[str, Any]) -> Settings:
    """`wanted`, but what is locked is as it is now."""
    after: Settings = {}
    for key in {**wanted, **current}:
        rule = policy.get(key)
        source = current if rule is False else wanted
        if key not in source:
            continue
        value, now = source[key], current.get(key)
        if isinstance(rule, dict) and isinstance(value, dict):
            value = _laid(value, now if isinstance(now, dict) else {}, rule)
        after[key] = value
    return after


def _locked_modules(policy: Mapping[str, Any]) -> bool:
    rules = policy.get("palette")
    return rules is False or (isinstance(rules, dict) and rules.get("modules") is False)


def _map(variables: list[Any], secret: str) -> dict[str, Any]:
    named = {entry["name"]: entry for entry in variables if isinstance(entry, dict) and _own_name(entry.get("name"))}
    return {name: _entry(entry, secret) for name, entry in named.items()}


def _entry(entry: Mapping[str, Any], secret: str) -> Any:
    value = str(entry.get("value") or "")
    if not entry.get("hidden"):
        return value
    return {"hidden": True, **(_seal(value, secret) or {"value": ""})}


def _list(env: Mapping[str, Any], current: Any, secret: str) -> list[dict[str, Any]]:
    listed = current if isinstance(current, list) else []
    now = {entry["name"]: entry for entry in listed if isinstance(entry, dict) and "name" in entry}
    return [_variable(name, value, now.get(name), secret) for name, value in env.items()]


def _variable(name: str, value: Any, now: Mapping[str, Any] | None, secret: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {"name": name, "value": str(value)}
    if not value.get("hidden"):
        return {"name": name, "value": str(value.get("value") or "")}
    if "$" in value:
        return {"name": name, "value": credentials.decrypt(value["$"], secret).decode(), "hidden": True}
    return dict(now) if now is not None and now.get("hidden") else {"name": name, "value": "", "hidden": True}


def _key(value: Any) -> Any:
    return {"hidden": True, "value": ""} if isinstance(value, dict) and value.get("hidden") else ""


def _shown(value: Any) -> Any:
    return _key(value) if isinstance(value, dict) and value.get("hidden") else value


def _own_name(name: object) -> bool:
    return isinstance(name, str) and not name.startswith("FF_")


def _is_text(plain: bytes) -> bool:
    try:
        plain.decode()
    except UnicodeDecodeError:
        return False
    return True
