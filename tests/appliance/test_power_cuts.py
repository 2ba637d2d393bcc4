"""The plug of an installed box is pulled at random moments, while somebody deploys and something else goes on."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from urllib.parse import urlsplit

import pytest

from tests.appliance.machine import status, wait_running
from tests.system.box import editor_token
from tests.system.deployer import Deployer, origin
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(2700), pytest.mark.usefixtures("shared_processes")]

CUTS = int(os.environ.get("WEIR_TEST_CUTS", "6"))
# What goes on beside the deploys, and is cut as well. None of it needs to come to its end.
WORK = {
    "nothing": "true",
    "restart": "weir instance restart first",
    "backup": "weir backup create",
    "module": """weir instance set first 'palette.modules=[{"name": "node-red-node-random", "version": "~0.4.1"}]'
        weir instance restart first""",
    "appliance": "systemctl restart weir.service",
    "another": "weir instance create other; weir instance delete other --yes",
}
INTEGRITY = (
    'python3 -c \'import sqlite3; c = sqlite3.connect("file:/var/lib/weir/state/weir.db?mode=ro", uri=True); '
    'print(c.execute("PRAGMA integrity_check").fetchone()[0], len(c.execute("PRAGMA foreign_key_check").fetchall()))\''
)


def stored_number(machine: FreshBox) -> int:
    """The number of the deploy that is in Weir's database."""
    flows = json.loads(machine.run("weir instance flows first --json"))["flows"]
    labels = [node["label"] for node in flows if node["type"] == "tab"]
    return int(labels[0].split()[1]) if labels and labels[0].startswith("deploy ") else 0


def deployer_on(machine: FreshBox, url: str, password: str, last: int) -> Deployer:
    host = machine.address
    editor = f"https://{host}:{urlsplit(url).port}"
    platform = origin(str(status(machine)["appliance"]["url"]), host)
    return Deployer(editor, editor_token(platform, editor, "admin", password), max(last, stored_number(machine)))


def test_every_acknowledged_deploy_survives_and_the_box_serves_again_without_a_hand(installed: FreshBox) -> None:
    seed = int(os.environ.get("WEIR_TEST_SEED", str(random.randrange(2**32))))
    print(f"seed {seed}: run again with WEIR_TEST_SEED={seed}")
    chance = random.Random(seed)
    password = installed.run("cat /var/lib/weir/state/first-admin-password").strip()
    installed.run("weir backup key --json >/root/key")
    last, back_s = 0, []
    for cut in range(CUTS):
        url = str(wait_running(installed, "first", timeout_s=120)["url"])
        assert stored_number(installed) >= last, f"cut {cut}: deploy {last} was acknowledged and is gone"
        deployer = deployer_on(installed, url, password, last)
        deployer.start()
        work = chance.choice(sorted(WORK))
        beside = threading.Thread(target=installed.run, args=(WORK[work],), kwargs={"check": False}, daemon=True)
        beside.start()
        time.sleep(chance.uniform(0.3, 6.0))  # the moment of the cut is the point of the test
        installed.tool("kill")
        deployer.done.set()
        deployer.join(15)
        last = deployer.acknowledged
        print(f"cut {cut} during {work}: {last} deploys acknowledged")
        booted = time.monotonic()
        installed.tool("boot")
        wait_running(installed, "first", timeout_s=120)
        back_s.append(time.monotonic() - booted)
        print(f"       back after {back_s[-1]:.1f} s")
        assert installed.run(INTEGRITY).split() == ["ok", "0"]
    assert stored_number(installed) >= last
    assert last > 0
    print(f"{CUTS} power cuts, {last} deploys acknowledged, none lost; back after {max(back_s):.0f} s at most")
