"""`weir snapshot …` as processes, against the appliance's real web part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS
from appliance.services import credentials
from appliance.store import instances
from tests.tui.conftest import Weir
from tests.web_box import WebBox

FIRST, SECOND = [{"id": "t1", "type": "tab", "label": "Line"}], [{"id": "t1", "type": "tab", "label": "Line 2"}]


async def said(weir: Weir, *arguments: str, **fields: Any) -> str:
    done = await weir("snapshot", *arguments, **fields)
    assert done.code == 0, (arguments, done.out, done.err)
    return done.out


async def deploy(box: WebBox, instance_id: str, flows: list[dict[str, str]], secrets: dict[str, Any]) -> None:
    sealed = await box.context.store.read(lambda tx: instances.sealed_secret(tx, instance_id))
    secret = box.context.box.unseal(SEALED_FOR_CREDENTIALS, instance_id, str(sealed))
    await box.services.storage.put(instance_id, "flows", json.dumps(flows).encode())
    cipher = {"$": credentials.encrypt(json.dumps(secrets).encode(), secret)}
    await box.services.storage.put(instance_id, "credentials", json.dumps(cipher).encode())


async def test_keep_compare_put_back_and_undo(real: WebBox, weir: Weir) -> None:
    made = await real.instance("line-1")
    await deploy(real, made.id, FIRST, {"n1": {"password": "swordfish"}})
    assert "No snapshots yet" in await said(weir, "list", "line-1")
    assert (await said(weir, "create", "line-1", "--name", "good", "--description", "it worked")).endswith("  good\n")
    assert "it worked" in await said(weir, "list", "line-1")
    shown = await said(weir, "show", "line-1", "good")
    assert "1 tabs, 1 nodes" in shown and "swordfish" not in await said(weir, "show", "line-1", "good", "--json")
    assert await said(weir, "diff", "line-1", "good") == "Nothing changed.\n"
    await deploy(real, made.id, SECOND, {})
    assert await said(weir, "diff", "line-1", "good") == "~ tab Line 2\n      label: Line → Line 2\n"
    assert "automatic" in await said(weir, "restore", "line-1", "good")
    assert json.loads(await real.services.storage.get(made.id, "flows") or b"") == FIRST
    (auto, good) = json.loads(await said(weir, "list", "line-1", "--json"))["snapshots"]
    assert auto["automatic"] and good["name"] == "good"
    changes = json.loads(await said(weir, "diff", "line-1", "good", auto["id"], "--json"))
    assert changes["count"] == 1 and changes["changes"][0]["kind"] == "tab"
    await said(weir, "restore", "line-1", auto["name"], "--json")
    assert json.loads(await real.services.storage.get(made.id, "flows") or b"") == SECOND
    await said(weir, "edit", "line-1", "good", "--name", "better")
    refused = await weir("snapshot", "delete", "line-1", "better")
    assert refused.code == 2 and "--yes" in refused.err
    assert await said(weir, "delete", "line-1", "better", "--yes") == "better is deleted\n"
    gone = await weir("snapshot", "show", "line-1", "better")
    assert gone.code == 1 and "weir snapshot list line-1" in gone.err


async def test_a_file_travels_and_its_secret_stays_out_of_sight(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    one, two = await real.instance("line-1"), await real.instance("line-2")
    await deploy(real, one.id, FIRST, {"n1": {"password": "swordfish"}})
    await said(weir, "create", "line-1", "--name", "good")
    refused = await weir("snapshot", "export", "line-1", "good")
    assert refused.code == 2 and "--secret-file" in refused.err
    secret, file = tmp_path / "secret", tmp_path / "good.json"
    secret.write_text("travelling\n")
    await said(weir, "export", "line-1", "good", "--secret-file", str(secret), "-o", str(file))
    assert file.stat().st_mode & 0o777 == 0o600 and b"swordfish" not in file.read_bytes()
    wrong = await weir("snapshot", "import", "line-2", str(file), env={"WEIR_SNAPSHOT_SECRET": "another"})
    assert wrong.code == 1 and "secret" in wrong.err
    assert "No snapshots" in await said(weir, "list", "line-2")
    came = await said(
        weir, "import", "line-2", str(file), "--name", "theirs", env={"WEIR_SNAPSHOT_SECRET": "travelling"}
    )
    assert "theirs" in came and "weir snapshot restore line-2" in came
    await said(weir, "restore", "line-2", "theirs")
    assert json.loads(await real.services.storage.get(two.id, "flows") or b"") == FIRST
    without = json.loads(await said(weir, "export", "line-1", "good", "--without-credentials", "--json"))
    assert "credentials" not in without["flows"]


async def test_flows_as_node_red_exports_them_are_taken_and_nonsense_is_not(
    real: WebBox, weir: Weir, tmp_path: Path
) -> None:
    await real.instance("line-1")
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(FIRST))
    assert "plain" in await said(weir, "import", "line-1", str(plain))
    assert "line" in await said(weir, "import", "line-1", "-", "--name", "line", stdin=json.dumps(FIRST).encode())
    for text in ("", "nonsense", "5", '{"name": "x"}', '[{"id":"a"},{"id":"a"}]', "[" * 5000 + "]" * 5000):
        plain.write_text(text)
        bad = await weir("snapshot", "import", "line-1", str(plain))
        assert bad.code == 1 and bad.err.startswith("weir: ") and "Traceback" not in bad.err, (text[:20], bad.err)
    missing = await weir("snapshot", "import", "line-1", str(tmp_path / "none.json"))
    assert missing.code == 1 and "cannot read" in missing.err
    listed = msgspec.json.decode(await said(weir, "list", "line-1", "--json"))
    assert listed["count"] == 2


async def test_tokens_for_the_endpoints_of_flows(real: WebBox, weir: Weir) -> None:
    made = await real.instance("line-1")

    async def run(*arguments: str) -> str:
        done = await weir("http-token", *arguments)
        assert done.code == 0, (arguments, done.out, done.err)
        return done.out

    assert "No tokens yet" in await run("list", "line-1")
    token = (await run("create", "line-1", "plc", "--expires", "30d")).strip()
    assert token.startswith("ffhttp_")
    async with real.client("tcp", token).get(f"/account/check/http/{made.id}") as answer:
        assert answer.status == 200
    assert "plc" in await run("list", "line-1") and token not in await run("list", "line-1", "--json")
    await run("edit", "line-1", "plc", "--rename", "plc 2", "--expires", "never")
    assert "never" in await run("list", "line-1")
    refused = await weir("http-token", "delete", "line-1", "plc")
    assert refused.code == 1 and "http-token list line-1" in refused.err
    assert "half a minute" in await run("delete", "line-1", "plc 2", "--yes")
