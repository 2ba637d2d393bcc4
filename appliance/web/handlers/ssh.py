"""Keys for SSH, and the logins that are made with them."""

from __future__ import annotations

from appliance.errors import Unauthorized
from appliance.schema.common import Status
from appliance.schema.ssh import BeginSshSession, CreateSshKey, SshKey, SshKeys, SshSession
from appliance.system.ancestry import ancestors
from appliance.web.identity import peer
from appliance.web.route import Ask
from appliance.web.services import Services

DONE = Status()


async def keys(services: Services, ask: Ask[None, None]) -> SshKeys:
    return await services.directory.ssh_keys.of_user(ask.subject)


async def keys_of(services: Services, ask: Ask[None, None]) -> SshKeys:
    return await services.directory.ssh_keys.of_user(ask.subject, ask.id)


async def create(services: Services, ask: Ask[None, CreateSshKey]) -> SshKey:
    return await services.directory.ssh_keys.create(ask.subject, ask.body.key, ask.body.name)


async def create_for(services: Services, ask: Ask[None, CreateSshKey]) -> SshKey:
    return await services.directory.ssh_keys.create(ask.subject, ask.body.key, ask.body.name, for_user=ask.id)


async def remove(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.ssh_keys.remove(ask.subject, ask.id)
    return DONE


async def remove_of(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.ssh_keys.remove(ask.subject, ask.params["key"], of_user=ask.id)
    return DONE


async def begin(services: Services, ask: Ask[None, BeginSshSession]) -> SshSession:
    """Who may connect to the socket is a matter of its file; whose ticket it is, of the process that connected."""
    transport = ask.request.transport
    if transport is None or transport.get_extra_info("sockname") != str(services.home.api_socket):
        raise Unauthorized("a login over SSH is begun on the box's own socket", hint="ssh weir@BOX")
    pid, _ = peer(ask.request)
    return await services.directory.ssh_logins.begin(ask.body.ticket, ancestors(pid), ask.body.address)


async def end(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.ssh_logins.end(ask.subject)
    return DONE
