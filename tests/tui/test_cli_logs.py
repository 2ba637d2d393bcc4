"""`weir instance logs` in time, and `weir instance crashes`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.tui.conftest import Weir
from tests.tui.fakebox import FakeBox
from tui.cli.logs import moment

FIRST_MS = 1_795_000_000_000  # as the box of the tests stamps its entries, ten milliseconds apart


def at(entry: int) -> str:
    return datetime.fromtimestamp((FIRST_MS + entry * 10) / 1000, UTC).isoformat()


@pytest.fixture
def talkative(box: FakeBox) -> FakeBox:
    for number in range(1200):
        box.log("plant-a", f"line {number}")
    return box


def said(out: str) -> list[str]:
    return [line.rsplit("  ", 1)[-1].split(" ", 3)[-1] for line in out.splitlines()]


def numbers(out: str) -> list[int]:
    return [int(line.rpartition("line ")[2]) for line in out.splitlines()]


async def test_all_since_a_time_over_several_pages(talkative: FakeBox, weir: Weir) -> None:
    done = await weir("instance", "logs", "plant-a", "--since", at(100))
    assert done.code == 0, done.err
    assert numbers(done.out) == list(range(100, 1200))


async def test_between_two_times_and_the_end_of_that(talkative: FakeBox, weir: Weir) -> None:
    window = ("--since", at(100), "--until", at(109))
    assert numbers((await weir("instance", "logs", "plant-a", *window)).out) == list(range(100, 110))
    assert numbers((await weir("instance", "logs", "plant-a", *window, "-n", "3")).out) == [107, 108, 109]
    assert numbers((await weir("instance", "logs", "plant-a", "--until", at(49), "-n", "2")).out) == [48, 49]
    done = await weir("instance", "logs", "plant-a", *window, "--json")
    assert [json.loads(line)["msg"] for line in done.out.splitlines()] == [f"line {n}" for n in range(100, 110)]


async def test_the_newest_as_ever(talkative: FakeBox, weir: Weir) -> None:
    assert numbers((await weir("instance", "logs", "plant-a")).out) == list(range(1150, 1200))
    assert numbers((await weir("instance", "logs", "plant-a", "-n", "700")).out) == list(range(500, 1200))


async def test_what_is_no_time(box: FakeBox, weir: Weir) -> None:
    done = await weir("instance", "logs", "plant-a", "--since", "yesterday")
    assert done.code == 2 and "'yesterday' is no time: say 15m, 2h" in done.err


def test_times_ago() -> None:
    now = datetime.now(UTC)
    for text, ago in (("90s", 90), ("15m", 900), ("2h", 7200), ("3d", 3 * 86400)):
        assert abs(moment(text) - (now - timedelta(seconds=ago))) < timedelta(seconds=5)
    assert moment("2026-11-23T15:04Z") == datetime(2026, 11, 23, 15, 4, tzinfo=UTC)
    for nonsense in ("", "m", "15", "-3h", "1w", "2026-13-01", "\u00b2h"):
        with pytest.raises(ValueError):
            moment(nonsense)


def crashed(number: int, source: str = "launcher", **body: Any) -> dict[str, Any]:
    trigger = {"id": None, "type": "system", "name": "weir"}
    return {
        "id": str(number),
        "createdAt": f"2026-11-23T15:04:{number:02d}.000Z",
        "event": "crashed",
        "scope": {"id": "1", "type": "project"},
        "trigger": trigger,
        "body": body,
        "username": None,
        "source": source,
    }


async def test_what_a_flow_makes_up_hides_no_crash(box: FakeBox, weir: Weir) -> None:
    made_up = [crashed(number, "node-red", info={"info": "made up by a flow"}) for number in range(30, 1, -1)]
    box.audit[box.find("plant-a")["id"]] = [*made_up, crashed(0, info={"signal": "SIGKILL", "info": "Killed."})]
    out = (await weir("instance", "crashes", "plant-a")).out
    assert "Killed." in out and "made up" not in out


async def test_crashes_with_their_last_words(box: FakeBox, weir: Weir) -> None:
    none = await weir("instance", "crashes", "plant-a")
    assert none.out == "No crash is recorded.\n", none.err
    log = [{"ts": "17950000000000000", "level": "error", "msg": "TypeError: \x1b[31mx\n  at f"}]
    info = {"code": 1, "signal": None, "info": "A node threw an exception."}
    box.audit[box.find("plant-a")["id"]] = [
        crashed(2, info=info, log=log),
        crashed(1, "node-red", info={"info": "made up by a flow"}),
        crashed(0, info={"code": None, "signal": "SIGKILL", "info": "Killed."}),
    ]
    out = (await weir("instance", "crashes", "plant-a")).out
    assert "crashed (signal SIGKILL)\n  Killed.\n  its last lines are no longer kept" in out
    assert "crashed (code 1)\n  A node threw an exception.\n  | " in out
    assert "TypeError: \\x1b[31mx" in out and "\x1b" not in out and "made up" not in out
    assert out.index("SIGKILL") < out.index("TypeError")
    shown = json.loads((await weir("instance", "crashes", "plant-a", "-n", "1", "--json")).out)
    assert shown["count"] == 1 and shown["log"][0]["body"]["log"] == log
