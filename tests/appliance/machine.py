"""What tests do with a machine on which Weir is, or is to be, installed."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.system.box import editor_token
from tests.system.deployer import Deployer, origin
from tests.system.fresh_box import FreshBox

SOURCE = "/root/weir"
RELEASES = "/opt/weir/releases"
SEEN = (
    "date; uptime; ip -br address; ss -ltnp; weir status; weir problems; journalctl -u 'weir*' -n 60 --no-pager -o cat"
)


def install(machine: FreshBox, options: str = "", *, check: bool = True, timeout_s: float = 900) -> str:
    """Run the installer of the pushed checkout; what it printed."""
    return machine.run(f"bash {SOURCE}/install.sh {options} 2>&1", timeout_s=timeout_s, check=check)


def status(machine: FreshBox) -> dict[str, Any]:
    """`weir status --json` by root, which has to work at once."""
    found: dict[str, Any] = json.loads(machine.run("weir status --json", timeout_s=60))
    return found


def wait_running(machine: FreshBox, name: str, timeout_s: float = 90) -> dict[str, Any]:
    """The instance, once it runs."""
    deadline = time.monotonic() + timeout_s
    seen = ""
    while time.monotonic() < deadline:
        seen = machine.run("weir status --json", check=False, timeout_s=60)
        found = [each for each in (json.loads(seen)["instances"] if seen else []) if each["name"] == name]
        if found and found[0]["state"] == "running":
            return dict(found[0])
        time.sleep(0.5)
    raise AssertionError(f"{name} does not run: {seen}\n{machine.run('journalctl -u weir -n 40 --no-pager -o cat')}")


def in_use(machine: FreshBox) -> str:
    """The name of the release that the box uses."""
    return machine.run("basename $(readlink -f /opt/weir/current)").strip()


def stored_number(machine: FreshBox) -> int:
    """The number of the deploy that is in Weir's database."""
    flows = json.loads(machine.run("weir instance flows first --json"))["flows"]
    labels = [node["label"] for node in flows if node["type"] == "tab"]
    return int(labels[0].split()[1]) if labels and labels[0].startswith("deploy ") else 0


def deployer_on(machine: FreshBox, url: str, password: str, last: int = 0) -> Deployer:
    """Somebody who deploys to the instance at `url`, logged in through the front door, from the number `last` on."""
    host = machine.address
    editor = f"https://{host}:{urlsplit(url).port}"
    platform = origin(str(status(machine)["appliance"]["url"]), host)
    try:
        token = editor_token(platform, editor, "admin", password)
    except httpx.HTTPError as error:
        raise AssertionError(f"{error!r} at {error.request.url}\n{machine.run(SEEN, check=False)}") from error
    return Deployer(editor, token, max(last, stored_number(machine)))
