"""Changes of an instance: its name, settings, variables, type, stack; with the differences for the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from appliance.errors import Conflict, Invalid, NotFound, TooLarge
from appliance.events import Event
from appliance.model import Desired, Subject
from appliance.schema.instances import ChangeInstance, ImportProject
from appliance.services import (
    copies,
    documents,
    environment,
    hashes,
    imports,
    names,
    published,
    setting_rules,
    start_order,
    supervision,
    team_limits,
)
from appliance.services.addresses import Addresses
from appliance.services.context import Context, Recorder, record_of_instance
from appliance.services.environment import Vault
from appliance.store import catalogue, instances
from appliance.store.catalogue import StackRow, TypeRow
from appliance.store.engine import Tx
from appliance.store.instances import InstanceRow

NOTE = "Launcher settings take effect at the next start or restart of the instance."
SETTINGS_NOTE = "Settings and variables take effect at the next start or restart of the instance."
STACK_NOTE = "The instance is placed anew on its stack."
COPY_NOTE = "The flows that were copied are loaded by a restart, which is under way."


class Outcome(Struct, frozen=True):
    """What a change did. `poke`: the reconciler has something to do. `note` says when it takes effect."""

    poke: bool = False
    note: str = ""


class Changes:
    """Carries out `PUT /projects/:id`. `built` says whether a stack is on this box; it looks at files."""

    def __init__(
        self,
        context: Context,
        *,
        audit: Recorder,
        built: Callable[[StackRow], Awaitable[bool]],
        addresses: Addresses,
    ) -> None:
        self._context = context
        self._addresses = addresses
        self._audit = audit
        self._built = built

    async def change(self, subject: Subject, instance_id: str, body: ChangeInstance) -> Outcome:
        """All or nothing. Raises what `Instances.change` says."""
        if body.settings is not None:
            body = msgspec.structs.replace(body, settings=await asyncio.to_thread(hashes.hashed, body.settings))
        if body.stack is not None:
            await self._check_built(body.stack)
        return await self._context.store.write(lambda tx: self._write(tx, subject, instance_id, body))

    async def import_files(self, subject: Subject, instance_id: str, body: ImportProject) -> Outcome:
        """Make the files of a Node-RED that stands alone this instance's, and restart it.

        Raises Invalid for what Node-RED could not load, Forbidden `invalid_credentials_secret` for the wrong secret.
        """
        limit = self._context.config.limits.json_bytes
        size = len(body.flows or "") + len(body.credentials or "")
        flows, given = await documents.off_loop(size, _files, body, limit)

        def work(tx: Tx) -> Outcome:
            row = instances.get(tx, instance_id)
            if row is None or row.desired is Desired.DELETING:
                raise NotFound("There is no such instance.", hint="See: weir instance list")
            at, user_id = self._context.now_ms(), subject.user_id
            if given is not None:
                own = copies.secret_of(tx, self._context.box, row.id)
                sealed = copies.rekeyed(given, body.creds_secret or "", own)
                copies.store(tx, row.id, "credentials", sealed, user_id=user_id, at=at)
            if flows is not None:
                copies.store(tx, row.id, "flows", flows, user_id=user_id, at=at)
                instances.flows_written(tx, row.id, at=at)
            up = row.desired is not Desired.SUSPENDED
            instances.wish(tx, row.id, row.desired, at=at, placed_anew=False, command=up)
            self._record(tx, "project.flow-imported", subject, row, {})
            tx.after_commit(Event("instance.changed", row.id, row.team_id, {"id": row.id}))
            return Outcome(poke=True)

        return await self._context.store.write(work)

    async def _check_built(self, wanted: str) -> None:
        row = await self._context.store.read(lambda tx: catalogue.stack(tx, wanted))
        if row is not None and not await self._built(row):
            raise Invalid(
                f"The stack '{row.name}' is not built on this box; the instance stays as it is.",
                code="invalid_stack",
                hint=f"Build it first: weir stack build {row.name}",
            )

    def _write(self, tx: Tx, subject: Subject, instance_id: str, body: ChangeInstance) -> Outcome:
        row = instances.get(tx, instance_id)
        if row is None:
            raise NotFound("There is no such instance.", hint="See: weir instance list")
        self._check_state(row, body)
        at, notes = self._context.now_ms(), list[str]()
        updates = self._rename(tx, row, body.name, at) if body.name is not None else []
        moved = bool(updates) and self._moves(row, body.name or "", notes)
        if body.launcher_settings is not None:
            updates += _supervise(tx, row, body.launcher_settings, at)
            notes.append(NOTE)
            if self._context.config.launcher.command and (said := published.note(body.launcher_settings)):
                notes.append(said)
        if body.settings is not None:
            updates += self._set(tx, row, body.settings, at, notes)
        if updates:
            self._record(tx, "project.settings.updated", subject, row, {"updates": updates})
        placed = self._replace(tx, subject, row, body, at, notes)
        copied = self._copy(tx, subject, row, body, at, notes)
        if placed or copied or moved:
            up = row.desired is not Desired.SUSPENDED
            command = (copied or moved) and up
            instances.wish(tx, row.id, row.desired, at=at, placed_anew=placed and up, command=command)
        if updates or placed or copied:
            tx.after_commit(Event("instance.changed", row.id, row.team_id, {"id": row.id}))
        return Outcome(placed or copied or moved, " ".join(notes))

    def _check_state(self, row: InstanceRow, body: ChangeInstance) -> None:
        if row.desired is Desired.DELETING:
            hint = "Create a new one when it is gone."
            raise Conflict("The instance is being deleted.", code="invalid_state", hint=hint)
        if body.hostname and body.hostname.lower() != self._addresses.host(row.safe_name):
            raise Invalid(
                "This box chooses the host names of instances: <name>.<ingress.domain> in the access mode host.",
                hint="Leave 'hostname' out, or rename the instance; nothing was changed.",
            )

    def _rename(self, tx: Tx, row: InstanceRow, wanted: str, at: int) -> list[dict[str, Any]]:
        name = names.check_name(wanted)
        if name == row.name:
            return []
        safe_name = names.safe_name(name)
        if safe_name != row.safe_name:
            self._addresses.check_name(safe_name)
            if instances.name_taken(tx, safe_name):
                raise names.taken(name)
        instances.rename(tx, row.id, name, safe_name, at=at)
        return [_update("name", row.name, name)]

    def _moves(self, row: InstanceRow, wanted: str, notes: list[str]) -> bool:
        """Tell where a renamed instance is reached from now on; whether it must restart for that."""
        after = self._addresses.instance(row.number, names.safe_name(wanted.strip()))
        if after == self._addresses.instance(row.number, row.safe_name):
            return False
        notes.append(f"Its address is {after}/ from now on; bookmarks and programs have to be changed.")
        return self._addresses.restarts_when_renamed() and row.desired is Desired.RUNNING

    def _set(self, tx: Tx, row: InstanceRow, given: dict[str, Any], at: int, notes: list[str]) -> list[dict[str, Any]]:
        own = {key: value for key, value in given.items() if key != "env"}
        wanted, locked = setting_rules.checked(own, row.template_policy)
        after = setting_rules.laid_over(row.settings, wanted)
        if given.get("env") is not None:
            after["env"] = environment.checked(given["env"], row.settings.get("env"), Vault(self._context.box, row.id))
        notes.append(SETTINGS_NOTE)
        if locked:
            notes.append(f"The template keeps its own: {', '.join(locked)}.")
        if after == row.settings:
            return []
        instances.set_settings(tx, row.id, after, at=at)
        return differences(row.settings, after)

    def _replace(
        self, tx: Tx, subject: Subject, row: InstanceRow, body: ChangeInstance, at: int, notes: list[str]
    ) -> bool:
        """Another type or stack; whether the launcher must be placed anew for it."""
        kind = _type(tx, row, body.project_type)
        stack = _stack(tx, row, kind, body.stack)
        if kind is not None and kind.id != row.type_id:
            instances.set_type(tx, row.id, kind.id, at=at)
            self._record(tx, "project.type.changed", subject, row, {"projectType": {"id": kind.id, "name": kind.name}})
        if stack is None or stack.id == row.stack_id:
            return False
        instances.set_stack(tx, row.id, stack.id, at=at)
        self._record(tx, "project.stack.changed", subject, row, {"stack": {"id": stack.id, "name": stack.name}})
        notes.append(STACK_NOTE)
        return True

    def _copy(
        self, tx: Tx, subject: Subject, row: InstanceRow, body: ChangeInstance, at: int, notes: list[str]
    ) -> bool:
        if body.source_project is None:
            return False
        taken = copies.source(tx, body.source_project, row.team_id)
        if taken.row.id == row.id:
            raise Invalid("An instance can't be copied over itself.", code="invalid_source_project")
        now = instances.get(tx, row.id) or row  # settings of the same request are in it
        copies.take(tx, self._context.box, taken, now, user_id=subject.user_id, at=at)
        source = {"id": taken.row.id, "name": taken.row.name}
        self._record(tx, "project.imported", subject, row, {"sourceProject": source})
        self._record(tx, "project.copied", subject, taken.row, {"targetProject": {"id": row.id, "name": row.name}})
        notes.append(COPY_NOTE)
        return True

    def _record(self, tx: Tx, event: str, subject: Subject, row: InstanceRow, told: dict[str, Any]) -> None:
        record_of_instance(self._audit, tx, event, subject, row, told)


def _files(body: ImportProject, limit_bytes: int) -> tuple[bytes | None, bytes | None]:
    """Flows and credentials as bytes, checked."""
    flows = None if body.flows is None else body.flows.encode()
    given = None if not body.credentials else body.credentials.encode()
    if flows is None and given is None:
        raise Invalid("There is nothing to import.", hint="Give 'flows', 'credentials' with 'credsSecret', or both.")
    if max(len(flows or b""), len(given or b"")) > limit_bytes:
        raise TooLarge(f"At most {limit_bytes} bytes are taken.", hint="Import a part of them.")
    if given is not None:
        documents.check(given, documents.OBJECT, "credentials")
    return None if flows is None else imports.checked_flows(flows), given


def of_members(body: ChangeInstance) -> ChangeInstance:
    """What a member may change of it: the variables."""
    env = (body.settings or {}).get("env")
    return ChangeInstance(settings=None if env is None else {"env": env})


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """What changed of settings, for the audit log; secrets only as set or not set."""
    old, new = setting_rules.flat(before), setting_rules.flat(after)
    changed = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    told = [_update(path, hashes.told(path, old.get(path)), hashes.told(path, new.get(path))) for path in changed]
    return told + environment.differences(before.get("env"), after.get("env"))


def _type(tx: Tx, row: InstanceRow, wanted: str | None) -> TypeRow | None:
    if wanted is None:
        return None
    kind = catalogue.instance_type(tx, wanted)
    if kind is None or (kind.id != row.type_id and not kind.active):
        raise Invalid(f"There is no active instance type '{wanted[:80]}'.", code="invalid_project_type")
    if kind.id != row.type_id:
        team_limits.check_type(tx, row.team_id, kind.id)
    return kind


def _stack(tx: Tx, row: InstanceRow, kind: TypeRow | None, wanted: str | None) -> StackRow | None:
    """The stack it runs on from now; None: the one it has."""
    of_type = row.type_id if kind is None else kind.id
    if wanted is None and of_type == row.type_id:
        return None
    stack = catalogue.stack(tx, wanted or row.stack_id)
    if stack is None or not (stack.active or stack.id == row.stack_id):
        raise Invalid(
            f"There is no active stack '{str(wanted)[:80]}'.", code="invalid_stack", hint="See: weir stack list"
        )
    if stack.instance_type_id not in (None, of_type):
        raise Invalid(
            f"The stack '{stack.name}' is not for instances of that type.",
            code="invalid_stack",
            hint="Name a stack of that type together with it: weir stack list",
        )
    return stack


def _supervise(tx: Tx, row: InstanceRow, given: dict[str, Any], at: int) -> list[dict[str, Any]]:
    if given.get("startAfter"):
        given = {**given, "startAfter": start_order.resolved(tx, row, given["startAfter"])}
    after = supervision.changed(row.launcher_settings, given)
    instances.set_launcher_settings(tx, row.id, after, at=at)
    old, new = supervision.effective(row.launcher_settings), supervision.effective(after)
    return [_update(f"launcherSettings.{key}", old[key], new[key]) for key in new if old[key] != new[key]]


def _update(key: str, old: object, new: object) -> dict[str, Any]:
    return {"key": key, "old": old, "new": new, "dif": "updated"}
