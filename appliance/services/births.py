"""How an instance comes into the world: its parts chosen, its ports found, its first flows stored."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from appliance.errors import Conflict, Invalid
from appliance.events import Event
from appliance.model import Desired, Role, Subject
from appliance.schema.instances import CreateInstance
from appliance.services import copies, credentials, documents, imports, names, settings, team_limits
from appliance.services.addresses import INSTANCES, Addresses, free_numbers
from appliance.services.context import Context, Recorder, record_of_instance
from appliance.services.reach import teams_of
from appliance.store import catalogue, instances, storage
from appliance.store.engine import Tx
from appliance.store.ids import new_instance_id
from appliance.store.instances import ApplicationRow, InstanceRow, NewInstance

T = TypeVar("T")
# So many numbers are probed ahead, so that instances made at the same time need not probe again.
CANDIDATES = 16
ATTEMPTS = 5


class _Parts(Struct, frozen=True):
    """What the new instance is made of."""

    application: ApplicationRow
    type_id: str
    stack_id: str
    template: catalogue.TemplateRow


class _Crowded(Exception):
    """Others took all the numbers that were probed."""


class Births:
    """Makes instances. `probe` says whether a port is free now; it may block."""

    def __init__(
        self, context: Context, *, audit: Recorder, addresses: Addresses, probe: Callable[[int], bool]
    ) -> None:
        self._context = context
        self._audit = audit
        self._addresses = addresses
        self._probe = probe

    async def create(self, subject: Subject, body: CreateInstance) -> InstanceRow:
        """The new instance, wanted running; see `Instances.create` for what is raised."""
        name = names.check_name(body.name)
        self._addresses.check_name(names.safe_name(name))
        limit = self._context.config.limits.json_bytes
        given = await documents.off_loop(memoryview(body.flows).nbytes, imports.read, body.flows, limit)
        for _ in range(ATTEMPTS):
            free = await self._free()
            try:
                return await self._context.store.write(lambda tx: self._write(tx, subject, body, name, given, free))  # noqa: B023 - carried out before the next round
            except _Crowded:
                continue
        raise Conflict("Too many instances are being made at the same time.", hint="Try again in a moment.")

    async def _free(self) -> list[int]:
        taken = await self._context.store.read(instances.numbers)
        free = await asyncio.to_thread(free_numbers, self._addresses, taken, self._probe, most=CANDIDATES)
        if not free:
            public, node_red, launcher = self._addresses.ports(0)
            raise Conflict(
                f"All {INSTANCES} places are taken: {len(taken)} by instances, the others have a port in use by "
                f"another program ({public}…, {node_red}…, {launcher}…).",
                code="no_free_ports",
                hint="Delete an instance, or move the ranges: listen.public_base, node_red_base, launcher_base.",
            )
        return free

    def _write(
        self, tx: Tx, subject: Subject, body: CreateInstance, name: str, given: imports.Import | None, free: list[int]
    ) -> InstanceRow:
        if instances.name_taken(tx, names.safe_name(name)):
            raise names.taken(name)
        application = _application(tx, subject, body.application_id)
        taken_from = copies.source(tx, body.source_project, application.team_id) if body.source_project else None
        parts = _parts(tx, body, application, taken_from)
        taken = instances.numbers(tx)
        number = next((number for number in free if number not in taken), None)
        if number is None:
            raise _Crowded
        instance_id, secret = new_instance_id(), credentials.new_secret()
        instances.add(tx, self._new(instance_id, name, parts, number, secret))
        if given is not None:
            self._store(tx, instance_id, given, secret, subject)
        row = instances.get(tx, instance_id)
        if row is None:
            raise Conflict("The application was removed meanwhile.", hint="Choose another.")
        if taken_from is not None:
            at = self._context.now_ms()
            copies.take(tx, self._context.box, taken_from, row, user_id=subject.user_id, at=at)
            row = instances.get(tx, instance_id) or row
        self._announce(tx, subject, row, taken_from)
        return row

    def _new(self, instance_id: str, name: str, parts: _Parts, number: int, secret: str) -> NewInstance:
        return NewInstance(
            id=instance_id,
            name=name,
            safe_name=names.safe_name(name),
            application_id=parts.application.id,
            team_id=parts.application.team_id,
            type_id=parts.type_id,
            stack_id=parts.stack_id,
            template_id=parts.template.id,
            desired=Desired.RUNNING,
            number=number,
            settings=settings.of_new_instance(name, parts.template.settings),
            sealed_credential_secret=credentials.seal(self._context.box, instance_id, secret),
            at=self._context.now_ms(),
        )

    def _store(self, tx: Tx, instance_id: str, given: imports.Import, secret: str, subject: Subject) -> None:
        at = self._context.now_ms()
        for kind, body in (("flows", given.flows), ("credentials", given.encrypted(secret))):
            if body is not None:
                digest = hashlib.sha256(body).hexdigest()
                storage.write(tx, storage.Write(instance_id, kind, body, digest, None, subject.user_id, at))
        instances.flows_written(tx, instance_id, at=at)

    def _announce(self, tx: Tx, subject: Subject, row: InstanceRow, taken_from: copies.Source | None) -> None:
        source = {} if taken_from is None else {"sourceProject": {"id": taken_from.row.id, "name": taken_from.row.name}}
        told = {
            "team": {"id": row.team_id, "name": row.team_name},
            "application": {"id": row.application_id, "name": row.application_name},
            **source,
        }
        event = "project.duplicated" if source else "project.created"
        record_of_instance(self._audit, tx, event, subject, row, told)
        tx.after_commit(Event("instance.changed", row.id, row.team_id, {"id": row.id}))


def _parts(tx: Tx, body: CreateInstance, application: ApplicationRow, taken_from: copies.Source | None) -> _Parts:
    """What is neither named nor taken from the instance that is copied is the box's default."""
    same = taken_from.row if taken_from else None
    kind = _type(tx, body.project_type or (same.type_id if same else None))
    stack = _stack(tx, body.stack or (same.stack_id if same and same.type_id == kind.id else None), kind)
    if stack.instance_type_id not in (None, kind.id):
        raise Invalid(
            f"The stack '{stack.name}' is not for instances of the type '{kind.name}'.",
            code="invalid_stack",
            hint="Choose a stack of that type: weir stack list",
        )
    team_limits.check_instance(tx, application.team_id, kind.id)
    of_source = same.template_id if same and taken_from and taken_from.options.template else None
    template = _template(tx, body.template or of_source)
    return _Parts(application=application, type_id=kind.id, stack_id=stack.id, template=template)


