"""The message broker without a broker: who may do what as a table, the file and the commands, the configuration."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance import config as configuration
from appliance import ports
from appliance.broker import acl, controller, document
from appliance.broker.model import Client, Right, Rule, Settings
from appliance.broker.render import on_trial, render
from appliance.config import Broker, Config, Home
from appliance.errors import Invalid
from appliance.placing import reserved
from appliance.proxy import messages
from appliance.proxy.model import Box, Messages
from appliance.proxy.render import render as render_nginx
from appliance.schema.broker import BrokerStatus
from appliance.services import broker
from appliance.services.tokens import Tokens
from appliance.system import rounds
from appliance.system.access import PORT, Access
from appliance.system.tls import AcceptedName
from tests.broker_box import BrokerBox
from tests.service_rig import Rig, service_rig
from tui.cli.broker import said

TEAM, OWN, OTHER = "a1b2c3", "1" * 8, "2" * 8
SETTINGS = Settings("/lib/plugin.so", "/run/security.json", "/run/control.sock", 1883, 1884)


def allowed(right: Right) -> set[str]:
    return {rule.topic for rule in acl.of_instance(TEAM, OWN) if rule.right is right}


def test_what_an_instance_may_do_is_exactly_this() -> None:
    """Device protocol §3.6 for `project:T:P`, the licensed edition's rows as well."""
    base = f"ff/v1/{TEAM}"
    heard = {
        f"{base}/l/{OWN}/command",
        f"{base}/p/+/out/#",
        f"{base}/p/{OWN}/in/#",
        f"{base}/p/{OWN}/res/#",
        f"{base}/c/#",
    }
    shared = {f"$share/{OWN}/{base}/p/+/out/#", f"$share/{OWN}/{base}/p/{OWN}/in/#"}
    assert allowed(Right.RECEIVE) == heard
    assert allowed(Right.SUBSCRIBE) == heard | shared
    assert allowed(Right.PUBLISH) == {
        f"{base}/l/{OWN}/status",
        f"{base}/p/+/in/#",
        f"{base}/p/+/res/#",
        f"{base}/p/{OWN}/out/#",
        f"{base}/c/#",
    }


def test_the_appliance_hears_no_messages() -> None:
    topics = {rule.topic for rule in acl.of_control()}
    assert all(topic.startswith(("$CONTROL/dynamic-security/", "$SYS/")) for topic in topics)


def client(name: str, password: str = "secret", mark: str = "1", *topics: str) -> Client:
    return Client(name, password, mark, tuple(Rule(Right.PUBLISH, topic) for topic in topics or ("a",)))


def held(*clients: Client) -> document.Held:
    marks = {each.username: each.mark for each in clients} | {acl.MARKER_USER: "before"}
    return document.Held(marks, {each.username: each.rules for each in clients})


def commands(wanted: list[Client], there: list[Client]) -> list[dict[str, Any]]:
    return document.changes(document.wanted(wanted), held(*there))


def test_nothing_is_changed_but_the_version_where_all_is_as_it_should_be() -> None:
    both = [client("one"), client("two")]
    assert commands(both, both) == [
        {"command": "modifyClient", "username": acl.MARKER_USER, "textname": document.wanted(both).version}
    ]


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        ([client("one")], [], ["createRole one", "createClient one"]),
        ([], [client("one")], ["deleteClient one", "deleteRole one"]),
        ([client("one", "other", "2")], [client("one")], ["modifyClient one"]),
        ([client("one", "secret", "1", "b")], [client("one")], ["modifyRole one"]),
        (
            [client("two")],
            [client("one")],
            ["deleteClient one", "deleteRole one", "createRole two", "createClient two"],
        ),
    ],
)
def test_only_what_differs_is_changed(wanted: list[Client], there: list[Client], expected: list[str]) -> None:
    """A role is changed under its client, which stays connected; a client is told a new password, and thrown out."""
    found = commands(wanted, there)[:-1]
    assert [f"{each['command']} {each.get('username') or each['rolename']}" for each in found] == expected


def test_a_rule_that_refuses_is_none_of_ours() -> None:
    """Somebody changed the running broker by hand: it is put right."""
    listed = [
        {"data": {"clients": [{"username": "one", "textname": "1"}]}},
        {
            "data": {
                "roles": [{"rolename": "one", "acls": [{"acltype": "publishClientSend", "topic": "a", "allow": False}]}]
            }
        },
    ]
    found = document.changes(document.wanted([client("one")]), document.held(listed))
    assert [each["command"] for each in found] == ["modifyRole", "modifyClient"]


