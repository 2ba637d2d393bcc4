"""The page of an instance and the wizard, on the appliance's real web part: keys are pressed, the API is asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.model import Role
from appliance.schema.common import Page
from appliance.schema.instances import Instance
from tests.support import eventually
from tests.tui.rig import FAST, command, page, reads, screens, typed
from tests.web_box import WebBox, web_box
from tui.profile import Profile

TAB = {"id": "t1", "type": "tab", "label": "Boiler [bold]house\x1b[2J"}
FLOWS = [
    TAB,
    {"id": "t2", "type": "tab", "label": "Line 1", "disabled": True},
    {"id": "n1", "type": "inject", "z": "t1", "name": "every minute", "wires": [["n2"]]},
    {"id": "n2", "type": "function", "z": "t1", "name": "calc", "func": "return swordfish;", "wires": [[]]},
    {"id": "c1", "type": "mqtt-broker", "name": "broker", "broker": "mqtt.example"},
]


@pytest.fixture
async def real(home: Path) -> AsyncIterator[WebBox]:
    async with web_box(home) as box:
        yield box


def socket(box: WebBox) -> Path:
    return box.context.home.api_socket


async def deploy(box: WebBox, made: Instance, flows: list[dict[str, Any]]) -> None:
    await box.services.storage.put(made.id, "flows", json.dumps(flows).encode())


async def flows_of(box: WebBox, made: Instance) -> Any:
    return json.loads(await box.services.storage.get(made.id, "flows") or b"[]")


async def env_of(box: WebBox, made: Instance) -> dict[str, Any]:
    settings = (await box.services.instances.get(made.id)).settings
    return {each["name"]: each for each in settings["env"] if not each.get("platform")}


async def test_tabs_by_number_and_history(real: WebBox) -> None:
    made = await real.instance("plant")
    await deploy(real, made, FLOWS)
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "plant")
        await pilot.press("enter")
        await reads(app, "inst > plant", "1 overview 2 logs", "after crashes", "made of", made.url)
        await pilot.press("3")
        await reads(app, "Boiler", "2 tabs, 3 nodes")
        await pilot.press("9")
        await reads(app, "nothing: it does not run", "256 MB, of the stack")
        await pilot.press("left_square_bracket")
        await reads(app, "Boiler")
        await pilot.press("right_square_bracket")
        await reads(app, "nothing: it does not run")
        await pilot.press("minus", "minus")
        await reads(app, "nothing: it does not run")
        assert len(app.path) == 2, "tabs lie beside each other"
        await pilot.press("escape")
        await reads(app, "STATE")
        await command(pilot, "flows plant")
        await reads(app, "Boiler")


async def test_flows_open_close_search_and_show_all_of_a_node(real: WebBox) -> None:
    made = await real.instance("plant")
    await deploy(real, made, FLOWS)
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "plant")
        await pilot.press("enter", "3")
        whole = await reads(app, "+ Boiler [bold]house\\x1b[2J", "tab (off)", "used by all", without="every minute")
        assert "\x1b" not in whole
        await pilot.press("enter")
        await reads(app, "every minute", "calc")
        await pilot.press("j", "j", "enter")
        await reads(app, "func", "return swordfish;", "Boiler", "output 1")
        await pilot.press("escape", "a", "a")
        await reads(app, "Boiler", without="calc")
        await pilot.press("slash")
        await typed(pilot, "swordfish")
        await reads(app, "Boiler", "calc", without="every minute")
        await pilot.press("slash", *["backspace"] * 9)
        await typed(pilot, "no such")
        await reads(app, "no node has /no such")


async def test_flows_follow_a_deploy(real: WebBox) -> None:
    made = await real.instance("plant")
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "plant")
        await pilot.press("enter", "3")
        await reads(app, "nothing was deployed yet")
        await deploy(real, made, FLOWS[:1])
        await pilot.press("ctrl+r")
        await reads(app, "Boiler", "1 tab, 0 nodes")


async def test_a_snapshot_is_kept_compared_put_back_and_deleted(real: WebBox) -> None:
    made = await real.instance("plant")
    await deploy(real, made, FLOWS)
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "plant")
        await pilot.press("enter", "4")
        await reads(app, "no snapshots yet")
        await pilot.press("c", *["backspace"] * 20)
        await typed(pilot, "good")
        await reads(app, "good is kept")
        assert [each.name for each in (await real.services.snapshots.list(made.id)).snapshots] == ["good"]
        changed = [{**TAB, "label": "Cellar"}, *FLOWS[1:4]]
        await deploy(real, made, changed)
        await pilot.press("enter")
        await reads(app, "from good to now", "tab Cellar", "label:", "> Cellar", "node mqtt-broker broker", "1 removed")
        await pilot.press("escape", "R")
        await typed(pilot, "god")
        await reads(app, "nothing was done")
        assert await flows_of(real, made) == changed
        await pilot.press("R")
        await typed(pilot, "good")
        await eventually(lambda: _is(flows_of(real, made), FLOWS))
        await reads(app, "automatic")
        await pilot.press("g", "space", "d")
        await reads(app, "from good to Auto", "1 removed")
        await pilot.press("escape", "U", "G", "x")
        await typed(pilot, "good")
        await eventually(lambda: _names(real, made, 1))


async def _is(asked: Any, wanted: Any) -> bool:
    return bool(await asked == wanted)


async def _names(box: WebBox, made: Instance, count: int) -> bool:
    return len((await box.services.snapshots.list(made.id)).snapshots) == count


async def test_variables_are_added_changed_hidden_and_taken_away(real: WebBox) -> None:
    made = await real.instance("plant")
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "plant")
        await pilot.press("e")
        await reads(app, "FF_INSTANCE_ID", "by the platform")
        await pilot.press("a")
        await typed(pilot, "WAGE=a =b")
        await reads(app, "WAGE is set, in force from the next start", "a =b")
        assert (await env_of(real, made))["WAGE"]["value"] == "a =b"
        await pilot.press("g", "enter", "backspace")
        await typed(pilot, "cd")
        await reads(app, "a =cd")
        await pilot.press("H")
        await reads(app, "(hidden)", without="a =cd")
        assert (await env_of(real, made))["WAGE"]["hidden"] is True
        await pilot.press("enter")
        await typed(pilot, "sesame")
        whole = await reads(app, "WAGE is changed")
        assert "sesame" not in whole
        await pilot.press("a")
        await typed(pilot, "9x=1")
        await reads(app, "that is no variable", without="9x")
        await pilot.press("G", "enter")
        await reads(app, "the platform sets this one")
        await pilot.press("g", "x")
        await typed(pilot, "WAGE")
        await reads(app, "WAGE is gone")
        assert await env_of(real, made) == {}


async def test_a_value_of_several_lines_is_edited_in_place(real: WebBox) -> None:
    made = await real.instance("plant")
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "plant")
        await app.client.put(f"/projects/{made.id}", {"settings": {"env": [{"name": "KEY", "value": "one\ntwo"}]}})
        await pilot.press("e")
        await reads(app, "one\\x0atwo")
        await pilot.press("g", "enter")  # the cursor stays at its row when another one comes before it
        await reads(app, "^S take")
        await pilot.press("x", "q", "ctrl+s")
        await eventually(lambda: _value(real, made, "KEY", "xqone\ntwo"))


async def _value(box: WebBox, made: Instance, name: str, value: str) -> bool:
    return bool((await env_of(box, made))[name]["value"] == value)


async def test_settings_are_changed_and_refusals_told(real: WebBox) -> None:
    made = await real.instance("plant")
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "plant")
        await pilot.press("enter", "6")
        await reads(app, "crash-policy", "safe")
        await pilot.press("j", "j", "j", "enter")
        await typed(pilot, "stop")
        await reads(app, "crash-policy is changed")
        assert (await real.services.instances.get(made.id)).launcher_settings["crashPolicy"] == "stop"
        await pilot.press("enter")
        await typed(pilot, "never")
        await reads(app, "crash-policy can't be 'never'")
        await pilot.press("g", "enter", *["backspace"] * 5)
        await typed(pilot, "plant-2")
        await reads(app, "inst > plant-2")
        assert (await real.services.instances.get(made.id)).name == "plant-2"


async def test_access_history_and_their_details(real: WebBox) -> None:
    await real.instance("plant")
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "plant")
        await pilot.press("enter", "7")
        whole = await reads(app, "https://localhost:10000/", "█▀▄")
        await pilot.press("j", "j")
        await eventually(lambda: "\n".join(page(app)) != whole)
        await pilot.press("8")
        await reads(app, "project.created", "root")
        await pilot.press("enter")
        await reads(app, "event", '"name": "plant"')


async def test_ascii_has_no_picture_but_says_why(real: WebBox) -> None:
    await real.instance("plant")
    async with screens(socket(real), profile=Profile(ascii=True, repaint_s=0.01)) as (app, pilot):
        await reads(app, "plant")
        await pilot.press("enter", "7")
        assert (await reads(app, "https://localhost", "needs a terminal with UTF-8")).isascii()


async def test_deleting_needs_the_name(real: WebBox) -> None:
    made = await real.instance("plant")
    await real.instance("second")
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "second")
        await pilot.press("ctrl+d")
        await reads(app, "type plant to delete it")
        await typed(pilot, "second")
        await reads(app, "nothing was done")
        await pilot.press("ctrl+d", "escape", "ctrl+d")
        await typed(pilot, "plant")
        await eventually(lambda: _desired(real, made, "deleting"))


async def _desired(box: WebBox, made: Instance, wanted: str) -> bool:
    return bool((await box.services.instances.get(made.id)).desired == wanted)


async def test_marks_make_an_action_mean_several(real: WebBox) -> None:
    made = [await real.instance(f"plant-{number}") for number in range(3)]
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "plant-2")
        await pilot.press("space", "space", "t")
        await reads(app, "2 instances: stopping")
        for each, wanted in zip(made, ("stopped", "stopped", "running"), strict=True):
            await eventually(lambda each=each, wanted=wanted: _desired(real, each, wanted))
        await pilot.press("ctrl+d")
        await reads(app, "type delete 2 to delete them with")
        await pilot.press("escape", "escape")
        await reads(app, without="marked")


@pytest.mark.parametrize(("role", "may"), [(Role.VIEWER, False), (Role.MEMBER, False), (Role.OWNER, True)])
async def test_who_may_not_does_not_see_it(real: WebBox, role: Role, may: bool) -> None:
    made = await real.instance("plant")
    token = await real.token(await real.person("ann", role))
    async with screens(socket(real), token=token) as (app, pilot):
        await reads(app, "plant", *(["t stop"] if may else []))
        await eventually(lambda: app.known.may("project:read"))
        assert ("t stop" in page(app)[-1]) is may and "l logs" in page(app)[-1]
        await pilot.press("t")
        await command(pilot, "stop plant")
        if not may:
            await reads(app, "'stop' is no command")
            await pilot.press("ctrl+d")
            await reads(app, "your role does not let you delete", without="type plant")
        await eventually(lambda: _desired(real, made, "stopped" if may else "running"))
        await pilot.press("question_mark")
        whole = await reads(app, "Keys")
        assert ("restart its flows" in whole) is may


async def test_a_role_that_is_taken_away_is_learned(real: WebBox) -> None:
    await real.instance("plant")
    user = await real.person("ann", Role.OWNER)
    async with screens(socket(real), token=await real.token(user)) as (app, pilot):
        await reads(app, "plant", "t stop")
        team = (await real.services.teams.teams(Page())).teams[0]
        await real.person("other", Role.OWNER)
        await app_change_role(real, team.id, user.id, Role.VIEWER)
        await pilot.press("t")
        await reads(app, "needs the role owner", without="t stop")


async def app_change_role(box: WebBox, team: str, user: str, role: Role) -> None:
    from appliance.schema.members import ChangeMember

    await box.services.directory.members.change(box.root, team, user, ChangeMember(role=int(role)))


async def test_the_wizard_makes_what_was_filled_in(real: WebBox, tmp_path: Path) -> None:
    await real.instance("taken")
    file = tmp_path / "flows.json"
    file.write_text(json.dumps(FLOWS))
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "taken")
        await pilot.press("c")
        await reads(app, "Home / First application", "empty flows", "make it and start it")
        await pilot.press("S")
        await reads(app, "an instance needs a name")
        await pilot.press("g", "enter", *"9x")
        await reads(app, "a letter first")
        await pilot.press(*["backspace"] * 2, *"taken")
        await reads(app, "Name: taken", "already")
        await typed(pilot, "-2")
        await pilot.press("j", "j", "j", "j", "j", "right", "right")
        await reads(app, "a file of flows")
        await pilot.press("j", "enter")
        await typed(pilot, str(tmp_path / "none"))
        await pilot.press("S")
        await reads(app, "no such file")
        await pilot.press("enter", *["backspace"] * len(str(tmp_path / "none")))
        await typed(pilot, str(file))
        await pilot.press("S")
        await reads(app, "making taken-2", "instance is made", "0.", " s", "launcher starts")
        (made,) = [each for each in (await real.services.instances.list(real.root)).instances if each.name == "taken-2"]
        assert await flows_of(real, made) == FLOWS
        await pilot.press("enter")
        await reads(app, "inst > taken-2")


async def test_the_wizard_takes_over_a_node_red_and_a_snapshot(real: WebBox, tmp_path: Path) -> None:
    first = await real.instance("first")
    await deploy(real, first, FLOWS)
    (tmp_path / "flows_pi.json").write_text(json.dumps(FLOWS[:2]))
    async with screens(socket(real)) as (app, pilot):
        await reads(app, "first")
        await command(pilot, "snapshot")  # of the snapshots' screen: here it is refused
        await reads(app, "is for snapshots")
        await pilot.press("enter", "4", "c")
        await pilot.press("enter")
        await reads(app, "is kept")
        for name, presses in (("copy", ["right"]), ("taken", ["left"])):
            await pilot.press("escape", "escape")
            await command(pilot, "create")
            await reads(app, "Home / First application")
            await pilot.press("g", "enter")
            await typed(pilot, name)
            await pilot.press("j", "j", "j", "j", "j", *presses)
            if name == "taken":
                await pilot.press("j", "enter")
                await typed(pilot, str(tmp_path))
            else:
                await eventually(lambda: "newest first" in "\n".join(page(app)))
                await pilot.press("j", "j")
                await eventually(lambda: page(app)[9].split()[1:2] not in ([], ["newest"]))
            await pilot.press("S")
            await reads(app, f"making {name}", "launcher starts")
            await eventually(lambda name=name: _flows_are(real, name, FLOWS if name == "copy" else FLOWS[:2]))


async def _flows_are(box: WebBox, name: str, wanted: Any) -> bool:
    found = [each for each in (await box.services.instances.list(box.root)).instances if each.name == name]
    return bool(found) and await flows_of(box, found[0]) == wanted


async def test_who_came_by_a_ticket_reads_and_writes_no_files_here(real: WebBox) -> None:
    await real.instance("plant")
    ticket = msgspec.structs.replace(FAST, files=False)
    async with screens(socket(real), profile=ticket) as (app, pilot):
        await reads(app, "plant")
        await pilot.press("c")
        await reads(app, "Start from")
        await pilot.press("j", "j", "j", "j", "j", "left")
        await reads(app, "a snapshot", without="existing")
        await pilot.press("escape", "l", "s")
        await reads(app, "files are not written here")
