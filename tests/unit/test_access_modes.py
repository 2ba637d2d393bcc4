"""Access modes: what may be configured, where instances are, and what a change of mode or name brings about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from appliance import config as configuration
from appliance.config import Config, Ingress, Listen
from appliance.errors import Conflict, Invalid
from appliance.schema.common import AuditQuery
from appliance.schema.instances import ChangeInstance
from appliance.services.accepted import Accepted, AcceptedNames
from appliance.services.moves import KEY, Moves
from appliance.services.redirects import HTTP_CALLBACK, allowed
from appliance.store import box
from appliance.system import tls
from appliance.system.access import Former, access_of
from appliance.system.tls import AcceptedName
from tests.service_rig import Rig, service_rig

LISTEN = Listen(https=8443)
PORTS = Config(listen=LISTEN)
HOSTS = Config(listen=LISTEN, ingress=Ingress(mode="host", domain="plant.example"))
PATHS = Config(listen=LISTEN, ingress=Ingress(mode="path", path_is_one_trust_domain=True))
NAMES = ["plant.example:8443", "10.0.0.7:8443", "[fd00::7]:8443"]


@pytest.fixture(params=[PORTS, HOSTS, PATHS], ids=["port", "host", "path"])
async def rig(home: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with service_rig(home, config=request.param) as rig:
        yield rig


@pytest.fixture
async def hosts(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home, config=HOSTS) as rig:
        yield rig


def mode(rig: Rig) -> str:
    return rig.context.config.ingress.mode


# configuration


@pytest.mark.parametrize(
    ("ingress", "code", "said"),
    [
        (Ingress(mode="host"), "no_domain", 'domain = "weir.example"'),
        (Ingress(mode="host", domain="local"), "invalid_domain", "top-level"),
        (Ingress(domain="10.0.0.7"), "invalid_domain", "address"),
        (Ingress(domain="fd00::7"), "invalid_domain", "address"),
        (Ingress(domain="a b.example"), "invalid_name", "host name"),
        (Ingress(domain=".".join(["x" * 60] * 4)), "invalid_domain", "too long"),
        (Ingress(mode="path"), "path_not_trusted", "path_is_one_trust_domain = true"),
    ],
)
def test_what_cannot_be_says_why_and_what_to_do(ingress: Ingress, code: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        access_of(Config(ingress=ingress))
    assert caught.value.code == code
    assert said in f"{caught.value} {caught.value.hint}"


def test_an_unknown_mode_is_refused(home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text('[ingress]\nmode = "wildcard"\n')
    with pytest.raises(Invalid, match="wildcard") as caught:
        access_of(configuration.load(home))
    assert '"port", "host" and "path"' in caught.value.hint


def test_the_domain_is_a_name_of_the_platform_after_those_of_the_configuration() -> None:
    both = Config(ingress=Ingress(mode="host", domain="plant.example:9443", names=["weir.example"]))
    names = tls.accepted_names(both, "pi4", addresses=[])
    assert names[:3] == [AcceptedName("weir.example"), AcceptedName("plant.example", 9443), AcceptedName("pi4")]
    assert AcceptedNames(both).source(names[1]) == "config"
    left = replace(both, ingress=replace(both.ingress, mode="port"))
    assert AcceptedName("plant.example", 9443) not in tls.accepted_names(left, "pi4", addresses=[])


def test_the_certificate_covers_names_below_the_domain_and_the_former_one(home: Path) -> None:
    names = access_of(HOSTS).certified([AcceptedName("localhost")], AcceptedName("old.example"))
    files = tls.ensure(configuration.Home(home), names)
    assert files.names == ("localhost", "*.plant.example", "*.old.example")
    assert not tls.ensure(configuration.Home(home), names).changed, "made once, not at every start"


# addresses


@pytest.mark.parametrize(
    ("config", "bases"),
    [
        (PORTS, ["https://plant.example:10007", "https://10.0.0.7:10007", "https://[fd00::7]:10007"]),
        (HOSTS, ["https://line-1.plant.example:8443"]),
        (
            PATHS,
            [
                "https://plant.example:8443/i/line-1",
                "https://10.0.0.7:8443/i/line-1",
                "https://[fd00::7]:8443/i/line-1",
            ],
        ),
    ],
    ids=["port", "host", "path"],
)
def test_addresses_and_redirect_uris_byte_for_byte(config: Config, bases: list[str]) -> None:
    found = access_of(config).bases(NAMES, 7, "line-1")
    assert found == bases
    assert allowed(found, "/admin") == {f"{base}/admin/auth/strategy/callback" for base in bases}
    assert allowed(found, "", HTTP_CALLBACK) == {f"{base}/_ffAuth/callback" for base in bases}


@pytest.mark.parametrize(
    ("text", "base"), [("p.example:443", "https://a.p.example"), ("p.example", "https://a.p.example:8443")]
)
def test_the_external_port_of_a_domain_counts(text: str, base: str) -> None:
    config = Config(listen=LISTEN, ingress=Ingress(mode="host", domain=text))
    assert access_of(config).bases(NAMES, 7, "a") == [base]


@pytest.mark.parametrize(
    ("config", "url", "seen"),
    [
        (PORTS, "https://plant.example:10007/admin", "https://10.0.0.7:10007/admin"),
        (HOSTS, "https://a.plant.example:8443/admin", "https://a.plant.example:8443/admin"),
        (HOSTS, "https://a.plant.example:8443", "https://a.plant.example:8443/"),
        (PATHS, "https://plant.example:8443/i/a/admin", "https://10.0.0.7:8443/i/a/admin"),
    ],
)
def test_links_of_the_landing_page(config: Config, url: str, seen: str) -> None:
    assert access_of(config).seen_from("https://10.0.0.7:8443", url, 10007) == seen


async def test_what_the_api_and_the_instance_are_told(rig: Rig) -> None:
    made = await rig.create("Line-1")
    url, host, path = {
        "port": ("https://box.test:10000", "box.test", ""),
        "host": ("https://line-1.plant.example:8443", "line-1.plant.example", ""),
        "path": ("https://box.test:8443/i/line-1", "box.test", "/i/line-1"),
    }[mode(rig)]
    assert (made.url, made.hostname) == (url, host)
    await rig.instances.change(rig.admin, made.id, ChangeInstance(settings={"httpAdminRoot": "/admin"}))
    document = await rig.instances.settings_document(made.id, "launcher")
    assert document["baseURL"] == document["env"]["FF_INSTANCE_URL"] == f"{url}/admin"
    assert document["settings"]["httpAdminRoot"] == f"{path}/admin"
    assert document["weir"]["path"] == path
    assert (await rig.instances.get(made.id)).url == f"{url}/admin"


# names


async def test_renaming_says_where_it_is_and_restarts_where_it_must(rig: Rig) -> None:
    made = await rig.create("line-1")
    before = await rig.spec(made.id)
    answer = await rig.instances.change(rig.admin, made.id, ChangeInstance(name="Press"))
    restarted = (await rig.spec(made.id)).command_generation - before.command_generation
    assert restarted == (1 if mode(rig) == "path" else 0)
    assert (await rig.spec(made.id)).generation == before.generation, "the launcher stays"
    assert ("from now on" in answer.note) == (mode(rig) != "port")
    again = await rig.instances.change(rig.admin, made.id, ChangeInstance(name="PRESS"))
    assert again.note == "", "its address is the same"


async def test_a_suspended_instance_stays_so_when_it_is_renamed(rig: Rig) -> None:
    made = await rig.create("line-1")
    await rig.instances.suspend(rig.admin, made.id)
    await rig.instances.change(rig.admin, made.id, ChangeInstance(name="press"))
    assert (await rig.instances.get(made.id)).desired == "suspended"


async def test_no_instance_gets_a_name_of_the_platform(hosts: Rig) -> None:
    hosts.instances._addresses._context = replace(hosts.context, names=lambda: ["plant.example", "weir.plant.example"])
    made = await hosts.create("line-1")
    for attempt in (
        hosts.create("Weir"),
        hosts.instances.check_name("weir"),
        hosts.instances.change(hosts.admin, made.id, ChangeInstance(name="weir")),
    ):
        with pytest.raises(Conflict, match="is the platform itself") as caught:
            await attempt
        assert caught.value.code == "invalid_project_name"
    assert (await hosts.instances.get(made.id)).name == "line-1"


async def test_the_platform_gets_no_name_of_an_instance(hosts: Rig) -> None:
    names = AcceptedNames(HOSTS, host=lambda: "pi4", addresses=list)
    service = Accepted(replace(hosts.context, names=names.authorities), hosts.audit, names)
    await hosts.create("line-1")
    with pytest.raises(Conflict, match="address of the instance 'line-1'") as caught:
        await service.add(hosts.admin, "line-1.plant.example:9443")
    assert "weir instance set line-1 name=OTHER" in caught.value.hint
    assert (await service.add(hosts.admin, "other.plant.example")).name == "other.plant.example"
    assert (await service.add(hosts.admin, "line-1.other.example")).name == "line-1.other.example"


async def test_a_host_name_is_not_chosen_by_people(rig: Rig) -> None:
    made = await rig.create("line-1")
    same: Any = ChangeInstance(hostname=made.hostname.upper())
    await rig.instances.change(rig.admin, made.id, same)
    with pytest.raises(Invalid, match="chooses the host names"):
        await rig.instances.change(rig.admin, made.id, ChangeInstance(hostname="my.example"))


# another mode


async def moved(rig: Rig, config: Config) -> Former:
    moves = Moves(replace(rig.context, config=config), rig.audit)
    await moves.load()
    return moves.former()


async def test_another_mode_restarts_what_runs_and_remembers_the_way_that_was(home: Path) -> None:
    async with service_rig(home) as rig:
        assert await moved(rig, PORTS) == Former()
        runs, stands = await rig.create("line-1"), await rig.create("line-2")
        await rig.instances.suspend(rig.admin, stands.id)
        specs = {one.id: await rig.spec(one.id) for one in (runs, stands)}

        assert await moved(rig, PORTS) == Former()
        assert await moved(rig, HOSTS) == Former(ports=True)
        after = {one.id: await rig.spec(one.id) for one in (runs, stands)}
        assert after[runs.id].command_generation == specs[runs.id].command_generation + 1
        assert after[stands.id] == specs[stands.id]
        assert await moved(rig, HOSTS) == Former(ports=True), "once"
        assert await rig.spec(runs.id) == after[runs.id]
        log = (await rig.audit.page("platform", None, AuditQuery())).log
        assert [entry.event for entry in log] == ["platform.settings.updated"]

        domain = AcceptedName("plant.example")
        assert await moved(rig, PATHS) == Former(ports=True, domain=domain)
        assert await moved(rig, PORTS) == Former(paths=True, domain=domain)
        assert await moved(rig, HOSTS) == Former(ports=True, paths=True)


async def test_a_box_of_before_was_reached_by_ports(home: Path) -> None:
    async with service_rig(home) as rig:
        await rig.create("line-1")
        assert await moved(rig, PATHS) == Former(ports=True)


async def test_a_new_box_was_never_reached_otherwise(home: Path) -> None:
    async with service_rig(home) as rig:
        assert await moved(rig, HOSTS) == Former()


@pytest.mark.parametrize("text", ["[]", '{"mode": 1}', '{"mode": "host", "domain": "a b"}', "{"])
async def test_what_cannot_be_read_keeps_no_box_from_starting(home: Path, text: str) -> None:
    async with service_rig(home) as rig:
        await rig.context.store.write(lambda tx: box.put(tx, KEY, text))
        assert await moved(rig, HOSTS) == Former()
        assert await moved(rig, HOSTS) == Former()