def test_the_version_names_passwords_and_rules() -> None:
    versions = [
        document.wanted(each).version
        for each in ([client("one")], [client("one", "x", "2")], [client("one", "secret", "1", "b")], [])
    ]
    assert len(set(versions)) == 4
    assert document.wanted([client("a"), client("b")]) == document.wanted([client("b"), client("a")])


def test_the_file_denies_by_default_and_holds_no_password() -> None:
    text = document.file(document.wanted([client("project:t:p", "very-secret")]), "conf-1").decode()
    assert "very-secret" not in text
    parsed = json.loads(text)
    assert parsed["defaultACLAccess"] == {
        "publishClientSend": False,
        "publishClientReceive": False,
        "subscribe": False,
        "unsubscribe": True,
    }
    one, marker = parsed["clients"]
    salt = base64.b64decode(one["salt"])
    hashed = hashlib.pbkdf2_hmac("sha512", b"very-secret", salt, one["iterations"], 64)
    assert base64.b64decode(one["password"]) == hashed
    assert marker["disabled"] and "password" not in marker and marker["textdescription"] == "conf-1"


def test_the_configuration_listens_on_loopback_only_and_lets_nobody_in_unnamed() -> None:
    lines = [line for line in render(SETTINGS).text.splitlines() if line and not line.startswith("#")]
    for port in (1883, 1884):
        at = lines.index(f"listener {port} 127.0.0.1")
        assert lines[at + 1] == "socket_domain ipv4", "without it a websocket listens on all addresses"
    assert "allow_anonymous false" in lines and "persistence false" in lines
    assert not [line for line in lines if line.startswith(("user ", "memory_limit", "password_file"))]
    assert "user root" in render(msgspec.structs.replace(SETTINGS, user="root")).text


def test_a_trial_listens_nowhere_but_on_its_own_socket() -> None:
    text = on_trial(SETTINGS, Path("/trial/security.json"), Path("/trial/control.sock"))
    listeners = [line for line in text.splitlines() if line.startswith("listener")]
    assert listeners == ["listener 0 /trial/control.sock"] and "/run/" not in text


def test_another_setting_is_another_version_and_a_path_of_two_lines_is_refused() -> None:
    assert render(SETTINGS).version != render(msgspec.structs.replace(SETTINGS, port=1999)).version
    assert render(SETTINGS).version in render(SETTINGS).text.splitlines()[0]
    with pytest.raises(Invalid):
        render(msgspec.structs.replace(SETTINGS, control="/run/x\nallow_anonymous true"))


# -- nginx ---------------------------------------------------------------------------------------------


def nginx(door: Messages | None) -> str:
    names = (AcceptedName("localhost"),)
    return render_nginx(Box("/srv/weir", 8443, 8080, names, "abc", Access(PORT, 8443, 10000), messages=door), []).text


def test_without_a_broker_nginx_knows_nothing_of_it() -> None:
    text = nginx(None)
    assert not any(word in text for word in ("stream {", "load_module", "weir_messages", "weir_front"))


def test_nginx_passes_on_what_it_can() -> None:
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"
    text = nginx(Messages(1883, 1884, 8883, module))
    assert f'load_module "{module}";' in text
    assert "listen 8883 ssl;" in text and "proxy_pass 127.0.0.1:1883;" in text
    assert "server 127.0.0.1:1884 max_fails=0;" in text and "proxy_pass http://$weir_front;" in text
    only_websockets = nginx(Messages(0, 1884, 0))
    assert "stream {" not in only_websockets and "load_module" not in only_websockets
    assert "weir_messages" in only_websockets


@pytest.mark.parametrize(
    ("module", "taken", "tls"), [("/m.so", set(), 8883), ("", set(), 8883), (None, set(), 0), ("/m.so", {8883}, 0)]
)
def test_the_door_is_as_wide_as_it_can_be(module: str | None, taken: set[int], tls: int) -> None:
    found = messages.door(Config(broker=Broker(enabled=True)), module, taken)
    assert found is not None and (found.tls_port, found.websocket_port) == (tls, 1884)
    assert messages.door(Config(), module, taken) is None


# -- ports ---------------------------------------------------------------------------------------------


