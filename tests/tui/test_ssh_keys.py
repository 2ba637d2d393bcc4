"""Keys for SSH by the command line and on the screens; and one command of a login, traded from its ticket."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.model import Role
from appliance.system.ancestry import Parent
from appliance.system.pidfd import stat
from tests.people_box import People, people_box
from tests.tui.conftest import Weir, loaded, said
from tests.tui.platform_rig import at, fills, goes, reads, typed
from tests.unit.test_ssh_keys import line
from tests.web_box import WebBox


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        yield found


async def test_keys_by_the_command_line(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    ann = await real.person("ann", Role.VIEWER)
    file = tmp_path / "id.pub"
    file.write_text(line("ann@desk"))
    assert "ann@desk is kept; ann logs in" in await said(weir, "user", "key", "add", str(file), "--user", "ann")
    again = await weir("user", "key", "add", str(file))
    assert again.code == 1 and "another user's" in again.err
    typed_in = await weir("user", "key", "add", "-", "--name", "mine", stdin=line().encode())
    assert typed_in.code == 0, typed_in.err
    assert [each["name"] for each in (await loaded(weir, "user", "key", "list"))["keys"]] == ["mine"]
    rows = (await said(weir, "user", "key", "list", "--user", ann.username)).splitlines()
    assert rows[0].split()[:2] == ["ID", "NAME"] and "ann@desk" in rows[1] and rows[1].endswith("never")
    refused = await weir("user", "key", "remove", "mine")
    assert refused.code == 2 and "--yes" in refused.err
    assert "opens nothing any more" in await said(weir, "user", "key", "remove", "mine", "--yes")
    assert "No keys." in await said(weir, "user", "key", "list")
    assert (await weir("user", "key", "remove", "mine", "--yes")).code == 1


async def test_a_private_key_does_not_even_travel(weir: Weir, tmp_path: Path) -> None:
    file = tmp_path / "id"
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nxx\n")
    done = await weir("user", "key", "add", str(file))  # no box is there that could be asked
    assert done.code == 2 and "private key" in done.err and f"{file}.pub" in done.err


async def ticket_for_us(real: WebBox, role: Role) -> str:
    """A ticket for a login that descends from this process, as one of sshd's descends from its sshd."""
    person = await real.person("vic", role)
    root = await real.services.accounts.root()
    made = await real.services.directory.ssh_keys.create(root, line("desk"), for_user=person.id)
    us = stat(os.getpid())
    assert us is not None
    under = Parent(os.getpid(), us.start_time)
    ticket = await real.services.directory.ssh_logins.ticket(made.fingerprint, made.type, under)
    assert ticket is not None
    return ticket


async def test_a_ticket_becomes_one_command_as_its_person(real: WebBox, weir: Weir, home: Path) -> None:
    ticket = await ticket_for_us(real, Role.VIEWER)
    env = {"SSH_ORIGINAL_COMMAND": "user rights", "SSH_CONNECTION": "192.0.2.9 1 192.0.2.1 22"}
    done = await weir("--home", str(home), "--ticket", ticket, env=env)
    assert (done.code, done.out) == (0, "Home: viewer\n"), done.err
    again = await weir("--home", str(home), "--ticket", ticket, env=env)
    assert again.code == 1 and "not known" in again.err and again.out == ""
    log = await loaded(weir, "audit", "--platform")
    (login,) = [each for each in log["log"] if each["event"] == "account.login"]
    assert login["body"]["info"]["address"] == "192.0.2.9" and login["trigger"]["name"] == "vic"
    assert any(each["event"] == "account.logout" for each in log["log"])


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--home / status", 2, "always this box"),
        ("--url https://elsewhere status", 2, "always this box"),
        ("up", 2, "for the box's own shell"),
        ("completion bash", 2, "for the box's own shell"),
        ("user key add /etc/hostname", 2, "no file of the box"),
        ("fly", 2, "invalid choice"),
        ("'", 2, "Close the quotes"),
        ("user list", 1, "administrator"),
    ],
)
async def test_what_a_login_may_not_ask_for(
    real: WebBox, weir: Weir, home: Path, words: str, code: int, says: str
) -> None:
    ticket = await ticket_for_us(real, Role.OWNER)
    done = await weir("--home", str(home), "--ticket", ticket, env={"SSH_ORIGINAL_COMMAND": words})
    assert (done.code, done.out) == (code, "") and says in done.err, done.err


async def test_keys_on_the_screens(people: People) -> None:
    ann = await people.add("ann")
    async with at(people) as (app, pilot):
        await goes(pilot, "sshkeys")
        await reads(app, "no keys; c adds one")
        await pilot.press("c")
        await reads(app, "Public key", "[ do it ]")
        await fills(pilot, {"key": line("me@desk")})
        await reads(app, "me@desk", "ssh-ed25519", "SHA256:", "never")
        (kept,) = (await people.root.ok("GET", "/user/ssh-keys"))["keys"]
        await pilot.press("enter")
        await reads(app, "me@desk", kept["fingerprint"])
        await pilot.press("escape")
        await pilot.press("x")
        await typed(pilot, "me@desk")
        await reads(app, "opens nothing any more")
        assert (await people.root.ok("GET", "/user/ssh-keys"))["count"] == 0

        await goes(pilot, "users")
        await reads(app, "ann")
        app.frame.table.move_to(app.frame.table.keys.index(ann.id))
        await pilot.press("K")
        await reads(app, "ann sshkeys", "no keys")
        await pilot.press("c")
        await reads(app, "Public key")
        await fills(pilot, {"key": line(), "name": "hers"})
        await reads(app, "hers")
        assert (await people.root.ok("GET", f"/users/{ann.id}/ssh-keys"))["keys"][0]["name"] == "hers"
