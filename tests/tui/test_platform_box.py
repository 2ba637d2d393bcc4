"""Audit, problems, host, settings of the platform and known boxes on the screens, against a real appliance."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.model import Role
from tests.people_box import People, people_box
from tests.support import eventually, free_port
from tests.tui.bad_line import bad_line
from tests.tui.conftest import Weir
from tests.tui.platform_rig import NASTY, at, fills, goes, reads, typed
from tests.tui.rig import screens
from tui import boxes
from tui.screens import audit


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        yield found


async def test_the_audit_log_is_filtered_paged_and_saved(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 5)
    for number in range(8):
        body = {"name": f"app {number} {NASTY}", "teamId": people.team}
        await people.root.ok("POST", "/applications", body)
    olga = await people.add("olga", Role.OWNER)
    await olga.ok("PUT", f"/teams/{people.team}", {"name": "Renamed"})
    async with at(people, olga) as (app, pilot):
        frame: Any
        await goes(pilot, "audit")
        await reads(app, "team.settings.updated", "olga", "asks for older")
        assert len(app.frame.items) == 5  # type: ignore[attr-defined]
        await pilot.press("o")
        await eventually(lambda: len(app.frame.items) == 10)  # type: ignore[attr-defined]
        await pilot.press("v")
        await typed(pilot, "application.created", clear=True)
        await reads(app, "application.created", "app 7 [red]x[/]", without="team.settings")
        frame = app.frame
        await eventually(lambda: len(frame.items) == 5 and {each.event for each in frame.items.values()})
        assert {each.event for each in frame.items.values()} == {"application.created"}
        await pilot.press("v")
        await typed(pilot, "", clear=True)
        await pilot.press("w")
        await typed(pilot, "olga", clear=True)
        await eventually(lambda: {each.trigger.name for each in frame.items.values()} == {"olga"})
        await pilot.press("enter")
        await reads(app, "by way of", "Renamed")
        await pilot.press("escape", "w")
        await typed(pilot, "", clear=True)
        await pilot.press("t")
        await typed(pilot, "never", clear=True)
        await reads(app, "'never' is no time")
        await pilot.press("t")
        await typed(pilot, "2099-01-01", clear=True)
        await reads(app, "nothing of that is recorded")
        await pilot.press("t")
        await typed(pilot, "", clear=True)
        file = tmp_path / "audit.csv"
        await pilot.press("s")
        await typed(pilot, str(file), clear=True)
        await eventually(file.exists)
        rows = list(csv.DictReader(file.read_text().splitlines()))
        assert sum(row["event"] == "application.created" for row in rows) == 8


async def test_an_answer_that_comes_after_another_question_is_not_shown(people: People, tmp_path: Path) -> None:
    """Over a slow line people type the next filter before the rows of the last one are there."""
    for number in range(3):
        await people.root.ok("POST", "/applications", {"name": f"app {number}", "teamId": people.team})
    olga = await people.add("olga", Role.OWNER)
    await olga.ok("PUT", f"/teams/{people.team}", {"name": "Renamed"})
    async with (
        bad_line(people.box.context.home.api_socket, tmp_path / "line.sock") as line,
        screens(line.socket) as (app, pilot),
    ):
        await eventually(lambda: app.known.loaded and app.known.rights.may("box:status"))
        await goes(pilot, "audit")
        await reads(app, "application.created", "olga")
        frame: Any = app.frame
        line.delay_s = 1.0
        line.asked.clear()
        await pilot.press("v")
        await typed(pilot, "application.created", clear=True)
        await eventually(lambda: line.asked, what="the box is asked for the first")
        await pilot.press("v")
        await typed(pilot, "", clear=True)
        await pilot.press("w")
        await typed(pilot, "olga", clear=True)
        await eventually(lambda: {each.trigger.name for each in frame.items.values()} == {"olga"})


async def test_the_platforms_log_is_for_administrators(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "audit platform")
        await reads(app, "audit platform", "platform.team.created")
        await pilot.press("T")
        await typed(pilot, "nowhere")
        await reads(app, "there is no team 'nowhere'")
    olga = await people.add("olga", Role.OWNER)
    async with at(people, olga) as (app, pilot):
        await goes(pilot, "audit platform")
        await reads(app, "needs the role admin")


async def test_a_problem_is_explained_and_repaired(people: People) -> None:
    made = await people.box.instance("plant-a")
    await people.root.ok("POST", f"/projects/{made.id}/actions/stop")
    conditions = people.box.services.box._conditions
    conditions.raise_(
        f"instance_failing:{made.id}",
        title="plant-a keeps failing",
        cause=NASTY,
        evidence="exit 1",
        next_step="Look at its log",
        about=made.id,
    )
    viewer = await people.add("vera", Role.VIEWER)
    async with at(people, viewer) as (app, pilot):
        await goes(pilot, "problems")
        await reads(app, "plant-a keeps failing", "[red]x[/] 計計", "Look at its log", without="start it again now")
        await pilot.press("f")
        await reads(app, "nothing can be done about this one from here")
    async with at(people) as (app, pilot):
        await goes(pilot, "problems")
        await reads(app, "start it again now")
        await pilot.press("i")
        await reads(app, "plant-a", "1 overview")
        await pilot.press("escape", "f")
        await typed(pilot, "plant-a")
        await reads(app, "plant-a: asked the box to restart it")
        assert (await people.root.ok("GET", f"/instances/{made.id}"))["desired"] == "running"
        conditions.clear(f"instance_failing:{made.id}")
        await reads(app, "no problem is known")


async def test_the_host_and_its_names(people: People, weir: Weir) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "host")
        await reads(app, "processors", "memory", "disk", "temperature", "slowed down", "clock")
        await reads(app, "none: systemd does not run this box", "broker", "switched off", "backups", "none yet")
        await pilot.press("a")
        await typed(pilot, "plant.example:9443")
        await reads(app, "browsers may reach the box as plant.example:9443")
        names = (await people.root.ok("GET", "/box/names"))["names"]
        assert ("plant.example", 9443) in [(each["name"], each["port"]) for each in names]
        await pilot.press("G")
        await reads(app, "plant.example:9443")
        await eventually(lambda: (app.frame.table.key or "").startswith("names"))  # type: ignore[attr-defined]
        await pilot.press("x")
        await typed(pilot, "plant.example:9443")
        await reads(app, "is taken back")
        names = (await people.root.ok("GET", "/box/names"))["names"]
        assert "plant.example" not in [each["name"] for each in names]
    machine = await people.root.ok("GET", "/box/machine")
    assert machine["cpus"] >= 1 and machine["disks"][0]["totalBytes"] > 0
    done = await weir("host")
    assert done.code == 0 and "processors" in done.out
    assert '"memoryTotalBytes"' in (await weir("host", "--json")).out


async def test_the_platforms_settings(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "platform")
        await reads(app, "team:create", "off")
        table: Any = app.frame.table  # type: ignore[attr-defined]
        table.move_to(table.keys.index("team:create"))
        await pilot.press("enter")
        await typed(pilot, "on")
        await reads(app, "team:create is on")
        assert (await people.root.ok("GET", "/settings"))["team:create"] is True
        table.move_to(table.keys.index("user:tcs-url"))
        await pilot.press("enter")
        await typed(pilot, "nonsense")
        await reads(app, "takes an address of the web")
        table.move_to(table.keys.index("telemetry:enabled"))
        await pilot.press("enter")
        await reads(app, "stands still on this box")


async def test_another_box_is_added_gone_to_and_forgotten(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("WEIR_TOKEN", "ffpat_of_another_box")
    olga = await people.add("olga", Role.OWNER)
    token = tmp_path / "token"
    token.write_text(f"{olga.token}\n")
    url = f"http://127.0.0.1:{people.box.port}"
    async with at(people) as (app, pilot):
        await goes(pilot, "box")
        await reads(app, "no other box is known")
        await pilot.press("c")
        await fills(pilot, {"name": "plant", "url": url, "token_file": str(tmp_path / "nothing")})
        await reads(app, "there is no such file")
        await fills(pilot, {"token_file": str(token)})
        await reads(app, "plant is known", url)
        file = tmp_path / "config" / "weir" / "boxes.toml"
        assert (olga.token or "") not in file.read_text()
        assert file.stat().st_mode & 0o077 == 0
        await goes(pilot, "box nowhere")
        await reads(app, "no box is known as 'nowhere'")
        assert app.next_box is None
        await pilot.press("enter")
        await eventually(lambda: app.next_box is not None and not app.is_running)
        assert app.next_box is not None
        assert (app.next_box.base_url, app.next_box.token) == (url, olga.token)
    async with at(people) as (app, pilot):
        await goes(pilot, "box")
        await reads(app, "plant", url)
        boxes.add(os.environ, "gone", boxes.KnownBox(url=f"http://127.0.0.1:{free_port()}"))
        await goes(pilot, "box gone")
        await reads(app, "does not answer")
        assert app.next_box is None and app.is_running
        boxes.forget(os.environ, "gone")
        await pilot.press("x")
        await typed(pilot, "plant")
        await reads(app, "plant is forgotten", "no other box is known")
        assert boxes.read({"XDG_CONFIG_HOME": str(tmp_path / "config")}).known == {}


async def test_the_command_line_knows_them_too(people: People, weir: Weir, tmp_path: Path) -> None:
    olga = await people.add("olga", Role.OWNER)
    (tmp_path / "token").write_text(olga.token or "")
    (tmp_path / "boxes.toml").write_text(
        f'# mine\n[boxes.plant]\nurl = "http://127.0.0.1:{people.box.port}"\ntoken_file = "{tmp_path}/token"\n'
    )
    env = {"WEIR_BOXES": str(tmp_path / "boxes.toml"), "WEIR_TOKEN": "ffpat_wrong"}
    done = await weir("--box", "plant", "team", "list", env=env)
    assert (done.code, "owner" in done.out) == (0, True), done
    done = await weir("--box", "moon", "team", "list", env=env)
    assert done.code == 2 and "There are" not in done.err and "plant" in done.err


async def test_the_same_screens_over_a_url_as_the_tokens_owner(people: People) -> None:
    await people.box.instance("plant-a")
    olga = await people.add("olga", Role.OWNER)
    async with at(people, olga) as (app, pilot):
        await reads(app, "plant-a")
        await pilot.press("S")
        await eventually(lambda: people.box.pokes)
        assert "shell" not in app.words() and "restart" in app.words()
        await goes(pilot, "shell plant-a")
        await reads(app, "instances have no sandbox on this box")
    vera = await people.add("vera", Role.VIEWER)
    async with at(people, vera) as (app, pilot):
        await goes(pilot, "shell plant-a")
        await reads(app, "your role does not let you open shells")
    adam = await people.add("adam", admin=True)
    async with at(people, adam) as (app, pilot):
        await reads(app, "plant-a")
        await eventually(lambda: app.has("shell"))
        await goes(pilot, "shell plant-a")
        await reads(app, "for a shell as the box's account, which owns it all")


def test_the_file_of_boxes_takes_no_secret_and_keeps_what_else_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "boxes.toml"
    environ = {"WEIR_BOXES": str(file)}
    file.write_text('# first\n[boxes.a]\nurl = "https://a"\n\n[boxes.b]\nurl = "https://b"\ntoken = "ffpat_x"\n')
    read = boxes.read(environ)
    assert list(read.known) == ["a"]
    assert "holds a secret" in read.mistakes[0]
    boxes.add(environ, "c", boxes.KnownBox(url="https://c", token_file='/tmp/with "quotes" \\ 計\x7f'))
    assert boxes.read(environ).known["c"].token_file == '/tmp/with "quotes" \\ 計\x7f'
    boxes.forget(environ, "a")
    assert list(boxes.read(environ).known) == ["c"]
    assert "# first" in file.read_text() and "[boxes.b]" in file.read_text()
    file.write_text('[boxes]\na = {url = "https://a"}\n')
    with pytest.raises(boxes.BoxError, match="is not changed"):
        boxes.forget(environ, "a")
    assert "https://a" in file.read_text()


def test_since_is_a_time_or_a_day() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert audit.since("2026-11-01", now) == datetime(2026, 11, 1, tzinfo=UTC)
    assert audit.since("2h", now) == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert audit.since("soon", now) is None


async def test_a_kept_deploy_is_restored_or_forgotten(people: People) -> None:
    made = await people.box.instance("plant-a")
    token = (await people.box.boot(made)).node_red_token
    client = people.box.client("tcp", token)
    for number in range(3):  # the first is stored, the others come too late
        base = hashlib.sha256(b"[]").hexdigest()
        late = {"id": f"d{number}", "base": [base], "flows": [{"id": f"l{number}", "type": "tab"}], "keep": True}
        async with client.post(f"/storage/{made.id}/deploys", json=late) as answer:
            assert answer.status == 200
    path = f"/projects/{made.id}/kept"
    async with at(people) as (app, pilot):
        await goes(pilot, "problems")
        await reads(app, "restore or discard")
        await pilot.press("f")
        await reads(app, "WHY IT WAS NOT STORED", "deploy-")
        first, second = (await people.root.ok("GET", path))["kept"]
        await pilot.press("x")
        await typed(pilot, first["name"])
        await reads(app, f"{first['name']} is gone")
        assert [each["id"] for each in (await people.root.ok("GET", path))["kept"]] == [second["id"]]
        await eventually(lambda: app.frame.table.keys == [second["id"]])  # type: ignore[attr-defined]
        await pilot.press("R")
        await typed(pilot, second["name"])
        await reads(app, "and restarts")
        assert (await people.root.ok("GET", f"/instances/{made.id}/flows"))["flows"] == [{"id": "l2", "type": "tab"}]


async def test_an_http_token_is_shown_once_renamed_and_ended(people: People) -> None:
    made = await people.box.instance("plant-a")
    async with at(people) as (app, pilot):
        await reads(app, "plant-a")
        await goes(pilot, "httptokens plant-a")
        await reads(app, "no HTTP tokens")
        await pilot.press("c")
        await fills(pilot, {"name": NASTY, "expires": "30d"})
        await reads(app, "shown this once", "ffhttp_")
        await pilot.press("escape")
        await reads(app, "[red]x[/] 計計", without="ffhttp_")
        await pilot.press("E")
        await fills(pilot, {"name": "scada"})
        await reads(app, "scada is changed")
        listed = (await people.root.ok("GET", f"/projects/{made.id}/httpTokens"))["tokens"]
        assert [(each["name"], bool(each["expiresAt"])) for each in listed] == [("scada", True)]
        await eventually(lambda: app.frame.chosen.name == "scada")  # type: ignore[attr-defined]
        await pilot.press("x")
        await typed(pilot, "scada")
        await reads(app, "no HTTP tokens")
        assert (await people.root.ok("GET", f"/projects/{made.id}/httpTokens"))["tokens"] == []
