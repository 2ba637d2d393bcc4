"""Snapshots of instances: made, looked at, exported and imported, put back.

A snapshot is kept under the secret of its instance, so it opens where the instance's flows would, and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS
from appliance.errors import Conflict, Invalid, NotFound
from appliance.events import Event
from appliance.model import Desired, Subject
from appliance.schema import snapshots as wire
from appliance.schema.common import Links, Meta
from appliance.schema.users import ApplicationSummary, UserSummary
from appliance.services import documents, environment, snapshot_content, snapshot_file
from appliance.services.context import Context, Recorder, record_of_instance
from appliance.services.environment import Vault
from appliance.services.people import user_summary
from appliance.store import instances, snapshots, storage, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.instances import InstanceRow
from appliance.store.snapshots import Content, NewSnapshot, SnapshotRow
from appliance.store.values import from_ms, iso

MOST_SNAPSHOTS = 200
# What the snapshots of one instance may take of the box's disk.
MOST_BYTES = 500 * 1024 * 1024
AUTOMATIC_KEPT = 10


class _Source(Struct, frozen=True):
    """An instance and the secret that its credentials are encrypted with."""

    row: InstanceRow
    secret: str


class Snapshots:
    """All snapshots of the box. Rights are checked before; guards of logic are here."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit
        self._limit = context.config.limits.json_bytes

    async def counts(self, team_id: str) -> dict[str, int]:
        """How many snapshots a team has, by application; those without are left out."""
        return await self._context.store.read(lambda tx: snapshots.counts(tx, team_id))

    async def create(self, subject: Subject, instance_id: str, body: wire.CreateSnapshot) -> wire.Snapshot:
        """Keep what the platform has stored, or the flows that the body brings.

        Raises Invalid for a bad name, flows or modules, Forbidden `invalid_credentials_secret`, Conflict when there
        are too many, NotFound without the instance.
        """
        at = self._context.now_ms()
        named = snapshot_file.checked_name(body.name or f"Snapshot - {_moment(at)}", body.description)
        modules = (body.settings or {}).get("modules")
        listed = snapshot_file.checked_modules(modules) if isinstance(modules, dict) else None
        secret = (await self._context.store.read(lambda tx: self._source(tx, instance_id))).secret
        size = memoryview(body.flows).nbytes
        given = await documents.off_loop(size, snapshot_file.flows_given, body, secret, self._limit)

        def work(tx: Tx) -> SnapshotRow:
            source = self._source(tx, instance_id)
            _demand_room(tx, instance_id)
            row = self._keep(tx, source, named, self._now(tx, source, given, listed), subject.user_id, automatic=False)
            self._record(tx, "project.snapshot.created", subject, source.row, row)
            return row

        return await self._written(work)

    async def list(self, instance_id: str) -> wire.Snapshots:
        """Those of an instance, newest first."""
        rows, people = await self._context.store.read(
            lambda tx: _with_people(tx, snapshots.of_instance(tx, instance_id))
        )
        shown = [self._view(row, people) for row in rows]
        return wire.Snapshots(meta=Meta(), count=len(shown), snapshots=shown)

    async def of_application(self, application_id: str) -> wire.ApplicationSnapshots:
        """Those of an application's instances, newest first. Raises NotFound."""

        def work(tx: Tx) -> Any:
            return instances.application(tx, application_id), *_with_people(
                tx, snapshots.of_application(tx, application_id)
            )

        row, found, people = await self._context.store.read(work)
        if row is None:
            raise NotFound("There is no such application.")
        shown = [self._view(each, people) for each in found]
        links = Links(self=f"{self._context.base_url()}/api/v1/applications/{row.id}")
        application = ApplicationSummary(id=row.id, name=row.name, description="", links=links)
        return wire.ApplicationSnapshots(count=len(shown), snapshots=shown, application=application)

    async def get(self, snapshot_id: str, instance_id: str | None = None) -> wire.Snapshot:
        """Raises NotFound, also for a snapshot of another instance than `instance_id`."""
        row, people = await self._context.store.read(lambda tx: _one(tx, snapshot_id, instance_id))
        return self._view(row, people)

    async def full(self, snapshot_id: str) -> wire.FullSnapshot:
        """With flows and settings; without credentials, hidden values and passwords. Raises NotFound."""

        def work(tx: Tx) -> Any:
            return *_one(tx, snapshot_id, None), _content(tx, snapshot_id)

        row, people, content = await self._context.store.read(work)
        shown = snapshot_content.without_secrets(content)
        about = msgspec.structs.asdict(self._view(row, people))
        flows = wire.SnapshotFlows(flows=Raw(shown.flows))
        return wire.FullSnapshot(**about, flows=flows, settings=snapshot_content.settings_of(shown))

    async def change(self, subject: Subject, snapshot_id: str, body: wire.ChangeSnapshot) -> wire.Snapshot:
        """Another name or description. Raises NotFound, Invalid."""

        def work(tx: Tx) -> SnapshotRow:
            row = _known(tx, snapshot_id)
            name = row.name if body.name is None else body.name
            text = row.description if body.description is None else body.description
            name, text = snapshot_file.checked_name(name, text)
            old = {"name": row.name, "description": row.description}
            new = {"name": name, "description": text}
            updates = [
                {"key": key, "old": old[key], "new": new[key], "dif": "updated"} for key in old if old[key] != new[key]
            ]
            if updates:
                snapshots.change(tx, row.id, name=name, description=text, at=self._context.now_ms())
                instance = self._source(tx, row.instance_id).row
                self._record(tx, "project.snapshot.updated", subject, instance, row, updates=updates)
            return _known(tx, snapshot_id)

        return await self._written(work)

    async def remove(self, subject: Subject, snapshot_id: str, instance_id: str | None = None) -> None:
        """Forget it for good. Raises NotFound, also for a snapshot of another instance than `instance_id`."""

        def work(tx: Tx) -> None:
            row = _known(tx, snapshot_id, instance_id)
            snapshots.remove(tx, row.id)
            self._record(tx, "project.snapshot.deleted", subject, self._source(tx, row.instance_id).row, row)

        await self._context.store.write(work)

    async def export(
        self, subject: Subject, snapshot_id: str, body: wire.ExportSnapshot, instance_id: str | None = None
    ) -> wire.ExportedSnapshot:
        """The file, its secrets encrypted with the secret that is given.

        Raises Invalid `bad_request` when credentials are to travel and no secret is given, NotFound, and Conflict when
        the credentials do not open with the instance's own secret.
        """
        parts = body.components or wire.Components()
        if parts.flows and parts.credentials and not body.credential_secret:
            raise snapshot_file.bad(
                "Credentials are exported encrypted only: the credential secret is missing.",
                "Give 'credentialSecret', or leave them out: components {credentials: false}.",
            )

        def work(tx: Tx) -> Any:
            row, people = _one(tx, snapshot_id, instance_id)
            source, me = self._source(tx, row.instance_id), users.get(tx, subject.user_id or "")
            self._record(tx, "project.snapshot.exported", subject, source.row, row)
            return row, people, source, me, _content(tx, snapshot_id)

        row, people, source, me, content = await self._context.store.write(work)
        content = await documents.off_loop(row.bytes, _exported, content, parts, source, body.credential_secret)
        about = msgspec.structs.asdict(self._view(row, people))
        sealed = msgspec.json.decode(content.credentials) or None
        return wire.ExportedSnapshot(
            **about,
            flows=wire.SnapshotFlows(flows=Raw(content.flows), credentials=sealed),
            settings=snapshot_content.settings_of(content),
            exported_by=user_summary(me, self._context.base_url()) if me else None,
            secret_check=snapshot_content.check_mark(body.credential_secret) if body.credential_secret else None,
        )

    async def take(self, subject: Subject, body: wire.ImportSnapshot) -> wire.Snapshot:
        """Keep a file as a snapshot of the instance that the body names; nothing of the instance changes.

        Raises what `snapshot_file.read` raises, Conflict when there are too many, NotFound without the instance.
        """
        if body.owner_type != "instance":
            raise snapshot_file.bad("This box has no remote instances.", "Set ownerType to 'instance'.")
        secret = (await self._context.store.read(lambda tx: self._source(tx, body.owner_id))).secret
        size = sum(memoryview(part).nbytes for part in body.snapshot.values())
        given = await documents.off_loop(size, snapshot_file.read, body, secret, self._limit)

        def work(tx: Tx) -> SnapshotRow:
            source = self._source(tx, body.owner_id)
            _demand_room(tx, body.owner_id)
            named = (given.name, given.description)
            row = self._keep(tx, source, named, given.content, subject.user_id, automatic=False)
            self._record(tx, "project.snapshot.imported", subject, source.row, row)
            return row

        return await self._written(work)

    async def rollback(self, subject: Subject, instance_id: str, snapshot_id: str) -> None:
        """Make a snapshot what the instance is: flows, credentials, settings, variables, modules; restart it when it
        runs. What it was until now is kept as an automatic snapshot, all in one transaction.

        Raises Invalid `invalid_snapshot` for one that is not of this instance, Conflict when it is being deleted.
        """

        def work(tx: Tx) -> None:
            source = self._source(tx, instance_id)
            row, content = snapshots.get(tx, snapshot_id), snapshots.content(tx, snapshot_id)
            if row is None or content is None or row.instance_id != instance_id:
                raise Invalid(
                    "There is no such snapshot of this instance.",
                    code="invalid_snapshot",
                    hint="See: weir snapshot list NAME",
                )
            if source.row.desired is Desired.DELETING:
                raise Conflict("The instance is being deleted.", code="invalid_state", hint="Nothing was changed.")
            kept = self._before(tx, source, row, subject)
            self._put_back(tx, source, content, subject)
            self._record(tx, "project.snapshot.rolled-back", subject, source.row, row, kept=kept.id)

        await self._context.store.write(work)

    def _before(self, tx: Tx, source: _Source, wanted: SnapshotRow, subject: Subject) -> SnapshotRow:
        """What the instance is until now; without it a rollback could not be undone."""
        named = f"Auto Snapshot - {_moment(self._context.now_ms())}", f"Before the rollback to '{wanted.name}'"
        kept = self._keep(tx, source, named, self._now(tx, source), subject.user_id, automatic=True)
        spared = AUTOMATIC_KEPT + int(wanted.automatic)  # the one that is put back must not go now
        snapshots.trim_automatic(tx, source.row.id, spared)
        return kept

    def _put_back(self, tx: Tx, source: _Source, content: Content, subject: Subject) -> None:
        row, at = source.row, self._context.now_ms()
        for kind, body in (("credentials", content.credentials), ("flows", content.flows)):
            digest = hashlib.sha256(body).hexdigest()
            storage.write(tx, storage.Write(row.id, kind, body, digest, None, subject.user_id, at))
        instances.flows_written(tx, row.id, at=at)
        vault = Vault(self._context.box, row.id)
        now = environment.opened(row.settings, vault)
        after = snapshot_content.restored(content, now, row.template_policy, source.secret)
        instances.set_settings(tx, row.id, environment.closed(after, vault), at=at)
        if row.desired is Desired.RUNNING:
            instances.wish(tx, row.id, Desired.RUNNING, at=at, placed_anew=False, command=True)
        tx.after_commit(Event("instance.changed", row.id, row.team_id, {"id": row.id}))

    def _now(
        self,
        tx: Tx,
        source: _Source,
        given: tuple[bytes, bytes] | None = None,
        modules: dict[str, str] | None = None,
    ) -> Content:
        row = source.row
        flows, sealed = given or (storage.body(tx, row.id, "flows"), storage.body(tx, row.id, "credentials"))
        own = environment.opened(row.settings, Vault(self._context.box, row.id))
        return snapshot_content.capture(flows, sealed, own, modules, source.secret)

    def _keep(
        self,
        tx: Tx,
        source: _Source,
        named: tuple[str, str],
        content: Content,
        user_id: str | None,
        *,
        automatic: bool,
    ) -> SnapshotRow:
        new = NewSnapshot(
            id=new_id(),
            instance_id=source.row.id,
            name=named[0],
            description=named[1],
            automatic=automatic,
            user_id=user_id,
            at=self._context.now_ms(),
            content=content,
        )
        snapshots.add(tx, new)
        return _known(tx, new.id)

    def _source(self, tx: Tx, instance_id: str) -> _Source:
        row, sealed = instances.get(tx, instance_id), instances.sealed_secret(tx, instance_id)
        if row is None or sealed is None:
            raise NotFound("There is no such instance.", hint="See: weir instance list")
        return _Source(row, self._context.box.unseal(SEALED_FOR_CREDENTIALS, row.id, sealed))

    async def _written(self, work: Any) -> wire.Snapshot:
        row = await self._context.store.write(work)
        return await self.get(row.id)

    def _record(
        self, tx: Tx, event: str, subject: Subject, row: InstanceRow, snapshot: SnapshotRow, **more: object
    ) -> None:
        told = {"snapshot": {"id": snapshot.id, "name": snapshot.name}, **more}
        record_of_instance(self._audit, tx, event, subject, row, told)

    def _view(self, row: SnapshotRow, people: dict[str, users.UserRow]) -> wire.Snapshot:
        base_url = self._context.base_url()
        links = {"self": f"{base_url}/api/v1/projects/{row.instance_id}"}
        return wire.Snapshot(
            id=row.id,
            name=row.name,
            description=row.description,
            created_at=iso(row.created_at),
            updated_at=iso(row.updated_at),
            project_id=row.instance_id,
            project={"id": row.instance_id, "name": row.instance_name, "links": links},
            user=_person(people.get(row.user_id or ""), base_url),
            modules=row.modules,
            automatic=row.automatic,
            bytes=row.bytes,
        )


