"""The file of a snapshot, read with suspicion. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from appliance.errors import Invalid
from appliance.schema.snapshots import Components, CreateSnapshot, ImportSnapshot
from appliance.services import credentials, documents, environment, imports, palette, setting_rules, snapshot_content
from appliance.store.snapshots import Content

MOST_SETTINGS_BYTES = 256 * 1024
LONGEST_NAME = 128
LONGEST_DESCRIPTION = 4096
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_NULL = Raw(b"null")


class _Flows(Struct, frozen=True):
    flows: Raw
    credentials: Raw = _NULL


class _Settings(Struct, frozen=True):
    settings: dict[str, Any] | None = None
    env: dict[str, Any] | None = None
    modules: dict[str, Any] | None = None


class Given(Struct, frozen=True):
    """A snapshot that somebody brings, under the instance's secret."""

    name: str
    description: str
    content: Content


def read(body: ImportSnapshot, own_secret: str, limit_bytes: int) -> Given:
    """What to keep of a file.

    Raises Invalid `bad_request` for what is no snapshot, holds flows that Node-RED could not load, or is encrypted
    while no secret is given; Forbidden `invalid_credentials_secret` for the wrong one.
    """
    try:
        return _read(body, own_secret, limit_bytes)
    except Invalid as error:
        raise bad(error.message, error.hint) from error


def flows_given(body: CreateSnapshot, own_secret: str, limit_bytes: int) -> tuple[bytes, bytes] | None:
    """Flows and credentials, under the instance's secret, that a snapshot is to be made of; None: what is stored.

    Raises Invalid, Forbidden `invalid_credentials_secret`.
    """
    if (given := bytes(body.flows).strip()) == b"null":
        return None
    sealed = bytes(body.credentials).strip()
    if given.startswith(b"{"):
        part: _Flows = _decoded(body.flows, _Flows, "flows")
        given, inner = bytes(part.flows), bytes(part.credentials).strip()
        sealed = inner if sealed == b"null" else sealed
    flows = _flows(given, limit_bytes)
    return flows, _credentials(sealed, body.credential_secret, own_secret)


def checked_name(name: str, description: str) -> tuple[str, str]:
    """Both as they are kept. Raises Invalid."""
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or len(description) > LONGEST_DESCRIPTION:
        raise Invalid(
            f"A snapshot has a name of 1 to {LONGEST_NAME} printable characters and a description of at most "
            f"{LONGEST_DESCRIPTION}.",
            hint="Choose another name.",
        )
    return name, description


def checked_modules(given: Mapping[str, Any]) -> dict[str, str]:
    """Names and versions that npm takes. Raises Invalid. What belongs to the stack is left out."""
    for name, version in given.items():
        if not palette.valid_name(name) or not isinstance(version, str):
            raise Invalid(f"'{name[:80]}' is no module with a version.", hint="Modules are {name: version}.")
    entries = [{"name": name, "version": version} for name, version in given.items() if name != "node-red"]
    if len(entries) > palette.MOST_MODULES:
        raise Invalid(f"At most {palette.MOST_MODULES} modules are taken.")
    return palette.modules({"palette": {"modules": entries}})


def bad(message: str, hint: str = "") -> Invalid:
    """The error for a file that can't be taken."""
    return Invalid(message, code="bad_request", hint=hint or "Nothing was changed.")


def _read(body: ImportSnapshot, own_secret: str, limit_bytes: int) -> Given:
    for part in ("name", "flows", "settings"):
        if part not in body.snapshot:
            raise Invalid(
                f"This is not a snapshot: it has no '{part}'.", hint="A snapshot has a name, flows and settings."
            )
    name = _decoded(body.snapshot["name"], str, "name")
    text = body.snapshot.get("description", _NULL)
    description = _decoded(text, str | None, "description") or ""
    name, description = checked_name(name, description)
    flows: _Flows = _decoded(body.snapshot["flows"], _Flows, "flows")
    given: _Settings = _decoded(body.snapshot["settings"], _Settings, "settings")
    content = Content(
        flows=_flows(bytes(flows.flows), limit_bytes),
        credentials=_plain_credentials(bytes(flows.credentials).strip()),
        settings=_settings(given.settings),
        env=_env(given.env),
        modules=None if given.modules is None else checked_modules(given.modules),
    )
    content = snapshot_content.narrowed(content, body.components or Components())
    _check_mark(body, body.credential_secret)
    return Given(name, description, _opened(content, body.credential_secret, own_secret))


