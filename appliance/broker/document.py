"""The file of Mosquitto's dynamic security, and the commands that make a running broker the same. Pure.

The plugin of Mosquitto 2.0 knows no variables in topics, so each client has a role of its own, named after it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from appliance.broker.acl import MARKER_USER
from appliance.broker.model import Client, Right, Rule, Running

# The password is 256 random bits: the hash needs no cost. The plugin's own number.
ITERATIONS = 101
SALT_BYTES = 12
# What is not allowed by a rule. Its own tool would let everybody receive everything.
_DEFAULTS = {Right.PUBLISH: False, Right.RECEIVE: False, "subscribe": False, "unsubscribe": True}


class Wanted(Struct, frozen=True):
    """All who may log in; `version` names exactly these with these passwords and rules."""

    clients: tuple[Client, ...]
    version: str


class Held(Struct, frozen=True):
    """What a running broker holds: mark of each client, rules of each role."""

    marks: Mapping[str, str]
    rules: Mapping[str, tuple[Rule, ...]]


def wanted(clients: Iterable[Client]) -> Wanted:
    """These clients in a fixed order, with their version."""
    ordered = tuple(sorted(clients, key=lambda client: client.username))
    told = [(each.username, each.mark, each.rules) for each in ordered]
    return Wanted(ordered, hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16])


def file(all_: Wanted, config: str) -> bytes:
    """The whole file: what a broker holds that was started with it and the configuration `config`."""
    document = {
        "clients": [*(_client(each) for each in all_.clients), {**_marker(all_.version, config), "disabled": True}],
        "groups": [],
        "roles": [_role(each) for each in all_.clients],
        "defaultACLAccess": _DEFAULTS,
    }
    return msgspec.json.encode(document)


def changes(all_: Wanted, held: Held) -> list[dict[str, Any]]:
    """The commands that make what is held what is wanted, the version last. Clients that stay as they are are not
    disconnected: changed rules take effect under them; a changed password, or deleting, throws them out."""
    names = {each.username for each in all_.clients}
    commands: list[dict[str, Any]] = [
        {"command": "deleteClient", "username": name}
        for name in held.marks
        if name not in names and name != MARKER_USER
    ]
    commands += [{"command": "deleteRole", "rolename": name} for name in held.rules if name not in names]
    for each in all_.clients:
        if each.username not in held.rules:
            commands.append({"command": "createRole", **_role(each)})
        elif held.rules[each.username] != each.rules:
            commands.append({"command": "modifyRole", **_role(each)})
        if (mark := held.marks.get(each.username)) != each.mark:
            verb = "createClient" if mark is None else "modifyClient"
            commands.append({"command": verb, **_named(each), "password": each.password})
    return [*commands, {"command": "modifyClient", "username": MARKER_USER, "textname": all_.version}]


def asked() -> list[dict[str, Any]]:
    """The commands whose answers `held` reads."""
    return [{"command": "listClients", "verbose": True}, {"command": "listRoles", "verbose": True}]


def held(answers: Sequence[Mapping[str, Any]]) -> Held:
    """What the broker listed. Raises KeyError, TypeError or ValueError for what is no such list."""
    clients, roles = answers[0]["data"]["clients"], answers[1]["data"]["roles"]
    return Held(
        {each["username"]: str(each.get("textname", "")) for each in clients},
        {each["rolename"]: tuple(sorted(_rule(acl) for acl in each.get("acls", ()))) for each in roles},
    )


def running(answer: Mapping[str, Any]) -> Running:
    """The versions in the answer to `getClient` for the marker. Raises as `held`."""
    marker = answer["data"]["client"]
    return Running(config=str(marker.get("textdescription", "")), clients=str(marker.get("textname", "")))


def _rule(acl: Mapping[str, Any]) -> Rule:
    # A rule that refuses is none of ours: under this topic it differs from every rule that is wanted.
    return Rule(Right(acl["acltype"]), acl["topic"] if acl.get("allow", True) else f"!{acl['topic']}")


def _client(client: Client) -> dict[str, Any]:
    # Made from what the password is made from: the same clients give the same file.
    salt = hashlib.sha256(f"{client.username}\0{client.password}".encode()).digest()[:SALT_BYTES]
    hashed = hashlib.pbkdf2_hmac("sha512", client.password.encode(), salt, ITERATIONS, 64)
    return {
        **_named(client),
        "password": base64.b64encode(hashed).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": ITERATIONS,
    }


def _named(client: Client) -> dict[str, Any]:
    return {
        "username": client.username,
        "textname": client.mark,
        "roles": [{"rolename": client.username, "priority": 0}],
    }


def _marker(version: str, config: str) -> dict[str, Any]:
    """No client: the broker's memory of what it was given, where the appliance finds it again."""
    return {"username": MARKER_USER, "textname": version, "textdescription": config, "roles": []}


def _role(client: Client) -> dict[str, Any]:
    acls = [{"acltype": rule.right, "topic": rule.topic, "priority": 0, "allow": True} for rule in client.rules]
    return {"rolename": client.username, "acls": acls}
