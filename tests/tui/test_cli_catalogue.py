"""`weir app|type|template|stack|env …`, `weir instance set|copy` as processes, against the appliance's web part."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from appliance.__main__ import _offer
from tests.tui.conftest import Weir, loaded, said
from tests.web_box import WebBox

SECRET = "s3cret-of-the-plant"


async def env(real: WebBox, instance_id: str) -> dict[str, str]:
    document = await real.services.instances.settings_document(instance_id, "launcher")
    return {name: value for name, value in document["env"].items() if not name.startswith("FF_")}


async def test_applications(real: WebBox, weir: Weir) -> None:
    assert await said(weir, "app", "create", "Line two", "--team", "home") == "Line two is made\n"
    assert "Line two" in await said(weir, "app", "list")
    await said(weir, "app", "edit", "Line two", "--name", "Line 2", "--description", "at the gate")
    listed = (await loaded(weir, "app", "list"))["applications"]
    assert [(each["name"], each["description"]) for each in listed][-1] == ("Line 2", "at the gate")
    assert (await weir("app", "delete", "Line 2")).code == 2
    assert await said(weir, "app", "delete", "Line 2", "--yes") == "Line 2 is deleted\n"
    assert (await weir("app", "edit", "Line 2", "--name", "x")).code == 1


async def test_stacks_types_and_the_stack_of_an_instance(real: WebBox, weir: Weir) -> None:
    await real.instance("line-1")
    await said(weir, "stack", "create", "v4", "--node-red", "4.1", "--memory", "96", "--label", "Old one")
    table = await said(weir, "stack", "list")
    assert "Old one" in table and "built" in table
    out = await said(weir, "instance", "set", "line-1", "stack=v4")
    assert "placed anew" in out
    shown = await loaded(weir, "instance", "show", "line-1")
    assert shown["stack"]["properties"] == {"nodered": "4.1.15", "memory": "96", "build": "node-red-4"}
    used = await weir("stack", "delete", "v4", "--yes")
    assert used.code == 1 and "1 instances are of the stack 'v4'" in used.err
    await said(weir, "stack", "edit", "v4", "--active", "off")
    assert "not offered" in await said(weir, "stack", "list")
    await said(weir, "type", "create", "Big", "--order", "2")
    await said(weir, "type", "edit", "Big", "--name", "Large", "--description", "for lines")
    assert "Large" in await said(weir, "type", "list")
    assert await said(weir, "type", "delete", "Large", "--yes") == "Large is deleted\n"
    refused = await weir("stack", "create", "v3", "--node-red", "3")
    assert refused.code == 1 and "builds no Node-RED 3" in refused.err


async def test_a_hidden_variable_by_hand(real: WebBox, weir: Weir) -> None:
    made = await real.instance("line-1")
    out = await said(weir, "env", "set", "line-1", "KEY", "--hidden", stdin=f"{SECRET}\n".encode())
    assert out.startswith("KEY is set\n") and "weir instance restart line-1" in out
    await said(weir, "env", "set", "line-1", "A=1", "B=2=3")
    assert await env(real, made.id) == {"KEY": SECRET, "A": "1", "B": "2=3"}
    table = await said(weir, "env", "list", "line-1")
    assert "hidden" in table and SECRET not in table and "FF_INSTANCE_ID" in table
    assert SECRET not in json.dumps(await loaded(weir, "env", "list", "line-1"))
    await said(weir, "env", "unset", "line-1", "A")
    assert await env(real, made.id) == {"KEY": SECRET, "B": "2=3"}
    assert (await weir("env", "unset", "line-1", "A")).code == 2
    wrong = await weir("env", "set", "line-1", f"{SECRET}=")
    assert wrong.code == 2 and SECRET not in wrong.err
    assert SECRET not in await said(weir, "audit", "line-1", "--csv")


async def test_a_template_is_made_locked_and_gets_variables(real: WebBox, weir: Weir) -> None:
    await said(weir, "template", "create", "strict", "--set", "palette.allowInstall=off", "--lock", "theme")
    await said(weir, "template", "edit", "strict", "--set", "theme=dark", "--description", "for lines")
    await said(weir, "env", "set", "--template", "strict", "KEY", "--hidden", "--lock", stdin=f"{SECRET}\n".encode())
    await said(weir, "template", "edit", "strict", "--unlock", "page.title")  # keeps the hidden value
    shown = await said(weir, "template", "show", "strict")
    assert "dark" in shown and "locked" in shown and SECRET not in shown
    made = await real.instance("line-1", template="strict")
    document = await real.services.instances.settings_document(made.id, "launcher")
    assert document["settings"]["palette"]["allowInstall"] is False and document["env"]["KEY"] == SECRET
    out = await said(weir, "instance", "set", "line-1", "theme=light", "page.title=Line")
    assert "The template keeps its own: theme." in out
    document = await real.services.instances.settings_document(made.id, "launcher")
    assert (document["settings"]["theme"], document["settings"]["page"]["title"]) == ("dark", "Line")
    assert (await weir("template", "delete", "strict", "--yes")).code == 1


async def test_settings_of_an_instance(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    made = await real.instance("line-1")
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    words = ["disableEditor=on", "debugMaxLength=99", "httpNodeAuth.type=basic", "httpNodeAuth.user=u"]
    out = await said(weir, "instance", "set", "line-1", *words, f"httpNodeAuth.pass=@{file}", "crash-policy=retry")
    assert "Now: weir instance restart line-1" in out and SECRET not in out
    document = await real.services.instances.settings_document(made.id, "launcher")
    settings = document["settings"]
    assert (settings["disableEditor"], settings["debugMaxLength"]) == (True, 99)
    assert settings["httpNodeAuth"]["pass"].startswith("$2b$") and document["weir"]["crashPolicy"] == "retry"
    await said(
        weir, "instance", "create", "line-9", "--stack", "node-red-5", "--template", "Default", "--type", "Default"
    )
    refused = await weir("instance", "create", "line-8", "--stack", "nowhere")
    assert refused.code == 1 and "nowhere" in refused.err
    await said(weir, "instance", "set", "line-1", "disableEditor=default")
    assert "disableEditor" not in (await loaded(weir, "instance", "show", "line-1"))["settings"]
    for word in (
        f"httpNodeAuth.pass={SECRET}",
        "disableEditor=maybe",
        "odd=1",
        "palette.modules=[",
        "debugMaxLength=x",
    ):
        assert (await weir("instance", "set", "line-1", word)).code == 2, word


async def test_a_copy_of_an_instance(real: WebBox, weir: Weir) -> None:
    await real.instance("line-1")
    await said(weir, "env", "set", "line-1", "A=1")
    out = await said(weir, "instance", "copy", "line-1", "line-2")
    assert out.startswith("line-2 is made and starts: https://")
    copied = await loaded(weir, "instance", "show", "line-2")
    assert await env(real, copied["id"]) == {"A": "1"}
    await said(weir, "env", "set", "line-1", "B=2")
    assert (await weir("instance", "copy", "line-1", "line-2", "--over")).code == 2
    over = ("instance", "copy", "line-1", "line-2", "--over", "--yes", "--env", "keys")
    assert "restarts" in await said(weir, *over)
    assert await env(real, copied["id"]) == {"A": "", "B": ""}


async def test_a_box_that_runs_is_told_what_was_built(
    real: WebBox, weir: Weir, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        await asyncio.to_thread(_offer, real.context.home, "node-red-4")
    assert capsys.readouterr().out == "Instances can run on it: weir instance set NAME stack=node-red-4\n"
    names = [each["name"] for each in (await loaded(weir, "stack", "list"))["stacks"]]
    assert names == ["node-red-5", "node-red-4"]
