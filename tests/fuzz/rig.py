"""schemathesis against a real appliance: what it may send, as whom, and what it must not see."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.model import Role
from appliance.schema.common import Page
from appliance.schema.snapshots import CreateSnapshot
from tests.web_box import API, WebBox

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# What every answer is looked at for. Not `positive_data_acceptance`: a schema can't say which names are free.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "missing_required_header",
)
# Streams have no end.
LEFT_OUT = f"/stream$|^{API}/events$"
# There is no launcher and no broker here: so it is said, and only these may.
AWAY = (f"{API}/projects/{{id}}/logs", f"{API}/projects/{{id}}/resources", f"{API}/teams/{{id}}/comms-credentials")
LONGER_S = 30  # for what begins and ends outside of the time that it is told


class World(Struct, frozen=True):
    """What there is to ask about: ids by dictionary, and a token by what its owner is."""

    box: WebBox
    ids: dict[str, list[str]]
    tokens: dict[str, str | None]


async def furnish(box: WebBox) -> World:
    """A team with instances, snapshots and people; an administrator, an owner, a member, a viewer and nobody."""
    services = box.services
    team = (await services.teams.teams(Page())).teams[0]
    instances = [await box.instance(f"line-{number}") for number in range(4)]
    snapshots = [
        (await services.snapshots.create(box.root, instances[0].id, CreateSnapshot(name=f"s{number}"))).id
        for number in range(4)
    ]
    first = instances[0]
    grant = await box.boot(first)
    chief = await box.person("chief", Role.OWNER, admin=True)
    tokens: dict[str, str | None] = {"nobody": None, "admin": await box.token(chief, admin_opt_in=True)}
    for name, role in (("owner", Role.OWNER), ("member", Role.MEMBER), ("viewer", Role.VIEWER)):
        tokens[name] = await box.token(await box.person(name, role))
    tokens |= {"launcher": grant.token, "node_red": grant.node_red_token}
    victims = [(await box.person(f"victim{number}", Role.NONE)).id for number in range(4)]
    ids = {
        "teams": [team.id],
        "applications": [first.application.id],
        "instances": [instance.id for instance in instances[:2]],
        "spare": [instance.id for instance in instances[2:]],
        "snapshots": snapshots,
        "stacks": [first.stack.id],
        "templates": [first.template.id],
        "types": [first.project_type.id],
        "users": victims,
    }
    return World(box, ids, tokens)


def config(world: World) -> str:
    """schemathesis.toml: most ids are of things that are there, or nothing but "not found" would be tried."""
    lines = [f'base-url = "http://127.0.0.1:{world.box.port}"', "[checks]", "enabled = false"]
    lines += [f"{check}.enabled = true" for check in CHECKS]
    lines.append("[parameters]")
    for field, kind in (
        ("applicationId", "applications"),
        ("teamId", "teams"),
        ("ownerId", "instances"),
        ("projectType", "types"),
        ("stack", "stacks"),
        ("template", "templates"),
        ("snapshot", "snapshots"),
    ):
        lines.append(f'"body.{field}" = {_bound(kind)}')
    for kind, values in world.ids.items():
        lines.append(f"[dictionaries.{kind}]\nvalues = {msgspec.json.encode(values).decode()}")
    for path, kind in (
        ("teams", "teams"),
        ("applications", "applications"),
        ("projects", "instances"),
        ("instances", "instances"),
        ("snapshots", "snapshots"),
        ("stacks", "stacks"),
        ("templates", "templates"),
        ("project-types", "types"),
        ("users", "users"),
    ):
        lines.append(f'[[operations]]\ninclude-path-regex = "^{API}/{path}/"')
        lines.append(f'exclude-path-regex = "{path}/{{id}}/(members|snapshots|kept|httpTokens)/"')
        lines.append(f'parameters = {{ "path.id" = {_bound(kind)}, "path.user" = {_bound("users")} }}')
    for place in ("storage", "logging"):
        lines.append(
            f'[[operations]]\ninclude-path-regex = "^/{place}/"\nparameters = {{ "path.id" = {_bound("instances")} }}'
        )
    lines.append(f'[[operations]]\ninclude-path = "{API}/projects/{{id}}"\ninclude-method = "DELETE"')
    lines.append(f'parameters = {{ "path.id" = {_bound("spare")} }}')
    for path in AWAY:
        lines.append(f'[[operations]]\ninclude-path = "{path}"')
        lines.append('checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503]')
    for word in ("projects/check-name", "teams/check-slug"):  # paths that are also those of a thing with such an id
        lines.append(f'[[operations]]\ninclude-path = "{API}/{word}"')
        lines.append("checks.allow_header_conformance.enabled = false")
    # Whoever deletes himself ends the run.
    lines.append(f'[[operations]]\ninclude-path = "{API}/user"\ninclude-method = "DELETE"\nenabled = false')
    return "\n".join(lines) + "\n"


def _bound(kind: str) -> str:
    return f'{{ dictionary = "{kind}", probability = 0.8 }}'


async def run(
    world: World, who: str, scratch: Path, *, seconds: int, seed: int, examples: int, phases: str
) -> tuple[int, str]:
    """One run as somebody: the exit status of schemathesis, and what it said."""
    toml = scratch / f"{who}.toml"
    toml.write_text(config(world))  # noqa: ASYNC240 - a test's own small file
    token = world.tokens[who]
    command = [
        str(SCHEMATHESIS),
        "--config-file",
        str(toml),
        "run",
        f"http://127.0.0.1:{world.box.port}/api/openapi.json",
    ]
    command += ["--phases", phases, "--max-time", str(seconds), "--seed", str(seed), "--max-examples", str(examples)]
    command += [
        "--request-timeout",
        "20",
        "--warnings",
        "off",
        "--no-shrink",
        "--no-color",
    ]
    command += ["--generation-database", "none"]
    command += ["--exclude-path-regex", LEFT_OUT]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=scratch, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(seconds + LONGER_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")
