"""Snapshots of instances."""

from __future__ import annotations

from appliance.schema.common import Status
from appliance.schema.snapshots import (
    ApplicationSnapshots,
    ChangeSnapshot,
    CreateSnapshot,
    ExportedSnapshot,
    ExportSnapshot,
    FullSnapshot,
    ImportSnapshot,
    Rollback,
    Snapshot,
    Snapshots,
)
from appliance.web.route import Ask
from appliance.web.services import Services


async def list_all(services: Services, ask: Ask[None, None]) -> Snapshots:
    return await services.snapshots.list(ask.id)


async def of_application(services: Services, ask: Ask[None, None]) -> ApplicationSnapshots:
    return await services.snapshots.of_application(ask.id)


async def create(services: Services, ask: Ask[None, CreateSnapshot]) -> Snapshot:
    return await services.snapshots.create(ask.subject, ask.id, ask.body)


async def show_of_instance(services: Services, ask: Ask[None, None]) -> Snapshot:
    return await services.snapshots.get(ask.params["snapshot"], ask.id)


async def remove_of_instance(services: Services, ask: Ask[None, None]) -> Status:
    await services.snapshots.remove(ask.subject, ask.params["snapshot"], ask.id)
    return Status()


async def export_of_instance(services: Services, ask: Ask[None, ExportSnapshot]) -> ExportedSnapshot:
    return await services.snapshots.export(ask.subject, ask.params["snapshot"], ask.body, ask.id)


async def rollback(services: Services, ask: Ask[None, Rollback]) -> Status:
    await services.snapshots.rollback(ask.subject, ask.id, ask.body.snapshot)
    return Status()


async def show(services: Services, ask: Ask[None, None]) -> Snapshot:
    return await services.snapshots.get(ask.id)


async def full(services: Services, ask: Ask[None, None]) -> FullSnapshot:
    return await services.snapshots.full(ask.id)


async def change(services: Services, ask: Ask[None, ChangeSnapshot]) -> Snapshot:
    return await services.snapshots.change(ask.subject, ask.id, ask.body)


async def remove(services: Services, ask: Ask[None, None]) -> Status:
    await services.snapshots.remove(ask.subject, ask.id)
    return Status()


async def export(services: Services, ask: Ask[None, ExportSnapshot]) -> ExportedSnapshot:
    return await services.snapshots.export(ask.subject, ask.id, ask.body)


async def take(services: Services, ask: Ask[None, ImportSnapshot]) -> Snapshot:
    return await services.snapshots.take(ask.subject, ask.body)
