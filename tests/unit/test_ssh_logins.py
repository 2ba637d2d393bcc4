"""From a key that sshd saw to a session: tickets, who may trade them, and what ends what they became."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.errors import Unauthorized
from appliance.model import Role
from appliance.services.ssh_logins import TICKET_LIFE_S, TICKETS_PER_KEY, SshLogins
from appliance.services.tokens import SSH_PREFIX
from appliance.system.ancestry import Parent, ancestors, parent
from appliance.web.key_door import KeyDoor
from tests.people_box import Caller, People, people_box
from tests.unit.test_ssh_keys import line

WEIR_KEYS = Path(__file__).parents[2] / "systemd" / "weir_keys.py"
ABOVE = Parent(4711, 1)


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Door(msgspec.Struct):
    """A box with people, whose logins are at hand."""

    people: People
    logins: SshLogins
    seconds: Seconds

    async def key(self, of: Caller | None = None) -> Any:
        path = f"/users/{of.id}/ssh-keys" if of else "/user/ssh-keys"
        return await self.people.root.ok("POST", path, {"key": line("desk")})

    async def ticket(self, key: Any, under: Parent = ABOVE) -> str:
        ticket = await self.logins.ticket(key["fingerprint"], key["type"], under)
        assert ticket is not None
        return ticket

    async def login(self, key: Any) -> Caller:
        session = await self.logins.begin(await self.ticket(key), [ABOVE])
        return Caller(self.people.box, session.token, "api")


@pytest.fixture
async def door(home: Path) -> AsyncIterator[Door]:
    async with people_box(home) as people:
        seconds, context = Seconds(), people.box.context
        cache = home / "ssh" / "administrators"
        yield Door(people, SshLogins(context, people.box.services.audit, cache, now=seconds), seconds)


async def test_whoever_comes_is_the_one_whose_key_it_is(door: Door) -> None:
    ann = await door.people.add("ann", Role.VIEWER)
    key = await door.key(ann)
    over_ssh = await door.login(key)
    assert (await over_ssh.ok("GET", "/user"))["username"] == "ann"
    assert (await over_ssh("GET", "/users")).status == 403
    boss = await door.login(await door.key())
    assert (await boss.ok("GET", "/users"))["count"] == 2, "an administrator comes as one"
    assert (await ann.ok("GET", "/user/ssh-keys"))["keys"][0]["usedAt"] is not None
    assert (await door.people.events())[0] == "account.login"


async def test_a_ticket_is_good_once_for_a_minute_and_for_its_own_login(door: Door) -> None:
    key = await door.key()
    ticket = await door.ticket(key)
    with pytest.raises(Unauthorized):
        await door.logins.begin(ticket, [Parent(4712, 1), Parent(4711, 2)])
    await door.logins.begin(ticket, [Parent(99, 9), ABOVE])  # the thief's try has not used it up
    with pytest.raises(Unauthorized):
        await door.logins.begin(ticket, [ABOVE])
    late = await door.ticket(key)
    door.seconds.now += TICKET_LIFE_S
    with pytest.raises(Unauthorized):
        await door.logins.begin(late, [ABOVE])
    with pytest.raises(Unauthorized):
        await door.logins.begin("wst_" + "x" * 43, [ABOVE])


async def test_offering_somebodys_public_key_pushes_out_nobody_elses_ticket(door: Door) -> None:
    other = await door.key(await door.people.add("ann"))
    kept = await door.ticket(other)
    known = await door.key()
    tickets = [await door.ticket(known) for _ in range(TICKETS_PER_KEY * 3)]
    await door.logins.begin(kept, [ABOVE])
    await door.logins.begin(tickets[-1], [ABOVE])
    with pytest.raises(Unauthorized):
        await door.logins.begin(tickets[0], [ABOVE])


async def test_who_is_kept_out_gets_no_ticket_and_loses_what_he_has(door: Door) -> None:
    ann = await door.people.add("ann", Role.OWNER)
    key = await door.key(ann)
    over_ssh, waiting = await door.login(key), await door.ticket(key)
    await door.people.root.ok("PUT", f"/users/{ann.id}", {"suspended": True})
    assert await door.logins.ticket(key["fingerprint"], key["type"], ABOVE) is None
    assert (await over_ssh("GET", "/user")).status == 401
    with pytest.raises(Unauthorized):
        await door.logins.begin(waiting, [ABOVE])
    await door.people.root.ok("PUT", f"/users/{ann.id}", {"suspended": False})
    assert await door.logins.ticket(key["fingerprint"], key["type"], ABOVE) is not None
    assert await door.logins.ticket(key["fingerprint"], "ssh-rsa", ABOVE) is None
    assert await door.logins.ticket("SHA256:" + "A" * 43, key["type"], ABOVE) is None


async def test_a_login_ends_with_its_key_by_itself_and_by_logging_out(door: Door) -> None:
    key, stays = await door.key(), await door.key()
    first, second, other = await door.login(key), await door.login(key), await door.login(stays)
    await first.ok("DELETE", "/ssh/session")
    assert (await first("GET", "/user")).status == 401
    assert (await second("GET", "/user")).status == 200
    await door.people.root.ok("DELETE", f"/user/ssh-keys/{key['id']}")
    assert (await second("GET", "/user")).status == 401
    assert (await other("GET", "/user")).status == 200
    assert (await door.people.root("DELETE", "/ssh/session")).status == 404
    assert "account.logout" in await door.people.events()


async def test_a_session_counts_on_the_boxs_own_socket_only(door: Door) -> None:
    over_ssh = await door.login(await door.key())
    assert over_ssh.token is not None and over_ssh.token.startswith(SSH_PREFIX)
    for elsewhere in ("tcp", "web"):
        assert (await Caller(door.people.box, over_ssh.token, elsewhere)("GET", "/user")).status == 401
        refused = await Caller(door.people.box, None, elsewhere)("POST", "/ssh/session", {"ticket": "x"})
        assert refused.status == 401


async def test_the_person_himself_came_so_he_may_make_himself_keys_and_tokens(door: Door) -> None:
    over_ssh = await door.login(await door.key(await door.people.add("ann")))
    await over_ssh.ok("POST", "/user/ssh-keys", {"key": line()})
    await over_ssh.ok("POST", "/user/tokens", {"name": "ci"})


async def test_administrators_keys_are_known_when_we_are_away(door: Door, home: Path) -> None:
    file = home / "ssh" / "administrators"
    ann = await door.people.add("ann")
    own, hers = await door.key(), await door.key(ann)
    await door.logins.refresh()
    assert file.read_text() == f"{own['fingerprint']}\n"
    await door.people.root.ok("PUT", f"/users/{ann.id}", {"admin": True})
    await door.logins.refresh()
    assert set(file.read_text().split()) == {own["fingerprint"], hers["fingerprint"]}
    await door.people.root.ok("DELETE", f"/users/{ann.id}")
    await door.logins.refresh()
    assert file.read_text() == f"{own['fingerprint']}\n" and file.stat().st_mode & 0o777 == 0o644


async def test_a_ticket_is_traded_by_whoever_descends_from_its_sshd(door: Door) -> None:
    """Over the socket, with the ancestry that the kernel tells: we stand for the sshd of the login."""
    key = await door.key()
    here = Parent(os.getpid(), ancestors_of_child()[0].start_time)
    logins = door.people.box.services.directory.ssh_logins
    mine = await logins.ticket(key["fingerprint"], key["type"], here)
    other = await logins.ticket(key["fingerprint"], key["type"], Parent(1, 0))
    assert mine and other
    assert await traded(door, other) == 401
    assert await traded(door, mine) == 200
    assert await traded(door, mine) == 401


def ancestors_of_child() -> list[Parent]:
    child = subprocess.Popen(["sleep", "30"])
    try:
        return ancestors(child.pid)
    finally:
        child.kill()
        child.wait()


async def traded(door: Door, ticket: str) -> int:
    """The status that a process below us is told, which trades this ticket."""
    code = (
        "import http.client, socket, sys\n"
        "c = http.client.HTTPConnection('weir'); c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1])\n"
        "c.request('POST', '/api/v1/ssh/session', '{\"ticket\": \"' + sys.argv[2] + '\"}',"
        " {'Content-Type': 'application/json'})\n"
        "print(c.getresponse().status)"
    )
    sock = str(door.people.box.context.home.api_socket)
    asking = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, sock, ticket, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        said, _ = await asking.communicate()
    return int(said)


async def asked(*arguments: str) -> str:
    """What sshd would read."""
    asking = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "-IS", str(WEIR_KEYS), *arguments, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        said, _ = await asking.communicate()
    assert asking.returncode == 0
    return said.decode()


async def test_sshd_is_given_the_key_it_asked_for_behind_our_options(door: Door, home: Path) -> None:
    key, text = await door.key(), line()
    made = await door.people.root.ok("POST", "/user/ssh-keys", {"key": text})
    kind, body = text.split()
    sock = home / "run" / "keys.sock"
    opened = KeyDoor(door.logins, sock)
    await opened.open()
    try:
        said = await asked(str(sock), "/nowhere", "weir", made["fingerprint"], kind, body)
        options, _, shown = said.partition(" --ticket ")
        assert options == 'restrict,pty,command="exec weir' and shown.endswith(f'" {kind} {body}\n')
        ticket = shown.partition('"')[0]
        us = ancestors_of_child()[0]
        await door.logins.begin(ticket, [us])  # we were the parent of the command, as sshd is
        for fingerprint, type_ in (("SHA256:" + "A" * 43, kind), (key["fingerprint"], "ssh-rsa")):
            assert await asked(str(sock), "/nowhere", "weir", fingerprint, type_, body) == ""
        hostile = ("a b", 'x"', "ssh-ed25519\nssh-rsa", "ssh-ed25519-cert-v01@openssh.com")
        for type_ in hostile:
            assert await asked(str(sock), "/nowhere", "weir", key["fingerprint"], type_, body) == ""
        assert await asked(str(sock), "/nowhere", "weir", key["fingerprint"], kind, body + '",x') == ""
    finally:
        await opened.close()


async def test_without_us_administrators_reach_the_doctor_and_others_nothing(door: Door, home: Path) -> None:
    text, other = line(), line()
    made = await door.people.root.ok("POST", "/user/ssh-keys", {"key": text})
    ann = await door.people.add("ann")
    hers = await door.people.root.ok("POST", f"/users/{ann.id}/ssh-keys", {"key": other})
    await door.logins.refresh()
    cache = str(home / "ssh" / "administrators")
    closing = await asyncio.start_unix_server(lambda reader, writer: writer.close(), str(home / "closing.sock"))
    with socket.socket(socket.AF_UNIX) as silent:  # as that of a process that hangs
        silent.bind(str(home / "silent.sock"))
        silent.listen()
        for sock in (home / "nothing.sock", home / "silent.sock", home / "closing.sock"):
            said = await asked(str(sock), cache, "weir", made["fingerprint"], *text.split())
            assert said == f'restrict,pty,command="exec weir --rescue" {text}\n'
            assert await asked(str(sock), cache, "weir", hers["fingerprint"], *other.split()) == ""
    closing.close()
    await closing.wait_closed()


async def test_an_answer_is_believed_only_if_it_is_one(door: Door, home: Path) -> None:
    """Whoever took the appliance over may say who comes in as `weir`, and not what sshd does with it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'TICKET x" ssh-ed25519 AAAA\ncommand="/bin/sh\n')
        writer.close()

    async with await asyncio.start_unix_server(answer, str(home / "bad.sock")):
        text = line()
        made = await door.people.root.ok("POST", "/user/ssh-keys", {"key": text})
        assert await asked(str(home / "bad.sock"), "/nowhere", "weir", made["fingerprint"], *text.split()) == ""


async def test_the_door_answers_nobody_who_asks_otherwise(door: Door, home: Path) -> None:
    sock = home / "run" / "keys.sock"
    opened = KeyDoor(door.logins, sock)
    await opened.open()
    try:
        for question in (b"\n", b"KEY\n", b"x" * 5000, b"KEY SHA256:" + b"A" * 43 + b" ../x y\n"):
            reader, writer = await asyncio.open_unix_connection(str(sock))
            writer.write(question)
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()
        assert sock.stat().st_mode & 0o777 == 0o600
    finally:
        await opened.close()
    assert not sock.exists()


def test_parents_cannot_be_chosen() -> None:
    assert parent(os.getpid()) is not None
    assert parent(2**22 - 1) is None
    child = ancestors_of_child()
    assert child[0].pid == os.getpid()
    assert child[1:] == ancestors(os.getpid())
