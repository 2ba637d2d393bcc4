"""`weir backup …` as a process, against a real appliance that makes real backups; no secret in argv."""

# ruff: noqa: ASYNC240 - a file of a test, small and local

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.people_box import People, people_box
from tests.support import eventually
from tests.tui.conftest import Weir, loaded, said, start_weir
from tui.cli.backup_commands import COMMANDS

pytestmark = pytest.mark.timeout(120)
PASSPHRASE = "correct horse battery 42"


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        yield found


@pytest.fixture
def passphrase(tmp_path: Path) -> str:
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\n")
    file.chmod(0o600)
    return str(file)


@pytest.mark.parametrize("command", COMMANDS)
async def test_each_says_what_it_does_with_an_example(weir: Weir, command: str) -> None:
    help_ = await said(weir, *command.split(), "--help")
    assert "Example: weir backup" in help_
    assert "--passphrase PASS" not in help_ and "--key KEY" not in help_, "a secret would stand in argv"


async def test_made_listed_and_deleted(people: People, weir: Weir, passphrase: str, tmp_path: Path) -> None:
    assert "No backups yet. Make one with: weir backup create" in await said(weir, "backup", "list")
    made = await loaded(weir, "backup", "create", "--passphrase-file", passphrase, "--to", str(tmp_path))
    file = Path(made["file"])
    assert file.parent == tmp_path and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made["passphrase"] and made["recipients"] == []
    assert PASSPHRASE.encode() not in file.read_bytes()
    listed = await loaded(weir, "backup", "list")
    assert [each["id"] for each in listed["backups"]] == [made["id"]]
    text = await said(weir, "backup", "list")
    assert made["id"] in text and "passphrase" in text and "only when somebody asks" in text
    done = await weir("backup", "delete", made["id"], stdin=b"")
    assert done.code == 2 and "--yes" in done.err and file.exists()
    assert "is deleted" in await said(weir, "backup", "delete", made["id"], "--yes")
    assert not file.exists() and (await loaded(weir, "backup", "list"))["count"] == 0
    events = await people.events()
    assert events[:2] == ["platform.backup.deleted", "platform.backup.created"]
    assert PASSPHRASE not in await said(weir, "audit", "--json")


async def test_the_key_is_shown_once_and_opens_what_comes_after(people: People, weir: Weir) -> None:
    made = await weir("backup", "key")
    assert made.code == 0 and "AGE-SECRET-KEY-1" in made.out and "shown this once" in made.err
    secret = next(line for line in made.out.splitlines() if line.startswith("AGE-SECRET-KEY-1"))
    backup = await loaded(weir, "backup", "create")
    assert not backup["passphrase"] and backup["recipients"][0].startswith("age1")
    assert secret not in await said(weir, "backup", "list", "--json")
    named = await weir("backup", "key", "--recipient", backup["recipients"][0], "--json")
    assert named.code == 0 and '"secret":null' in named.out.replace(" ", "")


async def test_the_schedule_is_changed_and_shown(people: People, weir: Weir) -> None:
    await said(weir, "backup", "key")
    text = await said(weir, "backup", "schedule", "--every", "week", "--weekday", "0", "--at", "04:15", "--keep", "3")
    assert "every week at 04:15 on Monday" in text and "3 are kept" in text
    plan = await loaded(weir, "backup", "schedule")
    assert (plan["every"], plan["at"], plan["weekday"], plan["keep"]) == ("week", "04:15", 0, 3)
    assert (await people.root.ok("GET", "/backups"))["schedule"] == plan
    assert "only when somebody asks" in await said(weir, "backup", "schedule", "--every", "off")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["create"], 2, "passphrase"),  # no key yet, and nobody to ask
        (["create", "--passphrase-file", "/nowhere"], 2, "/nowhere"),
        (["verify"], 1, "weir backup create"),
        (["verify", "unknown"], 1, "no backups yet"),
        (["delete", "unknown", "--yes"], 1, "no backups yet"),
        (["schedule", "--at", "25:00"], 1, "at"),
        (["schedule", "--every", "year"], 2, "year"),
        (["schedule", "--every", "day"], 1, "key"),  # by itself nobody types a passphrase
        (["key", "--recipient", "age1nonsense"], 1, "no recipient of age"),
        (["cancel"], 1, "Nothing is being done"),
        (["restore", "/nowhere/x.weir"], 2, "/nowhere/x.weir"),
        (["create", "--passphrase", PASSPHRASE], 2, "unrecognized arguments"),
    ],
)
async def test_refusals_say_why(people: People, weir: Weir, arguments: list[str], code: int, says: str) -> None:
    done = await weir("backup", *arguments, stdin=b"")
    assert (done.code, says in done.err) == (code, True), (done.code, done.out, done.err)
    assert "Traceback" not in done.err


async def test_a_passphrase_that_is_typed_stands_in_no_argument(
    people: People, home: Path, passphrase: str, tmp_path: Path
) -> None:
    """All processes that a backup takes, as anybody on the machine sees them."""
    running = await start_weir(
        home, "backup", "create", "--passphrase-file", passphrase, "--to", str(tmp_path), "--json"
    )
    seen: set[str] = set()

    def ended() -> bool:
        seen.update(lines())
        return running.returncode is not None

    await eventually(ended, 60, every_s=0.005)
    out, err = await running.communicate()
    assert running.returncode == 0, err
    assert any("backup" in each for each in seen), "no process of the backup was seen"
    assert not [each for each in seen if PASSPHRASE in each]
    assert PASSPHRASE.encode() not in out + err


def lines() -> set[str]:
    """The command line and environment of every process that can be read."""
    found: set[str] = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            for name in ("cmdline", "environ"):
                try:
                    found.add((process / name).read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
    return found


async def test_who_is_no_administrator_is_refused(people: People, weir: Weir, tmp_path: Path) -> None:
    olga = await people.add("olga")
    file = tmp_path / "token"
    file.write_text(olga.token or "")
    remote: tuple[Any, ...] = ("--url", f"http://127.0.0.1:{people.box.port}", "--token-file", str(file))
    for command in (("list",), ("create",), ("key",)):
        async with asyncio.timeout(30):
            done = await weir(*remote, "backup", *command, stdin=b"")
        assert done.code in (1, 2) and done.err and not done.out, (command, done)
