"""Instances: made, found, told what is wanted of them, and removed.

A command writes what is wanted, with its audit entry, in one transaction, pokes the reconciler and answers at once.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from appliance.errors import Conflict, Invalid, NotFound
from appliance.events import Event
from appliance.model import Desired, InstanceSpec, LauncherReport, LauncherState, Manner, Subject
from appliance.schema import instances as wire
from appliance.schema.common import Page, moment
from appliance.schema.resources import Figures
from appliance.services import changes, deleted, leases, names, published, settings, views, wishes
from appliance.services.addresses import Addresses
from appliance.services.births import Births
from appliance.services.changes import Changes
from appliance.services.context import Context, Recorder, record_of_instance
from appliance.services.paging import page_of
from appliance.services.reach import teams_of
from appliance.services.stacks import Stacks
from appliance.store import instances, kept, library, limits, storage
from appliance.store.engine import Tx
from appliance.store.instances import InstanceRow

Poke = Callable[[str], None]
LONGEST_TEXT = 2000
MOST_VERSIONS = 16
# What lists of instances can be sorted by (platform model §1).
_SORTS: dict[str, Callable[[InstanceRow], Any]] = {
    "name": lambda row: row.name.lower(),
    "createdAt": lambda row: row.created_at,
    "updatedAt": lambda row: row.updated_at,
    "application.name": lambda row: row.application_name.lower(),
    "flowLastUpdatedAt": lambda row: row.flow_updated_at or 0,
}


class Live(Protocol):
    """What is seen of instances right now, in memory (`reconcile.observed.Observed`)."""

    def meta(self, instance_id: str, desired: Desired) -> wire.InstanceMeta: ...

    def report(self, instance_id: str, report: LauncherReport) -> None: ...

    def is_plain(self, instance_id: str) -> bool: ...

    def asked(self, instance_id: str, command_generation: int, manner: Manner) -> None: ...


class _Remains(Struct, frozen=True):
    row: InstanceRow
    stored: dict[str, bytes]
    library: list[library.Entry]
    sealed: str


class Instances:
    """Everything the platform does with instances. Rights are checked before; guards of logic are here."""

    def __init__(
        self,
        context: Context,
        *,
        audit: Recorder,
        stacks: Stacks,
        live: Live,
        poke: Poke,
        probe: Callable[[int], bool],
        resources: Callable[[str], Figures | None] = lambda _: None,
        look: leases.Look = leases.LOOK,
    ) -> None:
        self._context = context
        self._look = look
        self._resources = resources
        self._audit = audit
        self._stacks = stacks
        self._live = live
        self._addresses = Addresses(context)
        self._poke = poke
        self._changes = Changes(context, audit=audit, built=stacks.built, addresses=self._addresses)
        self._births = Births(context, audit=audit, addresses=self._addresses, probe=probe)
        self._shown = views.Views(self._addresses)
        self._versions: dict[str, dict[str, str]] = {}

    async def create(self, subject: Subject, body: wire.CreateInstance) -> wire.Instance:
        """Make an instance and want it running. What the body leaves out is the box's default.

        Raises Conflict `invalid_project_name` (malformed, reserved, taken) or when all ports are taken, Invalid for
        an unknown application, type, stack or template and for flows that Node-RED could not load.
        """
        row = await self._births.create(subject, body)
        self._poke(row.id)
        return self._view(row)

    async def check_name(self, name: str) -> None:
        """Raises what `create` would raise for this name."""
        checked = names.check_name(name)
        self._addresses.check_name(names.safe_name(checked))
        if await self._context.store.read(lambda tx: instances.name_taken(tx, names.safe_name(checked))):
            raise names.taken(checked)

    async def list(self, subject: Subject) -> wire.Instances:
        """All instances the subject may see, oldest first."""
        rows = await self._context.store.read(lambda tx: _visible(tx, subject))
        return wire.Instances(count=len(rows), instances=self._views(rows))

    async def team_list(
        self, team_id: str, page: Page | None = None, *, states: Collection[str] = ()
    ) -> wire.TeamInstances:
        """A page of a team's instances, oldest first unless sorted; with `states`, those that show one of these now.
        Raises Invalid for a foreign cursor and an unknown field."""
        rows = await self._context.store.read(lambda tx: instances.of_teams(tx, [team_id]))
        if states:
            rows = [row for row in rows if self._live.meta(row.id, row.desired).state in states]
        meta, found = page_of(rows, page, id_of=lambda row: row.id, text_of=lambda row: row.name, sorts=_SORTS)
        return wire.TeamInstances(meta=meta, count=len(found), projects=self._views(found))

    async def application_list(self, application_id: str) -> wire.ApplicationInstances:
        """All instances of an application, oldest first."""
        rows = await self._context.store.read(lambda tx: instances.of_application(tx, application_id))
        return wire.ApplicationInstances(count=len(rows), instances=self._views(rows))

    async def get(self, instance_id: str) -> wire.Instance:
        """The instance. Raises NotFound."""
        return self._view(await self._row(instance_id))

    async def find(self, name_or_id: str, subject: Subject) -> str:
        """The id of an instance the subject may see, by id or by name in any case. Raises NotFound."""
        found = await self._context.store.read(lambda tx: _find(tx, name_or_id, subject))
        if found is None:
            raise NotFound(f"There is no instance '{name_or_id[:80]}'.", hint="See: weir instance list")
        return found

    async def start(self, subject: Subject, instance_id: str) -> None:
        """Want it running; by a new launcher when it was suspended. Nothing to do when it runs."""
        await self._wish(subject, instance_id, wishes.start)

    async def stop(self, subject: Subject, instance_id: str) -> None:
        """Want Node-RED stopped, its launcher up. Raises Invalid `project_suspended`."""
        await self._wish(subject, instance_id, wishes.stop)

    async def restart(self, subject: Subject, instance_id: str) -> None:
        """Want Node-RED started anew with fresh settings. Raises Invalid `project_suspended`."""
        await self._wish(subject, instance_id, wishes.restart)

    async def restart_so(self, subject: Subject, instance_id: str, manner: Manner) -> None:
        """Want Node-RED started anew: into safe mode, or without asking the one that runs to end.

        Raises Invalid `project_suspended`, and `unexpected_error` where the published launcher runs it; Conflict
        `invalid_state` while the launcher can't be told.
        """
        if self._live.is_plain(instance_id):
            raise Invalid(
                "The published launcher can only be told to start, stop and restart.",
                code="unexpected_error",
                hint="Restart the instance, or run it by Weir's own launcher.",
            )
        number = await self._wish(subject, instance_id, wishes.restart_so(manner))
        self._live.asked(instance_id, number, manner)

    async def shell_opened(self, subject: Subject, instance_id: str, account: str) -> None:
        """Write down that somebody opens a shell in its directory, as this account of the machine."""

        def work(tx: Tx) -> None:
            row = instances.get(tx, instance_id)
            if row is None:
                raise _unknown()
            told = {"info": {"account": account}}
            record_of_instance(self._audit, tx, "instance.shell.opened", subject, row, told)

        await self._context.store.write(work)

    async def suspend(self, subject: Subject, instance_id: str) -> None:
        """Want no launcher at all. Raises Invalid `project_suspended`."""
        await self._wish(subject, instance_id, wishes.suspend)

    async def delete(self, subject: Subject, instance_id: str) -> None:
        """Want it gone. Its flows and credentials are kept in a file that the audit entry names."""
        await self._wish(subject, instance_id, wishes.delete)

    async def change(
        self, subject: Subject, instance_id: str, body: wire.ChangeInstance, *, whole: bool = True
    ) -> wire.ChangedInstance:
        """Change what is named; most of it takes effect at its next start or restart, as the answer's `note` says.

        Not `whole`: the variables only, and the answer holds no other settings. Raises Invalid for a setting, type,
        stack or source that is not allowed, Conflict for a name that is malformed or taken; then nothing was changed.
        """
        outcome = await self._changes.change(subject, instance_id, body if whole else changes.of_members(body))
        if outcome.poke:
            self._poke(instance_id)
        shown = await self.get(instance_id)
        if not whole:
            shown = views.reduced(shown)
        return wire.ChangedInstance(**msgspec.structs.asdict(shown), note=outcome.note)

    async def import_files(self, subject: Subject, instance_id: str, body: wire.ImportProject) -> None:
        """Take over the flows and credentials of a Node-RED that stands alone; see `Changes.import_files`."""
        await self._changes.import_files(subject, instance_id, body)
        self._poke(instance_id)

    async def restart_stack(self, subject: Subject, instance_id: str) -> None:
        """Want it running by a new launcher on its stack; also when it was suspended."""
        await self._wish(subject, instance_id, wishes.restart_stack)

    async def settings_document(self, instance_id: str, kind: str) -> dict[str, Any]:
        """What a launcher runs the instance with (instance protocol §1.4); `kind` is that of its token.

        Raises Invalid `project_suspended`, NotFound when it is gone or being deleted.
        """
        row = await self._row(instance_id)
        if row.desired is Desired.SUSPENDED:
            raise wishes.suspended()
        if row.desired is Desired.DELETING:
            raise NotFound("The instance is being deleted.")
        document = settings.document(row, self._place(row), self._context.box, ours=kind == "launcher")
        if kind == "published":
            return published.document(document, settings.memory_mb(row.stack_properties))
        return document

    async def report_state(self, instance_id: str, body: wire.UpdateState) -> None:
        """Take in what a launcher says of itself; versions are kept when they changed.

        Raises Invalid for a state that no launcher has.
        """
        report = _report(body, self._context.clock())
        self._live.report(instance_id, report)
        if report.versions and self._versions.get(instance_id) != report.versions:
            await self._context.store.write(lambda tx: instances.set_versions(tx, instance_id, report.versions))
            self._versions[instance_id] = report.versions

    async def specs(self) -> builtins.list[InstanceSpec]:
        """What is wanted, of all instances."""
        rows, held, leased = await self._context.store.read(
            lambda tx: (instances.every(tx), limits.every(tx), limits.leases(tx))
        )
        lost = await leases.lost(leased, self._look)
        built = await self._stacks.resolve_all({views.stack_of(row) for row in rows})
        return [views.spec(row, built[views.stack_of(row)], self._addresses, held.get(row.id), lost) for row in rows]

    async def spec(self, instance_id: str) -> InstanceSpec | None:
        """What is wanted of one instance; None when there is no such row."""
        row, held, leased = await self._context.store.read(
            lambda tx: (instances.get(tx, instance_id), limits.get(tx, instance_id), limits.leases(tx))
        )
        if row is None:
            return None
        lost = await leases.lost(leased, self._look)
        built = await self._stacks.resolve_all({views.stack_of(row)})
        return views.spec(row, built[views.stack_of(row)], self._addresses, held, lost)

    async def removed(self, instance_id: str) -> None:
        """The driver has removed it: keep its flows in `state/deleted`, then drop the row. Idempotent.

        Raises Conflict when its deletion is not wanted, Unavailable when its flows can't be kept; then nothing is lost.
        """
        remains = await self._context.store.read(lambda tx: _remains(tx, instance_id))
        if remains is None:
            return
        if remains.row.desired is not Desired.DELETING:
            raise Conflict(f"The instance '{remains.row.name}' is wanted: it was not asked to be deleted.")
        directory, row = self._deleted, remains.row
        await asyncio.to_thread(deleted.keep, directory, row, remains.stored, remains.library, remains.sealed)
        await self._context.store.write(lambda tx: _drop(tx, row))
        self._versions.pop(instance_id, None)
        self._shown.forget(instance_id)

    @property
    def _deleted(self) -> Path:
        return self._context.home.state / "deleted"

    async def _row(self, instance_id: str) -> InstanceRow:
        row = await self._context.store.read(lambda tx: instances.get(tx, instance_id))
        if row is None:
            raise _unknown()
        return row

    async def _wish(
        self, subject: Subject, instance_id: str, decide: Callable[[Desired, str], wishes.Wish | None]
    ) -> int:
        """Store what is wanted from now on; the number of the wish that a launcher has to carry out."""
        seen = await self._row(instance_id)
        shown = self._live.meta(instance_id, seen.desired).state

        def decided(row: InstanceRow) -> wishes.Wish | None:
            # Another wish came in between: what was shown is of before it, and it has not been carried out yet.
            return decide(row.desired, shown if _wished(row) == _wished(seen) else "starting")

        number = await self._context.store.write(lambda tx: self._write_wish(tx, subject, instance_id, decided))
        self._poke(instance_id)
        return number

    def _write_wish(
        self, tx: Tx, subject: Subject, instance_id: str, decide: Callable[[InstanceRow], wishes.Wish | None]
    ) -> int:
        row = instances.get(tx, instance_id)
        if row is None:
            raise _unknown()
        wish = decide(row)
        if wish is None:
            return row.command_generation
        at = self._context.now_ms()
        instances.wish(tx, row.id, wish.desired, at=at, placed_anew=wish.placed_anew, command=wish.command)
        record_of_instance(self._audit, tx, wish.event, subject, row, self._told(wish, row, at))
        tx.after_commit(Event("instance.changed", row.id, row.team_id, {"id": row.id}))
        return row.command_generation + wish.command

    def _told(self, wish: wishes.Wish, row: InstanceRow, at: int) -> dict[str, Any]:
        """A deletion says where the flows are found afterwards, a restart in what manner it is done."""
        if wish.desired is not Desired.DELETING:
            return {"info": dict.fromkeys(wish.so, True)} if wish.so else {}
        return {"info": {"kept": str(self._deleted / deleted.file_name(row.name, at))}}

    def _views(self, rows: Sequence[InstanceRow]) -> builtins.list[wire.Instance]:
        return self._shown.all(rows, lambda row: (self._live.meta(row.id, row.desired), self._resources(row.id)))

    def _view(self, row: InstanceRow) -> wire.Instance:
        return self._views([row])[0]

    def _place(self, row: InstanceRow) -> settings.Place:
        addresses, authority = self._addresses, self._context.home.tls / "ca.crt"
        return settings.Place(
            forge_url=addresses.platform(),
            appliance_url=addresses.appliance(),
            instance_url=views.base(row, addresses),
            path=addresses.path(row.safe_name),
            root_dir=str(self._context.home.instances),
            node_red_port=addresses.node_red(row.number),
            public_port=addresses.public(row.number),
            platform_port=addresses.platform_port(),
            extra_ca=str(authority) if authority.exists() else None,
            broker=self._context.config.broker.enabled,
        )


def _wished(row: InstanceRow) -> tuple[Desired, int, int]:
    return row.desired, row.generation, row.command_generation


def _unknown() -> NotFound:
    return NotFound("There is no such instance.", hint="See: weir instance list")


def _visible(tx: Tx, subject: Subject) -> list[InstanceRow]:
    teams = teams_of(tx, subject)
    return instances.every(tx) if teams is None else instances.of_teams(tx, teams)


def _find(tx: Tx, name_or_id: str, subject: Subject) -> str | None:
    located, teams = instances.locate(tx, name_or_id), teams_of(tx, subject)
    return located[0] if located and (teams is None or located[1] in teams) else None


def _remains(tx: Tx, instance_id: str) -> _Remains | None:
    row, sealed = instances.get(tx, instance_id), instances.sealed_secret(tx, instance_id)
    if row is None or sealed is None:
        return None
    stored = {**storage.bodies(tx, instance_id), **kept.bodies(tx, instance_id)}
    return _Remains(row, stored, library.every(tx, instance_id), sealed)


def _drop(tx: Tx, row: InstanceRow) -> None:
    if instances.remove(tx, row.id):
        tx.after_commit(Event("token.revoked", row.id, row.team_id))
        tx.after_commit(Event("instance.removed", row.id, row.team_id, {"id": row.id}))


def _report(body: wire.UpdateState, now: datetime) -> LauncherReport:
    """A launcher that does not number its reports is a published one: its word is the newest, and `plain`."""
    try:
        state = LauncherState(body.state)
    except ValueError as error:
        known = ", ".join(LauncherState)
        raise Invalid(f"'{body.state[:40]}' is not a state of a launcher.", hint=f"It is one of: {known}.") from error
    return LauncherReport(
        state=state,
        seq=body.seq or 0,
        pid=body.pid or 0,
        node_red_pid=body.node_red_pid,
        command_generation=body.command_generation or 0,
        versions={key[:32]: value[:64] for key, value in list(body.versions.items())[:MOST_VERSIONS]},
        reason=body.reason[:64],
        message=body.message[:LONGEST_TEXT],
        at=moment(body.at) or now,
        holding=body.holding,
        next_try_at=moment(body.next_try_at),
        plain=body.command_generation is None,
    )
