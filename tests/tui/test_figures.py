"""What instances take, as people read it: cells, pictures, commands and the live table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.schema.resources import Figures, Sample
from tests.support import eventually
from tests.tui.conftest import Weir
from tests.tui.fakebox import FakeBox
from tests.tui.rig import page, reads
from tests.tui.test_screens import screens
from tui.figures import ASCII_BLOCKS, Series, cpu, facts, memory, series, short_size, sparkline, summary

AMOUNT = st.floats(0, 1e9)


def figures(cpu: float = 12.4, memory_mb: float = 131.0, **more: Any) -> dict[str, Any]:
    """What an instance takes, as the API shows it."""
    size, at = int(memory_mb * 1e6), datetime.now(UTC).isoformat()
    return {"cpuPercent": cpu, "memoryBytes": size, "peakBytes": size + 20_000_000, "at": at, **more}


def found(**more: Any) -> Figures:
    return msgspec.convert(figures(**more), Figures)


def sample(number: int, **more: Any) -> dict[str, Any]:
    return {"src": "ab12", "ts": 1_795_000_000_000 + number * 10_000, "ps": 125.0, "cpu": 50.0, **more}


@given(AMOUNT, st.integers(0, 10**15))
def test_cells_are_never_wider_than_four(percent: float, size: int) -> None:
    taken = Figures(cpu_percent=percent, memory_bytes=size, at="", peak_bytes=0)
    assert len(cpu(taken)) <= 4 and len(memory(taken)) <= 4


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0M"), (98_400_000, "98M"), (999_999_999, "999M"), (124 * 10**7, "1.2G"), (12 * 10**9, "12G")],
)
def test_sizes_in_four_cells(size: int, said: str) -> None:
    assert short_size(size) == said


def test_without_figures_there_is_a_dash() -> None:
    assert (cpu(None), memory(None, none="–"), facts(None)) == ("-", "–", [])


def test_facts_tell_limits_only_where_there_are_some() -> None:
    assert dict(facts(found())) == {"cpu": "12.4% of a core", "memory": "131 MB, at most 151 MB in this run"}
    told = dict(
        facts(found(cpuLimitPercent=50.0, memoryLimitBytes=256_000_000, lagMs=12.4, heapBytes=1, heapLimitBytes=2))
    )
    assert told["cpu"] == "12.4% of 50% of a core"
    assert told["memory"].startswith("131 MB of 256 MB")
    assert told["event loop"] == "late by 12 ms (p99)"


@pytest.mark.parametrize(
    ("values", "top", "picture"),
    [
        ([0.0, 50.0, 100.0], 100.0, "▁▅█"),
        ([1.0, None, 2.0], 0.0, "▅ █"),
        ([0.0, 0.0], 0.0, "▁▁"),
        ([10.0, 400.0], 100.0, "▁█"),
        ([], 100.0, ""),
        ([1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 0.0, "█▁▁▁"),
    ],
)
def test_sparklines(values: list[float | None], top: float, picture: str) -> None:
    assert sparkline(values, 4, top=top) == picture


@given(st.lists(st.none() | AMOUNT), st.integers(1, 100))
def test_a_picture_has_at_most_its_cells(values: list[float | None], cells: int) -> None:
    assert len(sparkline(values, cells)) == min(cells, len(values))
    assert summary(Series("x", values, "%"), cells, ascii_only=True).isascii()


def test_messages_are_a_rate_and_a_restart_is_no_negative_one() -> None:
    counted = [msgspec.convert(sample(n, nrrecv=count), Sample) for n, count in enumerate([0, 100, 300, 50])]
    rates = next(each for each in series(counted) if each.name == "messages").values
    assert rates == [None, 10.0, 20.0, 5.0]


async def test_the_table_follows_what_the_box_says(box: FakeBox) -> None:
    async with screens(box) as (app, _):
        await reads(app, "plant-test")
        assert page(app)[3].split()[-5:-2] == ["–", "–", "0"]
        box.set_resources("plant-a", figures(11.2, 131))
        await eventually(lambda: page(app)[3].split()[-5:-2] == ["11%", "131M", "0"])
        box.set_state("plant-a", "restarting")
        await reads(app, "~ restarting")
        assert "131M" in page(app)[3], "a state says nothing about memory"
        box.set_state("plant-a", "running")
        box.set_resources("plant-a", None)
        await eventually(lambda: page(app)[3].split()[-5:-3] == ["–", "–"])


async def test_list_show_and_status(box: FakeBox, weir: Weir) -> None:
    box.find("plant-a")["resources"] = figures(12.4, 131, lagMs=3.0)
    lines = (await weir("instance", "list")).out.splitlines()
    assert lines[0].split() == ["STATE", "NAME", "TEAM", "CPU", "MEM", "RST", "AGE", "ADDRESS"]
    assert lines[1].split()[4:6] == ["12%", "131M"] and lines[2].split()[4:6] == ["-", "-"]
    shown = (await weir("instance", "show", "plant-a")).out
    assert "12.4% of a core" in shown and "131 MB, at most 151 MB in this run" in shown


async def test_resources_draws_the_last_hours(box: FakeBox, weir: Weir) -> None:
    found = box.find("plant-a")
    found["resources"] = figures(12.4, 131)
    found["samples"] = [sample(n, cpu=float(n % 100), nrrecv=n * 100, el99=0.25) for n in range(720)]
    done = await weir("instance", "resources", "plant-a", env={"COLUMNS": "80", "PYTHONIOENCODING": "utf-8"})
    assert done.code == 0, done.err
    assert "The last 119m, 720 samples:" in done.out or "The last 1h, 720 samples:" in done.out
    line = next(line for line in done.out.splitlines() if line.startswith("  cpu ") and "▁" in line or "█" in line)
    assert "19%" in line and "average 48%, most 99%" in line
    assert "most 250 ms" in done.out and "most 10/s" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    plain = await weir("instance", "resources", "plant-a", env={"PYTHONIOENCODING": "ascii"})
    assert plain.code == 0 and plain.out.isascii() and ASCII_BLOCKS[-1] in plain.out
    told = json.loads((await weir("instance", "resources", "plant-a", "--json")).out)
    assert told["count"] == 720 and told["resources"][-1]["ts"] == sample(719)["ts"]


async def test_resources_of_one_that_does_not_run(box: FakeBox, weir: Weir) -> None:
    done = await weir("instance", "resources", "plant-test")
    assert done.code == 0 and "plant-test is crashed\nNo samples" in done.out
