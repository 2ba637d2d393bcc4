"""`weir name …` as a process, against the appliance's real web part."""

from __future__ import annotations

import json

import pytest

from tests.tui.conftest import Weir
from tests.web_box import WebBox


async def test_added_listed_removed(real: WebBox, weir: Weir) -> None:
    added = await weir("name", "add", "Plant.Example:8444")
    assert (added.code, added.out.partition(";")[0]) == (0, "plant.example:8444 is accepted"), added.err
    listed = (await weir("name", "list")).out.splitlines()
    assert listed[0].split() == ["NAME", "NAMED", "BY"]
    assert listed[1].split() == ["box.test", "the", "box", "itself"]
    assert listed[-1].split() == ["plant.example:8444", "weir", "name", "add"]
    removed = await weir("name", "remove", "plant.example:8444")
    assert (removed.code, removed.out) == (0, "plant.example:8444 is accepted no longer\n"), removed.err
    assert "plant.example" not in (await weir("name", "list")).out


async def test_json_is_the_answer_of_the_api(real: WebBox, weir: Weir) -> None:
    added = json.loads((await weir("name", "add", "[2001:DB8::7]:8444", "--json")).out)
    assert added == {"name": "2001:db8::7", "port": 8444, "source": "added"}
    listed = json.loads((await weir("name", "list", "--json")).out)
    assert listed["count"] == len(listed["names"])
    assert listed["names"][-1] == added
    assert "[2001:db8::7]:8444" in (await weir("name", "list")).out
    assert json.loads((await weir("name", "remove", "[2001:db8::7]:8444", "--json")).out) == {"status": "okay"}


async def test_a_name_that_is_there_already_is_no_failure(real: WebBox, weir: Weir) -> None:
    done = await weir("name", "add", "box.test")
    assert (done.code, done.out) == (0, "box.test was accepted already, by the box itself\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "a b"), "'a b' is not a host name"),
        (("add", "https://plant.example"), "is not a host name"),
        (("add", "plant.example:99999"), "99999 is not a port"),
        (("add", "192.168.1.300"), "not a valid IPv4 address"),
        (("add", "x\x1b[31m"), "'x\\x1b[31m' is not a host name"),
        (("remove", "plant.example"), "was not added"),
        (("remove", "localhost"), "a name of the box itself"),
        (("remove", ".."), "is not a name of the box"),
        (("remove", "../status"), "is not a host name"),
        (("remove", "plant.example?x=1"), "is not a host name"),
    ],
)
async def test_refusals_say_why_and_what_to_do(real: WebBox, weir: Weir, arguments: tuple[str, str], said: str) -> None:
    done = await weir("name", *arguments)
    assert (done.code, done.out) == (1, "")
    message, hint = done.err.splitlines()
    assert said in message
    assert hint.strip()
    assert "\x1b" not in done.err


@pytest.mark.parametrize("arguments", [["name"], ["name", "add"], ["name", "remove"], ["name", "list", "x"]])
async def test_wrong_usage_is_2(weir: Weir, arguments: list[str]) -> None:
    done = await weir(*arguments, env={"COLUMNS": "20"})
    assert done.code == 2
    assert "Traceback" not in done.err