def _opened(content: Content, given_secret: str | None, own_secret: str) -> Content:
    """Under the instance's own secret. What came in clear is encrypted by it, what was encrypted needs its secret."""
    if snapshot_content.has_secrets(content) and not given_secret:
        raise Invalid(
            "The snapshot holds encrypted credentials or variables: the credential secret of the export is missing.",
            hint="Give 'credentialSecret', or leave them out: components {credentials: false, envVars: 'keys'}.",
        )
    secret = given_secret or own_secret
    return snapshot_content.rekey(_sealed(content, secret), secret, own_secret)


def _sealed(content: Content, secret: str) -> Content:
    """What came in clear, encrypted with the secret that the rest is encrypted with."""

    def seal(value: Any) -> Any:
        return {"$": credentials.encrypt(value.encode(), secret)} if isinstance(value, str) and value else value

    env = content.env
    if env is not None:
        env = {name: _hidden(value, seal) for name, value in env.items()}
    settings = content.settings
    for group, key in snapshot_content.SECRETS:
        values = (settings or {}).get(group)
        if settings is not None and isinstance(values, dict) and key in values:
            settings = {**settings, group: {**values, key: seal(values[key])}}
    return msgspec.structs.replace(content, env=env, settings=settings)


def _hidden(value: Any, seal: Any) -> Any:
    if not isinstance(value, dict) or "$" in value or not value.get("value"):
        return value
    return {"hidden": True, **seal(value["value"])}


def _check_mark(body: ImportSnapshot, secret: str | None) -> None:
    mark = body.snapshot.get("secretCheck", _NULL)
    cipher = _decoded(mark, str | None, "secretCheck")
    if cipher and secret and credentials.decrypt(cipher, secret) != snapshot_content.CHECK:
        raise credentials.wrong_secret()


def _flows(body: bytes, limit_bytes: int) -> bytes:
    if len(body) > limit_bytes:
        raise Invalid(f"The flows have {len(body)} bytes; at most {limit_bytes} are taken.")
    return imports.checked_flows(body)


def _plain_credentials(body: bytes) -> bytes:
    if body == b"null":
        return snapshot_content.NO_CREDENTIALS
    values = documents.check(body, documents.OBJECT, "credentials")
    return body if values else snapshot_content.NO_CREDENTIALS


def _credentials(body: bytes, given_secret: str | None, own_secret: str) -> bytes:
    """Those that come with flows; encrypted ones without a secret are taken for the instance's own."""
    plain = _plain_credentials(body)
    content = Content(flows=b"[]", credentials=plain, settings=None, env=None, modules=None)
    return snapshot_content.rekey(content, given_secret or own_secret, own_secret).credentials


def _settings(given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    if len(msgspec.json.encode(given)) > MOST_SETTINGS_BYTES:
        raise Invalid(f"The settings of the snapshot are larger than {MOST_SETTINGS_BYTES} bytes.")
    known = {key: value for key, value in snapshot_content.without_modules(given).items() if value is not None}
    bare = snapshot_content.without_secret_settings(known)
    checked, _ = setting_rules.checked(bare, {})
    return snapshot_content.with_secret_settings(checked, known)


def _env(given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    most = environment.MOST_VARIABLES
    if len(given) > most or len(msgspec.json.encode(given)) > MOST_SETTINGS_BYTES:
        raise Invalid(f"At most {most} variables of {MOST_SETTINGS_BYTES} bytes together are taken.")
    return {name: _value(name, value) for name, value in given.items() if not name.startswith("FF_")}


def _value(name: str, value: Any) -> Any:
    if _NAME.fullmatch(name) is None or len(name) > environment.LONGEST_NAME:
        raise Invalid(f"'{name[:80]}' is no name of a variable.", hint="Letters, digits and '_', no digit first.")
    if isinstance(value, dict):
        if value.get("hidden"):
            kept = next((key for key in ("$", "value") if isinstance(value.get(key), str)), None)
            return {"hidden": True, **({kept: value[kept]} if kept else {"value": ""})}
        value = value.get("value", "")
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if isinstance(value, str | int | float) and len(text) <= environment.LONGEST_VALUE and "\0" not in text:
        return text
    raise Invalid(f"The value of the variable '{name[:80]}' is no text that a variable takes.")


def _decoded(raw: Raw, kind: Any, what: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"This is not a snapshot: its {what} can't be read ({error}).") from error
