"""Stacks, templates and instance types: what an instance can be made of."""

from __future__ import annotations

from appliance.schema.catalogue import (
    CatalogueQuery,
    ChangeInstanceType,
    ChangeStack,
    ChangeTemplate,
    CreateInstanceType,
    CreateStack,
    CreateTemplate,
)
from appliance.schema.common import Page, Status
from appliance.schema.instances import InstanceType, InstanceTypes, Stack, Stacks, Template, Templates
from appliance.web.route import Ask
from appliance.web.services import Services

DONE = Status()


async def stacks(services: Services, ask: Ask[CatalogueQuery, None]) -> Stacks:
    return await services.stacks.list(ask.query, shown=ask.query.filter)


async def stack(services: Services, ask: Ask[None, None]) -> Stack:
    return await services.stacks.get(ask.id)


async def create_stack(services: Services, ask: Ask[None, CreateStack]) -> Stack:
    return await services.stacks.get(await services.catalogue.stacks.create(ask.subject, ask.body))


async def change_stack(services: Services, ask: Ask[None, ChangeStack]) -> Stack:
    return await services.stacks.get(await services.catalogue.stacks.change(ask.subject, ask.id, ask.body))


async def remove_stack(services: Services, ask: Ask[None, None]) -> Status:
    await services.catalogue.stacks.remove(ask.subject, ask.id)
    return DONE


async def templates(services: Services, ask: Ask[Page, None]) -> Templates:
    return await services.stacks.templates(ask.query)


async def template(services: Services, ask: Ask[None, None]) -> Template:
    return await services.stacks.template(ask.id)


async def create_template(services: Services, ask: Ask[None, CreateTemplate]) -> Template:
    return await services.stacks.template(await services.catalogue.templates.create(ask.subject, ask.body))


async def change_template(services: Services, ask: Ask[None, ChangeTemplate]) -> Template:
    return await services.stacks.template(await services.catalogue.templates.change(ask.subject, ask.id, ask.body))


async def remove_template(services: Services, ask: Ask[None, None]) -> Status:
    await services.catalogue.templates.remove(ask.subject, ask.id)
    return DONE


async def types(services: Services, ask: Ask[CatalogueQuery, None]) -> InstanceTypes:
    return await services.stacks.types(ask.query, shown=ask.query.filter)


async def instance_type(services: Services, ask: Ask[None, None]) -> InstanceType:
    return await services.stacks.type(ask.id)


async def create_type(services: Services, ask: Ask[None, CreateInstanceType]) -> InstanceType:
    return await services.stacks.type(await services.catalogue.types.create(ask.subject, ask.body))


async def change_type(services: Services, ask: Ask[None, ChangeInstanceType]) -> InstanceType:
    return await services.stacks.type(await services.catalogue.types.change(ask.subject, ask.id, ask.body))


async def remove_type(services: Services, ask: Ask[None, None]) -> Status:
    await services.catalogue.types.remove(ask.subject, ask.id)
    return DONE
