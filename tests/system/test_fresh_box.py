"""On a stock Debian 12: the README's first command from a bare checkout, then the plug is pulled, again and again."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.system.box import editor_token
from tests.system.deployer import Deployer, origin
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(2400), pytest.mark.usefixtures("shared_processes")]

CUTS = int(os.environ.get("WEIR_TEST_CUTS", "20"))
TARGET = "/opt/weir"
PASSWORD = "correct horse battery 42"


@pytest.fixture(scope="module")
def fresh() -> Iterator[FreshBox]:
    machine = FreshBox("weirup")
    machine.tool("down", check=False)
    machine.tool("up", timeout_s=900)
    try:
        machine.push_checkout(TARGET)
        # The box gets a password of the test's choice, so that the deployer can log in as a person does.
        machine.run(
            f"mkdir -p {TARGET}/.weir && printf %s '{PASSWORD}' >/root/pw && "
            f"printf '[login]\nadmin_password_file = \"/root/pw\"\n' >{TARGET}/.weir/config.toml"
        )
        machine.run(f"cd {TARGET} && ./dev up --detach", timeout_s=1200)
        yield machine
    finally:
        machine.tool("down", check=False)


def weir(machine: FreshBox, *arguments: str) -> dict[str, object]:
    answer = machine.run(f"cd {TARGET} && .venv/bin/weir {' '.join(arguments)} --json")
    return dict(json.loads(answer))


def wait_running(machine: FreshBox, name: str = "first", timeout_s: float = 120) -> str:
    """The instance's URL once it runs."""
    deadline = time.monotonic() + timeout_s
    while True:
        shown = weir(machine, "instance", "show", name)
        if shown["meta"]["state"] == "running":  # type: ignore[index]
            return str(shown["url"])
        assert time.monotonic() < deadline, shown
        time.sleep(0.5)


def test_up_makes_a_running_box(fresh: FreshBox) -> None:
    wait_running(fresh)
    status = weir(fresh, "status")
    assert [i["name"] for i in status["instances"]] == ["first"]  # type: ignore[attr-defined]
    assert fresh.run(f"cd {TARGET} && git status --short 2>/dev/null | head", check=False) == ""


def test_second_up_is_fast_and_changes_nothing(fresh: FreshBox) -> None:
    wait_running(fresh)
    before = weir(fresh, "status")
    began = time.monotonic()
    fresh.run(f"cd {TARGET} && ./dev up --detach")
    took_s = time.monotonic() - began
    after = weir(fresh, "status")
    pids = [[i["launcher_pid"], i["node_red_pid"]] for i in before["instances"]]  # type: ignore[attr-defined]
    assert pids == [[i["launcher_pid"], i["node_red_pid"]] for i in after["instances"]]  # type: ignore[attr-defined]
    assert before["appliance"]["pid"] == after["appliance"]["pid"]  # type: ignore[index]
    assert took_s < 5, f"{took_s:.1f} s"


def stored_number(machine: FreshBox) -> int:
    """The number of the deploy that is in Weir's database."""
    flows = json.loads(machine.run(f"cd {TARGET} && .venv/bin/weir instance flows first --json"))["flows"]
    labels = [node["label"] for node in flows if node["type"] == "tab"]
    return int(labels[0].split()[1]) if labels and labels[0].startswith("deploy ") else 0


def test_every_acknowledged_deploy_survives_power_cuts(fresh: FreshBox) -> None:
    seed = int(os.environ.get("WEIR_TEST_SEED", str(random.randrange(2**32))))
    print(f"seed {seed}: run again with WEIR_TEST_SEED={seed}")
    chance = random.Random(seed)
    last = 0
    for cut in range(CUTS):
        fresh.run(f"cd {TARGET} && ./dev up --detach", timeout_s=120)
        url = wait_running(fresh)
        assert stored_number(fresh) >= last, f"cut {cut}: deploy {last} was acknowledged and is gone"
        port = urlsplit(url).port
        platform = str(weir(fresh, "status")["appliance"]["url"])  # type: ignore[index]
        host = fresh.address
        editor = f"https://{host}:{port}"
        token = editor_token(origin(platform, host), editor, "admin", PASSWORD)
        deployer = Deployer(editor, token, max(last, stored_number(fresh)))
        deployer.start()
        time.sleep(chance.uniform(0.3, 3.0))  # the moment of the cut is the point of the test
        fresh.tool("kill")
        deployer.done.set()
        deployer.join(15)
        last = deployer.acknowledged
        fresh.tool("boot")
    fresh.run(f"cd {TARGET} && ./dev up --detach", timeout_s=120)
    wait_running(fresh)
    assert stored_number(fresh) >= last
    print(f"{CUTS} power cuts, {last} deploys acknowledged, none lost")
