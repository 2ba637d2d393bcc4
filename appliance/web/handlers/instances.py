"""Instances and what is done to them. A command writes what is wanted and answers at once."""

from __future__ import annotations

import msgspec

from appliance.model import Manner, Role
from appliance.schema.audit import AuditPage
from appliance.schema.common import AuditQuery, Status
from appliance.schema.instances import (
    Available,
    ChangedInstance,
    ChangeInstance,
    CheckName,
    CreateInstance,
    ImportProject,
    Instance,
    Instances,
    InstanceStatus,
    OpenedShell,
    StoredFlows,
)
from appliance.web.route import Ask
from appliance.web.services import Services

DONE = Status()


async def list_all(services: Services, ask: Ask[None, None]) -> Instances:
    return await services.instances.list(ask.subject)


async def show(services: Services, ask: Ask[None, None]) -> Instance:
    return await services.instances.get(ask.id)


async def status(services: Services, ask: Ask[None, None]) -> InstanceStatus:
    instance = await services.instances.get(ask.id)
    return InstanceStatus(id=instance.id, name=instance.name, meta=instance.meta)


async def create(services: Services, ask: Ask[None, CreateInstance]) -> Instance:
    return await services.instances.create(ask.subject, ask.body)


async def check_name(services: Services, ask: Ask[None, CheckName]) -> Available:
    await services.instances.check_name(ask.body.name)
    return Available(available=True)


async def change(services: Services, ask: Ask[None, ChangeInstance]) -> ChangedInstance:
    """Members change the variables, owners all."""
    role = await services.teams.role_on("instance", ask.id, ask.subject)
    return await services.instances.change(ask.subject, ask.id, ask.body, whole=role >= Role.OWNER)


async def delete(services: Services, ask: Ask[None, None]) -> Status:
    await services.instances.delete(ask.subject, ask.id)
    return DONE


async def start(services: Services, ask: Ask[None, None]) -> Status:
    services.operations.maintenance.check_start()
    await services.instances.start(ask.subject, ask.id)
    return DONE


async def stop(services: Services, ask: Ask[None, None]) -> Status:
    await services.instances.stop(ask.subject, ask.id)
    return DONE


async def restart(services: Services, ask: Ask[None, None]) -> Status:
    services.operations.maintenance.check_start()
    await services.instances.restart(ask.subject, ask.id)
    return DONE


async def restart_safe(services: Services, ask: Ask[None, None]) -> Status:
    await services.instances.restart_so(ask.subject, ask.id, Manner(safe=True))
    return DONE


async def kill(services: Services, ask: Ask[None, None]) -> Status:
    await services.instances.restart_so(ask.subject, ask.id, Manner(now=True))
    return DONE


async def shell_opened(services: Services, ask: Ask[None, OpenedShell]) -> Status:
    await services.instances.shell_opened(ask.subject, ask.id, ask.body.account)
    return DONE


async def suspend(services: Services, ask: Ask[None, None]) -> Status:
    await services.instances.suspend(ask.subject, ask.id)
    return DONE


async def restart_stack(services: Services, ask: Ask[None, None]) -> Status:
    services.operations.maintenance.check_start()
    await services.instances.restart_stack(ask.subject, ask.id)
    return DONE


async def import_files(services: Services, ask: Ask[None, ImportProject]) -> Status:
    await services.instances.import_files(ask.subject, ask.id, ask.body)
    return DONE


async def audit_log(services: Services, ask: Ask[AuditQuery, None]) -> AuditPage:
    return await services.audit.page("project", ask.id, ask.query)


async def flows(services: Services, ask: Ask[None, None]) -> StoredFlows:
    """What the last acknowledged deploy stored, as the bytes that were stored."""
    stored = await services.storage.get(ask.id, "flows")
    return StoredFlows(flows=msgspec.Raw(stored or b"[]"))
