"""Deploys that were acknowledged while the appliance was away: stored when they still fit, kept when they don't.

The platform's flows stand: a rollback or an import that came in between is not undone by an older deploy. Nor is that
lost: it is kept under a name until somebody restores or discards it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Raw, Struct

from appliance.errors import Conflict, Invalid, NotFound, TooLarge
from appliance.model import SYSTEM, Desired, Subject
from appliance.schema.common import moment
from appliance.schema.deploys import HandedIn, HandIn, KeptDeploy, KeptDeploys, KeptFlows
from appliance.services import documents
from appliance.services.conditions import Conditions
from appliance.services.context import Context, Recorder, record_of_instance
from appliance.services.storage import LONGEST_REQUEST_ID, MOST_BASES, changed_meanwhile, stands_on
from appliance.store import instances, kept, storage
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.instances import InstanceRow
from appliance.store.values import from_ms, iso, to_ms

MOST_KEPT = 20
# A Node-RED may make as many deploys as it likes; what they may take of the box's disk is bounded.
MOST_KEPT_BYTES = 100 * 1024 * 1024
LONGEST_REASON = 1000
CHANGED, REFUSED, REPLACED = "flows_changed", "refused", "replaced"
_NULL = b"null"
Restart = Callable[[Subject, str], Awaitable[None]]


class _Deploy(Struct, frozen=True):
    """A deploy that was handed in, looked through. `wrong`: why it can't be stored, whatever the platform holds."""

    id: str
    instance_id: str
    made_at: int
    user_id: str | None
    bases: list[str]
    credentials_bases: list[str]
    flows: bytes
    flows_digest: str
    credentials: bytes | None
    credentials_digest: str
    wrong: str


