"""Backups of the box: made now or by the schedule, one at a time, proven, kept and removed.

The work is done by a process of its own (`appliance.backup`). What it made is known here; restoring is for a box that
is down, and so is no business of the running one (`weir backup restore`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from appliance.errors import Conflict, Invalid, NotFound, WeirError
from appliance.model import SYSTEM, Subject
from appliance.schema import backup_jobs as jobs
from appliance.schema.backups import (
    Backup,
    BackupKey,
    Backups,
    BackupSchedule,
    BackupWork,
    ChangeKey,
    ChangeSchedule,
    CreateBackup,
    OpenBackup,
)
from appliance.services import backup_process, backup_schedule
from appliance.services.backup_places import SUFFIX, Places
from appliance.services.context import Context, Recorder
from appliance.services.handed import HandedFiles
from appliance.services.health.clock import before_built
from appliance.services.people import updates
from appliance.services.subjects import refuse_tokens
from appliance.store import backups
from appliance.store.backups import BackupRow, Plan
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.values import from_ms, iso

log = logging.getLogger(__name__)

Sources = Callable[[], Awaitable[Sequence[jobs.InstanceSource]]]
Failed = Callable[[str, WeirError | None], None]
LOOK_S = 60.0
AGAIN_S = 3600.0  # after a scheduled one that failed


class BackupsOfBox:
    """`sources` says where the files of the instances are; `told` hears how scheduled ones end."""

    def __init__(self, context: Context, audit: Recorder, sources: Sources, told: Failed) -> None:
        self._context = context
        self._audit = audit
        self._sources = sources
        self._told = told
        self._places = Places(context.home)
        self.handed = HandedFiles(context.home)
        self._work: BackupWork | None = None
        self._task: asyncio.Task[None] | None = None
        self._tried: datetime | None = None

    async def list(self) -> Backups:
        """All that are known, newest first, with the schedule and what is being done."""
        rows, plan = await self._context.store.read(lambda tx: (backups.every(tx), backups.plan(tx)))
        shown = [self._shown(row) for row in reversed(rows)]
        return Backups(count=len(shown), backups=shown, schedule=self._schedule(plan), work=self._work)

    async def get(self, backup_id: str) -> Backup:
        """One of them. Raises NotFound."""
        return self._shown(await self._row(backup_id))

    async def work(self, wait_s: float = 0) -> BackupWork:
        """What is being done, or was done last; with `wait_s` as soon as it is done. Raises NotFound: nothing yet."""
        if self._task is not None and wait_s > 0:
            await asyncio.wait({self._task}, timeout=wait_s)
        if self._work is None:
            raise NotFound("No backup was made since Weir was started.", hint="Type: weir backup create")
        return self._work

    async def create(self, subject: Subject, wanted: CreateBackup) -> BackupWork:
        """Begin one; what becomes of it is told by `work`. Raises Conflict while another one is made, Invalid;
        Forbidden for a token that chooses how it opens or where it goes: a stolen one must not carry the box away."""
        if wanted.passphrase or wanted.target is not None:
            refuse_tokens(subject)
        rows, plan = await self._context.store.read(lambda tx: (backups.every(tx), backups.plan(tx)))
        if wanted.due and not self._due(plan, rows):
            return self._work or BackupWork(id="", kind="create", step="nothing is due", fraction=1, running=False)
        target = plan.target if wanted.target is None else wanted.target
        packages = plan.packages if wanted.packages is None else wanted.packages
        if not wanted.passphrase and not plan.recipient:
            raise Invalid(
                "There is no key for backups yet.",
                code="no_key",
                hint="Type: weir backup key create, or give a passphrase.",
            )
        target = await asyncio.to_thread(self._places.checked, target)
        making = replace(plan, target=target, packages=packages)
        return self._begin("create", new_id(), lambda work: self._create(work, subject, making, wanted))

    async def verify(self, subject: Subject, backup_id: str, given: OpenBackup) -> BackupWork:
        """Begin to restore it into a scratch directory and start what is in it. Raises NotFound, Conflict, Invalid."""
        row = await self._row(backup_id)
        if not given.passphrase and not given.key:
            raise Invalid(
                "To verify a backup it has to be opened.", code="key_needed", hint="Give its passphrase or its key."
            )
        return self._begin("verify", backup_id, lambda work: self._verify(work, subject, row, given))

    async def cancel(self, subject: Subject) -> None:
        """End what is being done; nothing of it stays. Raises NotFound when nothing is."""
        if self._task is None or self._task.done():
            raise NotFound("Nothing is being done.", hint="weir backup list shows what was done.")
        await self.close()

    async def remove(self, subject: Subject, backup_id: str) -> None:
        """Remove a backup with its file. Raises NotFound, Unavailable: then it is still listed."""
        row = await self._row(backup_id)
        await self._remove(subject, row)

    async def change_schedule(self, subject: Subject, wanted: ChangeSchedule) -> BackupSchedule:
        """Change what is given. Raises Invalid, Unavailable: the target can't be written now, Forbidden as `create`."""
        if wanted.target is not None:
            refuse_tokens(subject)
        given: dict[str, Any] = {}
        for name in ("every", "at", "weekday", "keep", "packages", "target"):
            if (value := getattr(wanted, name)) is not None:
                given[name] = value
        if "target" in given:
            given["target"] = await asyncio.to_thread(self._places.checked, given["target"])

        def work(tx: Tx) -> Plan:
            before = backups.plan(tx)
            after = replace(before, **given)
            if after.every != "off" and not after.recipient:
                hint = "Type: weir backup key create. Nobody is there to type a passphrase at night."
                raise Invalid("Backups that are made by themselves need a key.", code="no_key", hint=hint)
            self._set_plan(tx, subject, before, after)
            return after

        return self._schedule(await self._context.store.write(work))

    async def change_key(self, subject: Subject, wanted: ChangeKey) -> BackupKey:
        """Use another key from now on; backups that there are open with theirs. Raises Invalid; Forbidden for whoever
        isn't at the box: a stolen token must not make itself a key to everything."""
        refuse_tokens(subject)
        pair = await backup_process.run(jobs.Key(wanted.recipient.strip()), _nothing)
        assert isinstance(pair, jobs.Pair)

        def work(tx: Tx) -> None:
            before = backups.plan(tx)
            self._set_plan(tx, subject, before, replace(before, recipient=pair.recipient))

        await self._context.store.write(work)
        return BackupKey(recipient=pair.recipient, secret=pair.secret or None)

    async def run(self) -> None:
        """For ever: make what is due, so that nobody has to."""
        while True:
            await self.make_due()
            await asyncio.sleep(LOOK_S)

    async def make_due(self) -> None:
        """Begin a scheduled backup if one is due and nothing else is being done."""
        rows, plan = await self._context.store.read(lambda tx: (backups.every(tx), backups.plan(tx)))
        if self._busy or not self._due(plan, rows):
            return
        self._tried = self._context.clock()
        try:
            await self.create(SYSTEM, CreateBackup(due=True))
        except WeirError as error:
            self._told("create", error)

    async def close(self) -> None:
        """End what is being done."""
        if self._task is not None and self._work is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
            if self._task.cancelled():
                self._work = replace(self._work, running=False, error="it was ended")

    @property
    def _busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def _due(self, plan: Plan, rows: Sequence[BackupRow]) -> bool:
        now = self._context.clock()
        if before_built(now) is not None:
            return False  # the clock is wrong: when it is set right there is time enough
        failed = self._work is not None and self._work.error is not None
        if failed and self._tried is not None and 0 <= (now - self._tried).total_seconds() < AGAIN_S:
            return False  # tried again, but not every minute
        scheduled = [row for row in rows if row.scheduled]
        return backup_schedule.due(plan, backup_schedule.made(scheduled[-1] if scheduled else None), now)

    def _begin(self, kind: str, backup_id: str, work: Callable[[str], Coroutine[Any, Any, None]]) -> BackupWork:
        if self._busy:
            assert self._work is not None
            raise Conflict(
                f"Another one is under way: {self._work.step}.",
                code="backup_busy",
                hint="Wait for it, or end it: weir backup cancel",
            )
        self._work = BackupWork(id=backup_id, kind=kind, step="beginning", fraction=0, running=True)
        self._task = asyncio.create_task(self._carried_out(kind, work), name=f"backup: {kind}")
        return self._work

    async def _carried_out(self, kind: str, work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        assert self._work is not None
        try:
            await work(self._work.id)
        except WeirError as error:
            log.warning("backup: %s failed: %s", kind, error)
            self._work = replace(self._work, running=False, error=error.message, hint=error.hint or None)
            self._told(kind, error)
        except Exception as error:  # noqa: BLE001 - whoever waits for it has to hear of it
            log.exception("backup: %s failed", kind)
            self._work = replace(
                self._work, running=False, error=f"unexpected: {error}", hint="See logs/appliance.log."
            )
        else:
            self._work = replace(self._work, running=False, step="done", fraction=1)

    async def _create(self, backup_id: str, subject: Subject, plan: Plan, wanted: CreateBackup) -> None:
        at = self._context.now_ms()
        recipients = [] if wanted.passphrase else [plan.recipient]
        folder = await asyncio.to_thread(self._places.folder, plan.target)
        file = folder / f"weir-{_host()}-{from_ms(at):%Y%m%dT%H%M%SZ}-{backup_id[:4]}{SUFFIX}"
        job = jobs.Create(
            home=str(self._context.home.root),
            out=str(file),
            madeAt=iso(at),
            recipients=recipients,
            passphrase=wanted.passphrase,
            packages=plan.packages,
            sources=list(await self._sources()),
        )
        made = await backup_process.run(job, self._progress)
        assert isinstance(made, jobs.Made)
        self._progress("bringing it to its place", 0.98)
        await self._places.deliver(plan.target, file)
        row = BackupRow(
            id=backup_id,
            made_at=at,
            scheduled=wanted.due,
            target=plan.target,
            name=file.name,
            size_bytes=made.size_bytes,
            packages=plan.packages,
            passphrase=bool(wanted.passphrase),
            recipients=recipients,
            version=made.version,
            schema=made.schema,
            instances=made.instances,
            files=made.files,
            lacks=made.lacks,
            took_s=made.took_s,
        )
        await self._context.store.write(lambda tx: self._noted(tx, subject, "created", row))
        self._told("create", None)
        if wanted.due:
            await self._retire(plan)

    async def _verify(self, backup_id: str, subject: Subject, row: BackupRow, given: OpenBackup) -> None:
        self._progress("fetching it", 0.01)
        file = await self._places.fetch(row.target, row.name)
        job = jobs.Verify(
            home=str(self._context.home.root),
            file=str(file),
            passphrase=given.passphrase,
            secrets=re.findall(r"AGE-SECRET-KEY-1[0-9A-Z]+", given.key),
        )
        try:
            await backup_process.run(job, self._progress)
        except WeirError as error:
            if error.code not in ("wrong_passphrase", "wrong_key", "key_needed"):
                failed = replace(row, verify_error=error.message)
                await self._context.store.write(lambda tx: self._noted(tx, subject, "verify-failed", failed))
            raise
        finally:
            self._places.release(row.target, file)
        proven = replace(row, verified_at=self._context.now_ms(), verify_error=None)
        await self._context.store.write(lambda tx: self._noted(tx, subject, "verified", proven))

    async def _retire(self, plan: Plan) -> None:
        """Remove what is beyond the number that is kept. A place that is away keeps its files until the next time."""
        for row in backup_schedule.expired(plan, await self._context.store.read(backups.every)):
            with contextlib.suppress(WeirError):
                await self._remove(SYSTEM, row)

    async def _remove(self, subject: Subject, row: BackupRow) -> None:
        await self._places.remove(row.target, row.name)

        def work(tx: Tx) -> None:
            backups.remove(tx, row.id)
            self._record(tx, subject, "deleted", row)

        await self._context.store.write(work)

    async def _row(self, backup_id: str) -> BackupRow:
        row = await self._context.store.read(lambda tx: backups.get(tx, backup_id))
        if row is None:
            raise NotFound(f"There is no backup '{backup_id[:40]}'.", hint="weir backup list shows them.")
        return row

    def _noted(self, tx: Tx, subject: Subject, event: str, row: BackupRow) -> None:
        backups.put(tx, row)
        self._record(tx, subject, event, row)

    def _record(self, tx: Tx, subject: Subject, event: str, row: BackupRow) -> None:
        told = {"id": row.id, "file": self._places.shown(row.target, row.name)}
        if row.verify_error:
            told["error"] = row.verify_error
        self._write(tx, subject, event, {"backup": told})

    def _set_plan(self, tx: Tx, subject: Subject, before: Plan, after: Plan) -> None:
        backups.set_plan(tx, after)
        fields = Plan.__struct_fields__
        changed = updates({n: getattr(before, n) for n in fields}, {n: getattr(after, n) for n in fields})
        if changed:
            self._write(tx, subject, "schedule-updated", {"updates": changed})

    def _write(self, tx: Tx, subject: Subject, event: str, body: dict[str, Any]) -> None:
        self._audit.record(
            tx, f"platform.backup.{event}", subject=subject, scope_type="platform", scope_id=None, body=body
        )

    def _progress(self, step: str, fraction: float) -> None:
        assert self._work is not None
        self._work = replace(self._work, step=step, fraction=fraction)

    def _schedule(self, plan: Plan) -> BackupSchedule:
        following = backup_schedule.following(plan, self._context.clock())
        return BackupSchedule(
            every=plan.every,  # type: ignore[arg-type]  # written by ourselves from such words
            at=plan.at,
            weekday=plan.weekday,
            keep=plan.keep,
            packages=plan.packages,
            target=plan.target,
            recipient=plan.recipient,
            next_at=following.isoformat(timespec="minutes") if following else None,
        )

    def _shown(self, row: BackupRow) -> Backup:
        return Backup(
            id=row.id,
            made_at=iso(row.made_at),
            scheduled=row.scheduled,
            file=self._places.shown(row.target, row.name),
            size_bytes=row.size_bytes,
            packages=row.packages,
            passphrase=row.passphrase,
            recipients=row.recipients,
            version=row.version,
            schema=row.schema,
            instances=row.instances,
            files=row.files,
            lacks=row.lacks,
            took_s=row.took_s,
            verified_at=iso(row.verified_at) if row.verified_at is not None else None,
            verify_error=row.verify_error,
        )


def _host() -> str:
    """The name of the machine, as it may stand in the name of a file."""
    return re.sub(r"[^a-z0-9-]+", "-", platform.node().partition(".")[0].lower()).strip("-")[:40] or "box"


def _nothing(_step: str, _fraction: float) -> None:
    pass
