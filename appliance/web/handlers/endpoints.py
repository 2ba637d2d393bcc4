"""Tokens for the HTTP endpoints of an instance's flows."""

from __future__ import annotations

from appliance.schema.endpoints import (
    ChangeHttpToken,
    CreateHttpToken,
    HttpToken,
    HttpTokenCreated,
    HttpTokens,
)
from appliance.web.route import Ask
from appliance.web.services import Services


async def list_all(services: Services, ask: Ask[None, None]) -> HttpTokens:
    return await services.endpoints.list(ask.id)


async def create(services: Services, ask: Ask[None, CreateHttpToken]) -> HttpTokenCreated:
    return await services.endpoints.create(ask.subject, ask.id, ask.body)


async def change(services: Services, ask: Ask[None, ChangeHttpToken]) -> HttpToken:
    return await services.endpoints.change(ask.subject, ask.id, ask.params["token"], ask.body)


async def remove(services: Services, ask: Ask[None, None]) -> None:
    await services.endpoints.remove(ask.subject, ask.id, ask.params["token"])