def _exported(content: Content, parts: wire.Components, source: _Source, secret: str | None) -> Content:
    content = snapshot_content.narrowed(content, parts)
    if not secret:
        return snapshot_content.without_secrets(content)
    return snapshot_content.rekey(content, source.secret, secret)


def _demand_room(tx: Tx, instance_id: str) -> None:
    count, size = snapshots.size(tx, instance_id)
    if count >= MOST_SNAPSHOTS or size >= MOST_BYTES:
        raise Conflict(
            f"This instance has {count} snapshots of {size} bytes; that is all there is room for.",
            code="snapshots_full",
            hint="Delete some: weir snapshot delete NAME SNAPSHOT",
        )


def _with_people(tx: Tx, rows: Sequence[SnapshotRow]) -> tuple[Sequence[SnapshotRow], dict[str, users.UserRow]]:
    return rows, _people(tx, {row.user_id for row in rows if row.user_id})


def _people(tx: Tx, ids: Iterable[str]) -> dict[str, users.UserRow]:
    return {user_id: row for user_id in ids if (row := users.get(tx, user_id)) is not None}


def _one(tx: Tx, snapshot_id: str, instance_id: str | None) -> tuple[SnapshotRow, dict[str, users.UserRow]]:
    row = _known(tx, snapshot_id, instance_id)
    return row, _people(tx, {row.user_id} if row.user_id else ())


def _known(tx: Tx, snapshot_id: str, instance_id: str | None = None) -> SnapshotRow:
    row = snapshots.get(tx, snapshot_id)
    if row is None or instance_id not in (None, row.instance_id):
        raise NotFound("There is no such snapshot.", hint="See: weir snapshot list NAME")
    return row


def _content(tx: Tx, snapshot_id: str) -> Content:
    content = snapshots.content(tx, snapshot_id)
    if content is None:
        raise NotFound("There is no such snapshot.")
    return content


def _person(row: users.UserRow | None, base_url: str) -> UserSummary | None:
    return None if row is None else user_summary(row, base_url)


def _moment(at: int) -> str:
    return f"{from_ms(at):%Y-%m-%d %H:%M:%S}"
