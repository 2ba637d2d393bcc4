"""What one instance takes over from another: flows, credentials under its own key, variables, settings."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS, BoxSecrets
from appliance.errors import Invalid
from appliance.schema.instances import CopyOptions, SourceProject
from appliance.services import credentials, documents, environment
from appliance.services.environment import Copied, Vault
from appliance.store import instances, storage
from appliance.store.engine import Tx
from appliance.store.instances import InstanceRow

EVERYTHING = CopyOptions(flows=True, credentials=True, env_vars="all", settings=True, template=True)
# The title in the editor's corner is the instance's own.
_OWN = ("header",)


class Source(Struct, frozen=True):
    """An instance to take from, and what is wanted of it."""

    row: InstanceRow
    options: CopyOptions


def source(tx: Tx, wanted: SourceProject, team_id: str) -> Source:
    """Raises Invalid `invalid_source_project` unless it is an instance of this team."""
    row = instances.get(tx, wanted.id)
    if row is None or row.team_id != team_id:
        raise Invalid(
            "There is no such instance in this team to copy from.",
            code="invalid_source_project",
            hint="Flows and secrets are copied inside a team only; weir instance list shows its instances.",
        )
    return Source(row, EVERYTHING if wanted.options is None else wanted.options)


def take(tx: Tx, box: BoxSecrets, taken: Source, target: InstanceRow, *, user_id: str | None, at: int) -> None:
    """Write into `target` what is wanted of the source; what is not wanted stays as it is."""
    options = taken.options
    if options.flows:
        _take_flows(tx, box, taken, target, user_id=user_id, at=at)
    settings = _settings(box, taken, target)
    if settings != target.settings:
        instances.set_settings(tx, target.id, settings, at=at)
    if options.template and taken.row.template_id != target.template_id:
        instances.set_template(tx, target.id, taken.row.template_id, at=at)


def rekeyed(body: bytes, old: str, new: str) -> bytes:
    """A credentials document under another secret. Raises Invalid for what is none, Forbidden
    `invalid_credentials_secret`."""
    sealed: dict[str, Raw] = documents.check(body, documents.OBJECT, "credentials")
    if "$" not in sealed:
        return msgspec.json.encode({"$": credentials.encrypt(body, new)}) if sealed else b"{}"
    cipher = bytes(sealed["$"])
    plain = credentials.decrypt(str(msgspec.json.decode(cipher)), old) if cipher.startswith(b'"') else b""
    try:
        msgspec.json.decode(plain, type=dict[str, Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise credentials.wrong_secret() from error
    return msgspec.json.encode({"$": credentials.encrypt(plain, new)})


def secret_of(tx: Tx, box: BoxSecrets, instance_id: str) -> str:
    """What an instance's credentials are encrypted with."""
    return box.unseal(SEALED_FOR_CREDENTIALS, instance_id, str(instances.sealed_secret(tx, instance_id)))


def store(tx: Tx, instance_id: str, kind: str, body: bytes, *, user_id: str | None, at: int) -> None:
    """Make `body` what Node-RED loads at its next start."""
    storage.write(tx, storage.Write(instance_id, kind, body, hashlib.sha256(body).hexdigest(), None, user_id, at))


def _take_flows(tx: Tx, box: BoxSecrets, taken: Source, target: InstanceRow, *, user_id: str | None, at: int) -> None:
    stored = storage.bodies(tx, taken.row.id)
    sealed = stored.get("credentials", b"{}") if taken.options.credentials else b"{}"
    opened = rekeyed(sealed, secret_of(tx, box, taken.row.id), secret_of(tx, box, target.id))
    store(tx, target.id, "flows", stored.get("flows", b"[]"), user_id=user_id, at=at)
    store(tx, target.id, "credentials", opened, user_id=user_id, at=at)
    instances.flows_written(tx, target.id, at=at)


def _settings(box: BoxSecrets, taken: Source, target: InstanceRow) -> dict[str, Any]:
    after = dict(target.settings)
    if taken.options.settings:
        own = {key: target.settings[key] for key in ("env", *_OWN) if key in target.settings}
        after = {key: value for key, value in taken.row.settings.items() if key != "env"} | own
    if how := taken.options.env_vars:
        word = cast(Copied, "all" if how is True else how)
        vaults = Vault(box, taken.row.id), Vault(box, target.id)
        after["env"] = environment.copied(taken.row.settings.get("env"), *vaults, word)
    return after
