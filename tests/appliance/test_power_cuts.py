"""The plug of an installed box is pulled at random moments, while somebody deploys and something else goes on."""

from __future__ import annotations

import os
import random
import threading
import time
from statistics import median

import pytest

from tests.appliance.machine import deployer_on, stored_number, wait_running
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


def test_every_acknowledged_deploy_survives_and_the_box_serves_again_without_a_hand(installed: FreshBox) -> None:
    seed = int(os.environ.get("WEIR_TEST_SEED", str(random.randrange(2**32))))
    print(f"seed {seed}: run again with WEIR_TEST_SEED={seed}")
    chance = random.Random(seed)
    password = installed.run("cat /var/lib/weir/state/first-admin-password").strip()
    installed.run("weir backup key --json >/root/key")
    last, boot_s, back_s = 0, [], []
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
        here, last = deployer.acknowledged - last, deployer.acknowledged
        plugged_in = time.monotonic()
        installed.tool("boot")
        boot_s.append(time.monotonic() - plugged_in)
        wait_running(installed, "first", timeout_s=120)
        back_s.append(time.monotonic() - plugged_in)
        print(
            f"cut {cut + 1} during {work}: {here} deploys acknowledged, {last} in all; "
            f"booted after {boot_s[-1]:.1f} s, serving after {back_s[-1]:.1f} s",
            flush=True,
        )
        assert installed.run(INTEGRITY).split() == ["ok", "0"]
    assert stored_number(installed) >= last
    assert last > 0
    print(
        f"{CUTS} power cuts, {last} deploys acknowledged, none lost; serving after {median(back_s):.0f} s "
        f"(at most {max(back_s):.0f} s, of which the boot took {median(boot_s):.0f} s)"
    )