def _application(tx: Tx, subject: Subject, wanted: str | None) -> ApplicationRow:
    if wanted:
        return _known(instances.application(tx, wanted), "application", wanted, "invalid_application")
    found = instances.first_application(tx, teams_of(tx, subject, least_role=Role.OWNER))
    return _known(found, "application you may create instances in", "", "invalid_application")


def _type(tx: Tx, wanted: str | None) -> catalogue.TypeRow:
    if wanted:
        return _known(catalogue.instance_type(tx, wanted), "instance type", wanted, "invalid_project_type")
    first = next((kind for kind in catalogue.types(tx) if kind.active), None)
    return _known(first, "active instance type", "", "invalid_project_type")


def _stack(tx: Tx, wanted: str | None, kind: catalogue.TypeRow) -> catalogue.StackRow:
    if wanted:
        return _known(catalogue.stack(tx, wanted), "stack", wanted, "invalid_stack")
    usual = catalogue.stack(tx, kind.default_stack_id) if kind.default_stack_id else None
    fitting = [row for row in catalogue.all_stacks(tx) if row.active and row.instance_type_id in (None, kind.id)]
    found = usual if usual is not None and usual.active else next(reversed(fitting), None)
    return _known(found, "active stack", "", "invalid_stack")


def _template(tx: Tx, wanted: str | None) -> catalogue.TemplateRow:
    if wanted:
        return _known(catalogue.template(tx, wanted), "template", wanted, "invalid_request")
    first = next((template for template in catalogue.all_templates(tx) if template.active), None)
    return _known(first, "active template", "", "invalid_request")


def _known(found: T | None, what: str, wanted: str, code: str) -> T:
    if found is None:
        named = f" '{wanted[:80]}'" if wanted else ""
        raise Invalid(f"There is no {what}{named}.", code=code, hint="Leave it out to take the box's default.")
    return found
