"""Stacks, templates and instance types: what an instance can be made of."""

from __future__ import annotations

from appliance.schema.common import Page
from appliance.schema.instances import InstanceType, InstanceTypes, Stack, Stacks, Template, Templates
from appliance.web.route import Ask
from appliance.web.services import Services


async def stacks(services: Services, ask: Ask[Page, None]) -> Stacks:
    return await services.stacks.list(ask.query)


async def stack(services: Services, ask: Ask[None, None]) -> Stack:
    return await services.stacks.get(ask.id)


async def templates(services: Services, ask: Ask[Page, None]) -> Templates:
    return await services.stacks.templates(ask.query)


async def template(services: Services, ask: Ask[None, None]) -> Template:
    return await services.stacks.template(ask.id)


async def types(services: Services, ask: Ask[Page, None]) -> InstanceTypes:
    return await services.stacks.types(ask.query)


async def instance_type(services: Services, ask: Ask[None, None]) -> InstanceType:
    return await services.stacks.type(ask.id)
