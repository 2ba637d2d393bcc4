"""`weir library` and `weir search` as processes, against the appliance's real web part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.model import Role
from tests.tui.conftest import Weir, loaded, said
from tests.web_box import WebBox

# A verb of every group that changes nothing, for a box elsewhere.
READ = [
    ("status",),
    ("problems",),
    ("audit",),
    ("instance", "list"),
    ("name", "list"),
    ("stack", "list"),
    ("template", "list"),
    ("type", "list"),
    ("app", "list"),
    ("team", "list"),
    ("team", "member", "list", "home"),
    ("team", "invitation", "list"),
    ("user", "list"),
    ("settings", "show"),
    ("token", "list"),
    ("library", "list"),
    ("search", "line"),
    ("snapshot", "list", "line-1"),
    ("http-token", "list", "line-1"),
    ("env", "list", "line-1"),
]


async def test_an_entry_from_its_keeping_to_its_end(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    assert "No entries" in await said(weir, "library", "list")
    flows, function = tmp_path / "pump.json", tmp_path / "double.js"
    flows.write_text('[{"id":"a","type":"inject"}]')
    function.write_text("return msg; // 2 × ü\n")
    assert await said(weir, "library", "put", "line/pump", str(flows)) == "line/pump is kept as flows\n"
    assert await said(weir, "library", "put", "a 50% _b_", str(function)) == "a 50% _b_ is kept as functions\n"
    assert await said(weir, "library", "get", "a 50% _b_") == "return msg; // 2 × ü\n"
    out = tmp_path / "out.json"
    await said(weir, "library", "get", "line/pump", "-o", str(out))
    assert json.loads(out.read_text()) == [{"id": "a", "type": "inject"}] and out.stat().st_mode & 0o777 == 0o600
    listed = await loaded(weir, "library", "list", "--team", "home")
    assert [(each["name"], each["type"]) for each in listed["entries"]] == [
        ("a 50% _b_", "functions"),
        ("line/pump", "flows"),
    ]
    assert "line/pump" not in await said(weir, "library", "list", "--type", "functions")
    assert await said(weir, "library", "move", "line", "old") == "line is old now\n"
    refused = await weir("library", "get", "line/pump")
    assert refused.code == 1 and "nothing called 'line/pump'" in refused.err
    assert (await weir("library", "delete", "old")).code == 2
    assert await said(weir, "library", "delete", "old", "--yes") == "old is deleted\n"
    assert (await loaded(weir, "library", "list"))["count"] == 1


async def test_what_can_be_no_entry_changes_nothing(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    assert (await weir("library", "put", "a", str(wrong))).code == 2
    wrong.write_text("[" * 10_000 + "]" * 10_000)
    assert "no list of nodes" in (await weir("library", "put", "a", str(wrong))).err
    assert (await weir("library", "put", "a", "/nowhere/at/all")).code == 2
    refused = await weir("library", "put", "a//b", "-", stdin=b"return msg;")
    assert refused.code == 1 and "can't be a path" in refused.err and "single slashes" in refused.err
    assert (await loaded(weir, "library", "list"))["count"] == 0


async def test_a_search_finds_applications_and_instances(real: WebBox, weir: Weir) -> None:
    await real.instance("pump-7")
    assert "pump-7" in await said(weir, "search", "PUMP")
    found = (await loaded(weir, "search", "app"))["results"]
    assert [each["object"] for each in found] == ["application"]
    assert "Nothing is called so" in await said(weir, "search", "%")


async def test_every_group_speaks_to_a_box_elsewhere(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    await real.instance("line-1")
    token = tmp_path / "token"
    chief = await real.person("chief", Role.OWNER, admin=True)
    token.write_text(await real.token(chief, admin_opt_in=True))
    remote = ("--url", f"http://127.0.0.1:{real.port}", "--token", f"@{token}", "--home", "")
    for command in READ:
        done = await weir(*remote, *command, "--json", env={"WEIR_HOME": "/nowhere"})
        assert done.code == 0, (command, done.err)
        json.loads(done.out)


@pytest.mark.parametrize("spoken", [("token", "create", "mine")])
async def test_a_made_token_is_in_the_object(real: WebBox, weir: Weir, spoken: tuple[str, ...]) -> None:
    assert (await loaded(weir, *spoken))["token"].startswith("ffpat_")