class Deploys:
    """Unsent deploys of all instances. `restart` is asked for an instance whose flows were restored."""

    def __init__(self, context: Context, *, audit: Recorder, conditions: Conditions, restart: Restart) -> None:
        self._context = context
        self._audit = audit
        self._conditions = conditions
        self._restart = restart
        self._limit = context.config.limits.json_bytes

    async def hand_in(self, instance_id: str, body: HandIn) -> HandedIn:
        """Store a deploy that was made from what is stored now, else keep it; the same one again changes nothing.

        Raises Conflict `flows_changed`, Invalid or TooLarge for one that can't be stored, unless `keep` is asked for;
        Conflict `kept_full` when too many are kept already; NotFound without the instance.
        """
        size = memoryview(body.flows).nbytes
        deploy = await documents.off_loop(size, self._read, instance_id, body)
        answer = await self._context.store.write(lambda tx: self._take_in(tx, deploy, body.keep))
        if answer.result == "kept":
            await self._tell(instance_id)
        return answer

    async def tell(self) -> None:
        """Raise the problems of what is kept; at the start of the appliance."""
        rows = await self._context.store.read(kept.every)
        for instance_id in {row.instance_id for row in rows}:
            await self._tell(instance_id)

    async def list(self, instance_id: str) -> KeptDeploys:
        """What is kept of an instance, oldest first."""
        rows = await self._context.store.read(lambda tx: kept.of_instance(tx, instance_id))
        return KeptDeploys(count=len(rows), kept=[_view(row) for row in rows])

    async def flows(self, instance_id: str, kept_id: str) -> KeptFlows:
        """The flows of a kept deploy, as they were deployed. Raises NotFound, Conflict when they are in a file."""
        content = await self._context.store.read(lambda tx: _content(tx, instance_id, kept_id))
        return KeptFlows(name=content.name, flows=Raw(content.flows))

    async def restore(self, subject: Subject, instance_id: str, kept_id: str) -> None:
        """Make a kept deploy the flows of the platform and restart the instance; the flows so far are kept instead.

        Raises NotFound, Invalid for flows that can't be stored, Conflict when they are in a file.
        """
        content = await self._context.store.read(lambda tx: _content(tx, instance_id, kept_id))
        wrong = await documents.off_loop(len(content.flows), self._wrong, content.flows, content.credentials or _NULL)
        if wrong:
            raise Invalid(
                f"'{content.name}' can't be restored: {wrong}", hint="Write it to a file and repair it there."
            )
        row = await self._context.store.write(lambda tx: self._write_restored(tx, subject, instance_id, kept_id))
        await self._tell(instance_id)
        if row.desired is Desired.RUNNING:
            await self._restart(subject, instance_id)

    async def discard(self, subject: Subject, instance_id: str, kept_id: str) -> None:
        """Forget a kept deploy for good. Raises NotFound."""
        await self._context.store.write(lambda tx: self._write_discarded(tx, subject, instance_id, kept_id))
        await self._tell(instance_id)

    def _read(self, instance_id: str, body: HandIn) -> _Deploy:
        flows, credentials = bytes(body.flows), bytes(body.credentials)
        wrong = body.refused[:LONGEST_REASON] or self._wrong(flows, credentials)
        return _Deploy(
            id=body.id[:LONGEST_REQUEST_ID],
            instance_id=instance_id,
            made_at=_milliseconds(body.at) or self._context.now_ms(),
            user_id=body.user if body.user and len(body.user) <= 10 else None,
            bases=body.base[:MOST_BASES],
            credentials_bases=body.credentials_base[:MOST_BASES],
            flows=b"" if body.refused else flows,
            flows_digest=hashlib.sha256(flows).hexdigest(),
            credentials=None if credentials == _NULL else credentials,
            credentials_digest=hashlib.sha256(credentials).hexdigest(),
            wrong=wrong,
        )

    def _wrong(self, flows: bytes, credentials: bytes) -> str:
        for what, content, decoder in (
            ("flows", flows, documents.ARRAY),
            ("credentials", credentials, documents.OBJECT),
        ):
            if what == "credentials" and content == _NULL:
                continue
            if len(content) > self._limit:
                return f"The {what} have {len(content)} bytes; at most {self._limit} are taken."
            try:
                documents.check(content, decoder, what)
            except Invalid as error:
                return error.message
        return ""

    def _take_in(self, tx: Tx, deploy: _Deploy, keep: bool) -> HandedIn:
        row = instances.get(tx, deploy.instance_id)
        if row is None:
            raise NotFound("There is no such instance any more.")
        if (name := kept.name_of(tx, deploy.instance_id, deploy.id)) is not None:
            return HandedIn(result="kept", name=name)
        if not deploy.wrong and _fits(tx, deploy):
            self._store(tx, deploy)
            return HandedIn(result="stored")
        if keep:
            return HandedIn(result="kept", name=self._keep(tx, row, deploy))
        if not deploy.wrong:
            raise changed_meanwhile("flows")
        if len(deploy.flows) > self._limit:
            raise TooLarge(deploy.wrong, hint="Split the flow into several instances, or raise limits.json_bytes.")
        raise Invalid(deploy.wrong, hint="Nothing was changed.")

    def _store(self, tx: Tx, deploy: _Deploy) -> None:
        at = self._context.now_ms()
        write = storage.Write
        if deploy.credentials is not None:
            digest = deploy.credentials_digest
            sealed = write(deploy.instance_id, "credentials", deploy.credentials, digest, deploy.id, None, at)
            storage.write(tx, sealed)
        flows = write(deploy.instance_id, "flows", deploy.flows, deploy.flows_digest, deploy.id, deploy.user_id, at)
        storage.write(tx, flows)
        instances.flows_written(tx, deploy.instance_id, at=at)

    def _keep(self, tx: Tx, row: InstanceRow, deploy: _Deploy) -> str:
        rows = kept.of_instance(tx, row.id)
        size = len(deploy.flows) + len(deploy.credentials or b"")
        if len(rows) >= MOST_KEPT or kept.size_bytes(tx, row.id) + size > MOST_KEPT_BYTES:
            raise Conflict(
                f"{len(rows)} deploys of this instance are kept already; that is all there is room for.",
                code="kept_full",
                hint=f"Restore or discard some: weir instance kept {row.name}",
            )
        name = _free_name(tx, row.id, deploy.made_at)
        reason = REFUSED if deploy.wrong else CHANGED
        kept.add(tx, self._new(deploy, name, reason, deploy.wrong or changed_meanwhile("flows").message))
        self._record(tx, "project.deploy.kept", SYSTEM, row, {"name": name, "reason": reason})
        return name

    def _new(self, deploy: _Deploy, name: str, reason: str, message: str) -> kept.NewKept:
        return kept.NewKept(
            id=new_id(),
            instance_id=deploy.instance_id,
            name=name,
            request_id=deploy.id,
            reason=reason,
            message=message,
            user_id=deploy.user_id,
            made_at=deploy.made_at,
            at=self._context.now_ms(),
            credentials=deploy.credentials,
            flows=deploy.flows,
        )

    def _write_restored(self, tx: Tx, subject: Subject, instance_id: str, kept_id: str) -> InstanceRow:
        row, content = instances.get(tx, instance_id), _content(tx, instance_id, kept_id)
        if row is None:
            raise NotFound("There is no such instance.")
        kept.remove(tx, instance_id, kept_id)
        self._keep_replaced(tx, instance_id, content)
        at, write = self._context.now_ms(), storage.Write
        for kind, body in (("credentials", content.credentials), ("flows", content.flows)):
            if body is not None:
                digest = hashlib.sha256(body).hexdigest()
                storage.write(tx, write(instance_id, kind, body, digest, None, content.user_id, at))
        instances.flows_written(tx, instance_id, at=at)
        self._record(tx, "project.deploy.restored", subject, row, {"name": content.name})
        return row

    def _keep_replaced(self, tx: Tx, instance_id: str, restored: kept.Content) -> None:
        """What a restore takes the place of is kept in its stead, so that the restore can be undone."""
        stored = storage.bodies(tx, instance_id)
        if "flows" not in stored or stored["flows"] == restored.flows:
            return
        at = self._context.now_ms()
        name = _free_name(tx, instance_id, at, "replaced")
        message = f"These were the platform's flows until '{restored.name}' was restored."
        kept.add(
            tx,
            kept.NewKept(
                new_id(),
                instance_id,
                name,
                None,
                REPLACED,
                message,
                None,
                at,
                at,
                stored.get("credentials"),
                stored["flows"],
            ),
        )

    def _write_discarded(self, tx: Tx, subject: Subject, instance_id: str, kept_id: str) -> None:
        row = instances.get(tx, instance_id)
        content = kept.content(tx, instance_id, kept_id)
        if row is None or content is None:
            raise _unknown()
        kept.remove(tx, instance_id, kept_id)
        self._record(tx, "project.deploy.discarded", subject, row, {"name": content.name})

    def _record(self, tx: Tx, event: str, subject: Subject, row: InstanceRow, deploy: dict[str, Any]) -> None:
        record_of_instance(self._audit, tx, event, subject, row, {"deploy": deploy})

    async def _tell(self, instance_id: str) -> None:
        """Raise or clear the problem of one instance."""
        row, rows = await self._context.store.read(
            lambda tx: (instances.get(tx, instance_id), kept.of_instance(tx, instance_id))
        )
        unsolved = [known for known in rows if known.reason != REPLACED]
        if row is None or not unsolved:
            self._conditions.clear(f"deploy_kept:{instance_id}")
            return
        self._conditions.raise_(
            f"deploy_kept:{instance_id}",
            title="A deploy made while Weir was away is not what runs",
            cause=f"{row.name}: {unsolved[-1].message}",
            evidence=", ".join(f"{known.name} by {known.username or 'unknown'}" for known in unsolved[-5:]),
            next_step=f"Look at it with: weir instance kept {row.name}; then restore or discard it.",
            about=instance_id,
        )


