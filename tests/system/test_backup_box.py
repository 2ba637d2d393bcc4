"""A whole box is backed up while it runs, and comes back on a blank one: the same instances, flows, credentials, names,
ports, people. What was proven beforehand did nothing a second time."""

from __future__ import annotations

import json
import os
import shutil
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import stack_cache
from tests.system.box import Box, editor_token

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]
PASSPHRASE = "correct horse battery"
LOGIN = {"user": "u", "password": "p"}


def flows(wrote: Path) -> list[dict[str, Any]]:
    """Something with a password, and something that would be seen to run."""
    return [
        {"id": "t1", "type": "tab", "label": "line"},
        {
            "id": "b1",
            "type": "mqtt-broker",
            "broker": "127.0.0.1",
            "port": "1",
            "credentials": LOGIN,
        },
        {"id": "n1", "type": "inject", "z": "t1", "once": True, "onceDelay": 0.1, "wires": [["n2"]], "payload": "ran"},
        {"id": "n2", "type": "file", "z": "t1", "filename": str(wrote), "overwriteFile": "false", "wires": [[]]},
    ]


def test_backup_blank_box_restore(tmp_path: Path) -> None:
    cache = stack_cache()
    wrote, passphrase = tmp_path / "wrote", tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    old = Box(tmp_path / "old", cache)
    old.up()
    try:
        before, made = _furnish_and_back_up(old, wrote, passphrase)
        old.cli("backup", "verify", "--passphrase-file", str(passphrase))
        assert not wrote.exists(), "proving a backup let its flows run"
        (listed,) = old.json("backup", "list")["backups"]
        assert listed["verifiedAt"] and listed["instances"] == 2
        file = shutil.copy(made["file"], tmp_path / "box.weir")
    finally:
        old.down()
    new = Box(tmp_path / "new", cache)
    done = new.cli("backup", "restore", str(file), "--passphrase-file", str(passphrase), "--json", "--yes")
    assert json.loads(done.stdout)["instances"] == ["first", "plant"]
    _waits_for_its_launcher(new, before["id"])
    new.up()
    try:
        _is_as_it_was(new, before, wrote)
    finally:
        new.down()


def _furnish_and_back_up(box: Box, wrote: Path, passphrase: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    file = wrote.with_name("flows.json")
    file.write_text(json.dumps(flows(wrote)))
    box.cli("instance", "create", "plant", "--wait")
    before = box.instance("plant")
    (box.home / "instances" / before["id"] / "recipes.csv").write_text("1;2;3\n")
    box.cli("instance", "stop", "plant", "--wait")
    url = box.instance_url("plant")
    box.cli("instance", "start", "plant", "--wait")
    deploy(box, url, flows(wrote))
    wrote.unlink(missing_ok=True)
    made = box.json("backup", "create", "--passphrase-file", str(passphrase), "--packages", "on")
    assert made["lacks"] == [] and made["passphrase"] and made["verifiedAt"] is None
    assert os.stat(made["file"]).st_mode & 0o777 == 0o600
    wrote.unlink(missing_ok=True)
    return before, made


def deploy(box: Box, url: str, nodes: list[dict[str, Any]]) -> None:
    """As an editor does, after the login."""
    token = editor_token(box.url, url, "admin", box.password, verify=ssl.create_default_context(cafile=box.ca))
    with httpx.Client(
        verify=ssl.create_default_context(cafile=box.ca), timeout=20, headers={"Authorization": f"Bearer {token}"}
    ) as editor:
        answer = editor.post(f"{url}/flows", json=nodes, headers={"Node-RED-Deployment-Type": "full"})
        assert answer.status_code in (200, 204), answer.text


def _waits_for_its_launcher(box: Box, instance: str) -> None:
    """As on an installed box: nobody but the instance writes its files, so its launcher has to take them."""
    from appliance.backup.handed import set_aside

    (box.home / "waits" / "instances").mkdir(parents=True)
    (box.home / "instances" / instance).rename(box.home / "waits" / "instances" / instance)
    set_aside(box.home / "waits", "units")
    (box.home / "waits" / "state" / "handed").rename(box.home / "state" / "handed")


def _is_as_it_was(box: Box, before: dict[str, Any], wrote: Path) -> None:
    after = box.instance("plant")
    assert {key: after[key] for key in ("id", "name", "ports", "createdAt")} == {
        key: before[key] for key in ("id", "name", "ports", "createdAt")
    }
    url = box.instance_url("plant")
    token = editor_token(box.url, url, "admin", box.password, verify=ssl.create_default_context(cafile=box.ca))
    with httpx.Client(
        verify=ssl.create_default_context(cafile=box.ca), timeout=20, headers={"Authorization": f"Bearer {token}"}
    ) as editor:
        nodes = editor.get(f"{url}/flows", headers={"Node-RED-API-Version": "v1"}).json()
        known = editor.get(f"{url}/credentials/mqtt-broker/b1").json()
    assert {node["id"] for node in nodes} == {"t1", "b1", "n1", "n2"}
    assert known == {"user": "u", "has_password": True}, "the credentials did not open"
    directory = box.home / "instances" / before["id"]
    assert (directory / "recipes.csv").read_text() == "1;2;3\n"
    assert not (box.home / "state" / "handed" / f"{before['id']}.tar").exists()
    assert wrote.read_text().strip() == "ran", "the restored box does not run its flows"
    assert any(entry["event"] == "platform.backup.restored" for entry in box.json("audit", "--platform")["log"])
