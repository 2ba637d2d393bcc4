"""Backups of the box, for its administrators. Restoring is for a box that is down: `weir backup restore`."""

from __future__ import annotations

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
    WorkQuery,
)
from appliance.schema.common import Status
from appliance.web.route import Ask
from appliance.web.services import Services


async def listed(services: Services, ask: Ask[None, None]) -> Backups:
    return await services.backups.list()


async def create(services: Services, ask: Ask[None, CreateBackup]) -> BackupWork:
    return await services.backups.create(ask.subject, ask.body)


async def get(services: Services, ask: Ask[None, None]) -> Backup:
    return await services.backups.get(ask.params["backup"])


async def verify(services: Services, ask: Ask[None, OpenBackup]) -> BackupWork:
    return await services.backups.verify(ask.subject, ask.params["backup"], ask.body)


async def remove(services: Services, ask: Ask[None, None]) -> Status:
    await services.backups.remove(ask.subject, ask.params["backup"])
    return Status()


async def work(services: Services, ask: Ask[WorkQuery, None]) -> BackupWork:
    return await services.backups.work(ask.query.wait)


async def cancel(services: Services, ask: Ask[None, None]) -> Status:
    await services.backups.cancel(ask.subject)
    return Status()


async def change_schedule(services: Services, ask: Ask[None, ChangeSchedule]) -> BackupSchedule:
    return await services.backups.change_schedule(ask.subject, ask.body)


async def change_key(services: Services, ask: Ask[None, ChangeKey]) -> BackupKey:
    return await services.backups.change_key(ask.subject, ask.body)
