"""The driver contract with the `units` placer, on a machine with systemd: the suite of tests/contract, run in there."""

from __future__ import annotations

import pytest

from tests.system.fresh_box import ROOT, FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(600)]

PACKAGES = "lib/python3.11/site-packages"  # what Debian 12's Python can load of the checkout's environment
SCRIPT = f"""
set -e
systemctl stop weir.socket weir-web.socket weir.service
systemctl stop 'weir-launcher@*'
rm -rf /var/lib/weir/launch
cd /src
export WEIR_TEST_UNITS=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/src/.venv/{PACKAGES}:/src
exec /opt/weir/current/bin/python -m pytest -p no:cacheprovider -q --tb=short \
    tests/contract/test_driver_place.py tests/contract/test_driver_observe.py
"""


def test_every_clause_holds_with_real_units(kept_disk: str) -> None:
    if not (ROOT / ".venv" / PACKAGES / "pytest").is_dir():
        pytest.skip("the checkout's environment is of another Python than the machine's")
    machine = FreshBox("contract")
    machine.tool("down", check=False)
    machine.tool("up", "--from", kept_disk, "--bind", f"{ROOT}:/src:ro", timeout_s=300)
    try:
        machine.run("systemctl is-system-running --wait || true")
        said = machine.run(SCRIPT, timeout_s=400)
        assert " passed" in said and "failed" not in said, said[-3000:]
    finally:
        machine.tool("down", check=False)
