"""`weir user|team|token|settings|audit` as processes, against the appliance's real web part."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from appliance.model import Role
from tests.tui.conftest import Done, Weir, loaded, said
from tests.web_box import PASSWORD, WebBox


async def test_an_account_from_its_making_to_its_end(real: WebBox, weir: Weir) -> None:
    made = await weir("user", "create", "ann", "--full-name", "Ann Lee", "--team", "home", "--role", "viewer")
    assert made.code == 0 and made.out.startswith("ann has an account\nffpr_"), made.err
    assert "https://box.test:8443/account/reset_password" in made.err
    shown = await said(weir, "user", "show", "ann")
    assert "Ann Lee" in shown and "Home (viewer)" in shown
    assert "ann" in await said(weir, "user", "list", "--search", "lee")
    assert "administrator" not in await said(weir, "user", "list", "--search", "ann")
    await said(weir, "user", "edit", "ann", "--admin", "on", "--email", "ann@plant.example")
    assert (await loaded(weir, "user", "show", "ann@plant.example"))["admin"] is True
    assert "is kept out" in await said(weir, "user", "suspend", "ann")
    assert "suspended" in await said(weir, "user", "list")
    assert "log in again" in await said(weir, "user", "resume", "ann")
    refused = await weir("user", "delete", "ann")
    assert refused.code == 2 and "--yes" in refused.err
    assert await said(weir, "user", "delete", "ann", "--yes") == "ann is deleted\n"
    gone = await weir("user", "show", "ann")
    assert gone.code == 1 and "there is no user 'ann'" in gone.err.lower()


async def test_a_password_comes_by_file_or_not_at_all(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("phrase of my own 3\n")
    made = await weir("user", "create", "bo", "--password-file", str(file))
    assert (made.code, made.out, made.err) == (0, "bo has an account\n", "")
    assert (await real.browser().login("bo", "phrase of my own 3")).status == 303
    typed = await weir("user", "create", "cy", "--password-file", "-", stdin=b"phrase of my own 4\n")
    assert typed.code == 0, typed.err
    weak = await weir("user", "create", "dee", "--password-file", "-", stdin=b"password1\n")
    assert weak.code == 1 and "tried first" in weak.err
    assert (await weir("user", "create", "eve", "--password-file", str(tmp_path / "none"))).code == 2
    assert (await weir("user", "create", "eve", "--password-file", "-", stdin=b"\n")).code == 2


async def test_a_forgotten_password_is_reset_from_the_console(real: WebBox, weir: Weir) -> None:
    await real.person("ann", Role.MEMBER)
    done = await weir("user", "reset-password", "ann")
    assert done.code == 0 and done.out.startswith("ffpr_") and done.out.count("\n") == 1
    browser = real.browser()
    page = await browser.get("/account/reset_password")
    new = "phrase of my own 5"
    form = {**page.fields, "code": done.out.strip(), "password": new, "again": new}
    assert (await browser.post("/account/reset_password", form)).status == 303
    assert (await browser.login("ann", new)).status == 303
    assert (await real.browser().login("ann", PASSWORD)).status == 401
    with_json = await loaded(weir, "user", "reset-password", "ann")
    assert with_json["user"]["username"] == "ann" and with_json["expiresAt"].endswith("Z")


async def test_teams_and_members(real: WebBox, weir: Weir) -> None:
    await real.person("ann", Role.NONE)
    assert "its slug is line-2" in await said(weir, "team", "create", "Line 2")
    assert await said(weir, "team", "member", "add", "line-2", "ann", "--role", "owner") == "ann is owner of Line 2\n"
    assert await said(weir, "team", "member", "role", "line-2", "ann", "viewer") == "ann is viewer of Line 2\n"
    rows = (await said(weir, "team", "member", "list", "line-2")).splitlines()
    assert [row.split()[0] for row in rows] == ["USER", "admin", "ann"] and "viewer" in rows[2]
    await said(weir, "team", "edit", "line-2", "--name", "Line two")
    assert "is suspended" in await said(weir, "team", "edit", "line-2", "--suspended", "on")
    listed = (await said(weir, "team", "list")).splitlines()
    assert listed[0].split() == ["SLUG", "NAME", "YOU", "ARE", "MEMBERS", "INSTANCES"]
    assert "suspended" in next(row for row in listed if row.startswith("line-2"))
    assert (await loaded(weir, "team", "show", "Line two"))["suspended"] is True
    assert "no longer" in await said(weir, "team", "member", "remove", "line-2", "ann")
    assert await said(weir, "team", "delete", "line-2", "--yes") == "Line two is deleted\n"
    gone = await weir("team", "show", "line-2")
    assert gone.code == 1 and "There are: home" in gone.err


async def test_invitations_from_both_sides(real: WebBox, weir: Weir) -> None:
    ann = await real.person("ann", Role.NONE)
    partly = await weir("team", "invitation", "create", "home", "ann", "nobody", "--role", "viewer")
    assert partly.code == 1 and "ann: is invited" in partly.out and "nobody: This box knows nobody" in partly.out
    row = (await said(weir, "team", "invitation", "list", "home")).splitlines()[1].split()
    as_ann = {"WEIR_TOKEN": await real.token(ann)}
    mine = (await said(weir, "team", "invitation", "list", env=as_ann)).splitlines()[1].split()
    assert mine[0] == row[0] and mine[1:4] == ["Home", "ann", "viewer"]
    await said(weir, "team", "invitation", "resend", "home", row[0])
    assert "accepted" in await said(weir, "team", "invitation", "accept", row[0], env=as_ann)
    assert "viewer" in await said(weir, "team", "list", env=as_ann)
    assert "No open" in await said(weir, "team", "invitation", "list", "home")
    gone = await weir("team", "invitation", "delete", "home", "../x")
    assert gone.code == 1 and "no invitation" in gone.err


async def test_tokens(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    await real.person("ann", Role.OWNER)
    made = await loaded(weir, "token", "create", "ci", "--expires", "30d", "--read-only", "--team", "home", "--admin")
    assert made["token"].startswith("ffpat_") and made["readOnly"] and made["teams"][0]["name"] == "Home"
    assert made["expiresAt"].startswith("2026-12") or made["expiresAt"][:4] >= "2026"
    assert "look in Home, as administrator" in await said(weir, "token", "list")
    edited = await said(weir, "token", "edit", "ci", "--read-write", "--all-teams", "--expires", "never")
    assert edited == "ci may now: look and change, as administrator, until it is deleted\n"
    for bad in (["--read-only", "--read-write"], []):
        assert (await weir("token", "edit", "ci", *bad)).code == 2
    theirs = (await said(weir, "token", "create", "hers", "--user", "ann")).strip()
    assert "ann" in await said(weir, "user", "show", "ann", env={"WEIR_TOKEN": theirs})
    assert "worth nothing" in await said(weir, "token", "delete", "ci")
    assert (await weir("token", "delete", "ci")).code == 1
    assert (await weir("token", "create", "x", "--expires", "soon")).code == 2


async def test_settings(real: WebBox, weir: Weir) -> None:
    assert await said(weir, "settings", "set", "team:create=on", "user:tcs-url=https://a.example/t") == (
        "team:create is on\nuser:tcs-url is https://a.example/t\n"
    )
    shown = await said(weir, "settings", "show")
    assert ["team:create", "on"] in [line.split() for line in shown.splitlines()]
    assert (await loaded(weir, "settings", "show"))["team:create"] is True
    wrong = await weir("settings", "set", "team:creat=on")
    assert wrong.code == 1 and "Did you mean 'team:create'?" in wrong.err
    assert (await weir("settings", "set", "team:create")).code == 2


async def test_audit_logs(real: WebBox, weir: Weir) -> None:
    await real.instance("plant")
    await real.person("ann", Role.MEMBER)
    assert "project.created" in await said(weir, "audit")
    assert "project.created" in await said(weir, "audit", "plant")
    assert "project.created" in await said(weir, "audit", "--instance", "plant", "--event", "project.created")
    assert "team.user.added" in await said(weir, "audit", "--team", "home", "-n", "1")
    platform = await said(weir, "audit", "--platform")
    assert "account.register" in platform and "project.created" not in platform
    assert await said(weir, "audit", "--platform", "--user", "nobody") == "Nothing is recorded yet.\n"
    rows = list(csv.reader(io.StringIO(await said(weir, "audit", "--team", "home", "--csv"))))
    assert rows[0][:2] == ["id", "event"] and json.loads(rows[1][2])["team"]["name"] == "Home"
    assert (await loaded(weir, "audit", "--platform"))["count"] > 0
    for bad in (["plant", "--platform"], ["--team", "home", "--platform"], ["-n", "0"]):
        assert (await weir("audit", *bad)).code == 2, bad


async def test_what_a_role_may_not_is_told_with_the_next_step(real: WebBox, weir: Weir) -> None:
    ann = await real.person("ann", Role.VIEWER)
    token = {"WEIR_TOKEN": await real.token(ann)}
    for arguments in (
        ("user", "list"),
        ("user", "suspend", "admin"),
        ("team", "create", "Mine"),
        ("team", "edit", "home", "--name", "x"),
        ("team", "member", "add", "home", "ann"),
        ("settings", "set", "team:create=on"),
        ("audit", "--platform"),
        ("token", "create", "more"),
        ("user", "reset-password", "ann"),
    ):
        done: Done = await weir(*arguments, env=token)
        assert done.code == 1 and done.out == "", arguments
        assert len(done.err.splitlines()) == 2, (arguments, done.err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["user"],
        ["team", "member"],
        ["user", "edit", "ann"],
        ["team", "edit", "x"],
        ["team", "member", "role", "a", "b", "chief"],
    ],
)
async def test_wrong_usage_is_2(real: WebBox, weir: Weir, arguments: list[str]) -> None:
    done = await weir(*arguments)
    assert done.code == 2 and "Traceback" not in done.err


async def test_rights_are_told_by_team(real: WebBox, weir: Weir) -> None:
    assert "administrator" in await said(weir, "user", "rights")
    token = await real.token(await real.person("ann", Role.VIEWER))
    env = {"WEIR_TOKEN": token}
    assert await said(weir, "user", "rights", env=env) == "Home: viewer\n"
    told = json.loads(await said(weir, "user", "rights", "--json", env=env))
    assert told["admin"] is False and list(told["teams"].values()) == [10]
    assert told["permissions"]["project:delete"] == 50