def test_ports_are_chosen_once_and_only_where_there_is_a_broker(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.state.mkdir()
    assert ports.settle(home, Config(), free=lambda port: port != 1883).broker.port == 1883
    assert not (home.state / "broker-ports.toml").exists()
    wanted = Config(broker=Broker(enabled=True))
    chosen = ports.settle(home, wanted, free=lambda port: port != 1883).broker
    assert (chosen.port, chosen.websocket_port, chosen.tls_port) == (21883, 1884, 8883)
    assert ports.settle(home, wanted, free=lambda port: True).broker == chosen
    assert ports.kept(home, wanted).broker == chosen


def test_a_port_that_the_configuration_names_is_kept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.state.mkdir()
    (tmp_path / "config.toml").write_text("[broker]\nenabled = true\nport = 1999\ntls_port = 0\n")
    found = ports.settle(home, configuration.load(tmp_path), free=lambda port: port not in (1884, 1999)).broker
    assert (found.port, found.tls_port, found.websocket_port) == (1999, 0, 22883)


def test_instances_are_kept_from_the_brokers_ports() -> None:
    assert {(1883, 1883), (1884, 1884)} <= set(reserved(Config(broker=Broker(enabled=True))))
    assert (1883, 1883) not in reserved(Config())


# -- credentials ---------------------------------------------------------------------------------------


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home, config=Config(broker=Broker(enabled=True))) as rig:
        yield rig


async def test_credentials_are_handed_out_with_the_other_tokens(rig: Rig) -> None:
    """And the broker is told the same; nobody is let in who was never started."""
    tokens = Tokens(rig.context, rig.audit)
    made, _ = await rig.create(), await rig.create("line-2")
    ticket = await tokens.mint_ticket(made.id, 1)
    assert await broker.clients(rig.context) == []
    grant = await tokens.boot(ticket, made.id, 1)
    (told,) = await broker.clients(rig.context)
    team = rig.made.team_id
    assert (grant.broker_url, grant.broker_username) == ("mqtt://127.0.0.1:1883", f"project:{team}:{made.id}")
    assert (told.username, told.password) == (grant.broker_username, grant.broker_password)
    assert grant.broker_password.startswith("ffbp_") and len(grant.broker_password) == 5 + 43
    assert told.rules == acl.of_instance(team, made.id)
    assert any(broker.concerns(event) for event in rig.events), "the broker is told that there is somebody new"


async def test_one_generation_has_one_password(rig: Rig) -> None:
    """A launcher that booted while the appliance was away trades its ticket late: its flows stay connected."""
    tokens = Tokens(rig.context, rig.audit)
    made = await rig.create()
    passwords = [(await tokens.mint_run(made.id, generation)).broker_password for generation in (1, 1, 2)]
    assert passwords[0] == passwords[1] != passwords[2]
    (told,) = await broker.clients(rig.context)
    assert (told.password, told.mark) == (passwords[2], "2")


async def test_a_box_without_a_broker_hands_out_nothing(home: Path) -> None:
    async with service_rig(home) as rig:
        made = await rig.create()
        run = await Tokens(rig.context, rig.audit).mint_run(made.id, 1)
        assert (run.broker_url, run.broker_username, run.broker_password) == ("", "", "")
        assert (await broker.BrokerDesk(rig.context, None).status()).enabled is False
        document = await rig.instances.settings_document(made.id, "launcher")
        assert document["features"]["projectComms"] is False


async def test_nodes_that_link_instances_are_told_that_they_may(rig: Rig) -> None:
    made = await rig.create()
    assert (await rig.instances.settings_document(made.id, "launcher"))["features"]["projectComms"] is True


async def test_a_broker_that_ends_again_and_again_is_not_started_in_a_loop(
    home: Path,
) -> None:
    """Each start writes three files to a card; the first end is made good at once all the same."""
    box = BrokerBox(home)
    pauses = [box.broker._ended()]  # one that has served for long
    box.broker._began_s = asyncio.get_running_loop().time()
    pauses += [box.broker._ended() for _ in range(7)]
    assert pauses == [0.0, 0.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert "7 times" in box.conditions.open["broker_down"]["cause"]
    box.broker._began_s -= controller.SHORT_S
    assert box.broker._ended() == 0.0


async def test_a_broker_that_can_not_be_had_for_days_is_still_tried(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "RETRY_MAX_S", 0.01)
    await BrokerBox(home).broker._rounds._pause(5000)


# -- words ---------------------------------------------------------------------------------------------


def test_what_the_command_says() -> None:
    up = BrokerStatus(True, True, 7, 2, 1, "mqtt://127.0.0.1:1883", ["wss://box/"])
    assert said(up) == [
        "running, pid 7",
        "2 instances may log in, 1 connection",
        "on this box  mqtt://127.0.0.1:1883",
        "from outside wss://box/",
    ]
    down = said(BrokerStatus(True, False, message="port 1883\x1b is in use"))
    assert down[:2] == ["does not run", "! port 1883\\x1b is in use"]
    assert "enabled = true" in said(BrokerStatus(False, False))[0]
