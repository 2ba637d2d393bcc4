"""Rows and lines as text: what the operator reads, without a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.schema.box import BoxStatus
from appliance.schema.instances import Instance
from tests.tui.fakedata import instance
from tui.filters import wanted
from tui.profile import Profile, choose, textual_switches
from tui.render import INSTANCE_COLUMNS, cut, header, instance_cells, layout, row, why
from tui.state import Known
from tui.text import width

NOW = datetime.now(UTC) + timedelta(minutes=10)
PLAIN = Profile()


def made(name: str = "plant-a", state: str = "running", **more: Any) -> Instance:
    return msgspec.json.decode(json.dumps(instance(1, name, state, **more)), type=Instance)


def cells(each: Instance, profile: Profile = PLAIN) -> list[str]:
    return [text for text, _ in instance_cells(each, NOW, profile)]


def test_a_running_instance_shows_its_address() -> None:
    assert cells(made()) == ["+ running", "plant-a", "ops", "–", "", "–", "", "0", "12d", "pi4.local:10001"]


def test_a_crashed_one_says_why_or_when_it_is_tried_again() -> None:
    assert cells(made(state="crashed", message="exit 1"))[-1] == "exit 1"
    soon = (NOW + timedelta(seconds=41.5)).isoformat()
    shown = cells(made(state="crashed", message="exit 1", nextTryAt=soon))[-1]
    assert shown == "retry in 41s"


def test_names_are_data() -> None:
    assert cells(made("\x1b[2J[bold]"))[1] == "\\x1b[2J[bold]"
    assert cells(made("wärme"), Profile(ascii=True))[1] == "w?rme"


def test_the_line_under_the_list_says_why_in_full() -> None:
    assert why(made(state="crashed", message="Error: x"), PLAIN)[0][0] == "plant-a: Error: x"
    assert "".join(text for text, _ in why(made(), PLAIN)) == "plant-a  https://pi4.local:10001/"


@given(st.integers(20, 300))
def test_columns_always_fit(total: int) -> None:
    widths = layout(INSTANCE_COLUMNS, total)
    pieces = row(instance_cells(made("n" * 80), NOW, PLAIN), INSTANCE_COLUMNS, widths, "…")
    assert width("".join(text for text, _ in pieces)) <= max(total, 50)


@pytest.mark.parametrize(("total", "lost"), [(78, ["TEAM", "", ""]), (118, [])])
def test_at_80_cells_only_the_team_gives_way(total: int, lost: list[str]) -> None:
    widths = layout(INSTANCE_COLUMNS, total)
    assert [each.title for each, width in zip(INSTANCE_COLUMNS, widths, strict=True) if not width] == lost
    assert sum(widths) + 2 * (len(INSTANCE_COLUMNS) - len(lost) - 1) == total
    assert widths[-1] >= len("pi4.local:10001")


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("C", "M")), max_size=9), max_size=6))
def test_a_line_has_exactly_its_cells(texts: list[str]) -> None:
    shown = cut([(text, "plain") for text in texts], 20, "…")
    assert width("".join(text for text, _ in shown)) == 20


def test_header_counts_by_meaning() -> None:
    known = Known()
    known.replace([made(state="running"), made(state="starting")])
    assert "".join(text for text, _ in header(known, PLAIN)) == "weir · box · 0 run 0 crash 0 stop 1 other"
    known.instances = {
        str(n): made(state=state) for n, state in enumerate(["running", "crashed", "error", "stopped", "suspended"])
    }
    assert "1 run 2 crash 2 stop" in "".join(text for text, _ in header(known, PLAIN))


def test_header_shows_memory_disk_and_problems() -> None:
    known = Known()
    known.status = msgspec.convert(
        {
            "appliance": {
                "pid": 1,
                "url": "https://pi4",
                "version": "1",
                "startedAt": "",
                "ready": True,
                "names": ["pi4"],
                "home": "/",
            },
            "instances": [],
            "host": {
                "cpuPercent": 1.0,
                "memoryUsedBytes": 61,
                "memoryTotalBytes": 100,
                "diskUsedBytes": 43,
                "diskTotalBytes": 100,
            },
            "problems": [
                {"key": "a", "title": "t", "cause": "c", "evidence": "", "nextStep": "n", "since": ""},
            ],
        },
        BoxStatus,
    )
    shown = "".join(text for text, _ in header(known, Profile(ascii=True)))
    assert shown == "weir | pi4 | 0 run 0 crash 0 stop | mem 61% disk 43% | !1 problem"


def test_rows_keep_their_order_when_the_box_lists_them_otherwise() -> None:
    one, two, three = (
        msgspec.json.decode(json.dumps(instance(number, f"i{number}")), type=Instance) for number in (1, 2, 3)
    )
    known = Known()
    known.replace([two, one])
    known.replace([one, three, two])
    assert [each.name for each in known.instances.values()] == ["i2", "i1", "i3"]
    known.replace([three])
    assert [each.name for each in known.instances.values()] == ["i3"]


@pytest.mark.parametrize(
    ("pattern", "through"),
    [("", True), ("PLANT", True), ("lab", False), ("!lab", True), ("!plant", False), ("!", True)],
)
def test_filter(pattern: str, through: bool) -> None:
    assert wanted(pattern, "+ running plant-a") is through


@pytest.mark.parametrize(
    ("environ", "flags", "low"),
    [
        ({}, {}, False),
        ({"SSH_CONNECTION": "1"}, {}, True),
        ({"SSH_CONNECTION": "1"}, {"rich": True}, False),
        ({}, {"low": True}, True),
    ],
)
def test_profile(environ: dict[str, str], flags: dict[str, bool], low: bool) -> None:
    found = choose(environ, rich=flags.get("rich", False), low=flags.get("low", False), encoding="UTF-8")
    assert found.low is low
    assert ("TEXTUAL_FPS" in textual_switches(found, environ)) is low


def test_profile_without_colour_or_unicode() -> None:
    found = choose({"NO_COLOR": "1"}, rich=False, low=False, encoding="ANSI_X3.4-1968")
    assert not found.colour
    assert found.ascii
    assert textual_switches(Profile(low=True), {"TEXTUAL_FPS": "5"}).get("TEXTUAL_FPS") is None