def _fits(tx: Tx, deploy: _Deploy) -> bool:
    if deploy.credentials is not None and not stands_on(
        tx, deploy.instance_id, "credentials", deploy.credentials_digest, deploy.credentials_bases
    ):
        return False
    return stands_on(tx, deploy.instance_id, "flows", deploy.flows_digest, deploy.bases)


def _content(tx: Tx, instance_id: str, kept_id: str) -> kept.Content:
    content = kept.content(tx, instance_id, kept_id)
    if content is None:
        raise _unknown()
    if not content.flows:
        raise Conflict(
            f"The flows of '{content.name}' are still in the instance's own directory.",
            code="kept_elsewhere",
            hint="The list of kept deploys names the file.",
        )
    return content


def _free_name(tx: Tx, instance_id: str, at: int, word: str = "deploy") -> str:
    name = f"{word}-{from_ms(at):%Y%m%d-%H%M%S}"
    numbers = (name if count == 1 else f"{name}-{count}" for count in itertools.count(1))
    return next(free for free in numbers if not kept.name_taken(tx, instance_id, free))


def _view(row: kept.KeptRow) -> KeptDeploy:
    return KeptDeploy(
        id=row.id,
        name=row.name,
        reason=row.reason,
        message=row.message,
        made_at=iso(row.made_at),
        kept_at=iso(row.created_at),
        bytes=row.bytes,
        username=row.username,
    )


def _milliseconds(text: str) -> int | None:
    at = moment(text)
    return None if at is None else to_ms(at)


def _unknown() -> NotFound:
    return NotFound("There is no such kept deploy.", hint="See: weir instance kept NAME")
