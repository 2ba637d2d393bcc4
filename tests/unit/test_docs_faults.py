"""The table of faults names tests that exist, and every row of the reference."""

from __future__ import annotations

import re

import pytest

from tests.support import ROOT

TABLE = (ROOT / "docs" / "faults.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(test_\w+)`", TABLE)))


def test_every_row_is_there() -> None:
    rows = dict(re.findall(r"^\| L(\d+) \| (.*) \|$", TABLE, re.MULTILINE))
    assert list(rows) == [str(number) for number in range(1, 32)]
    for number, row in rows.items():
        _, here, tests = row.split(" | ")
        assert ("::" in tests) == (here != "\N{EN DASH}"), f"L{number}"


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_is_there(file: str, name: str) -> None:
    source = (ROOT / "tests" / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file} has no {name}"


def test_nothing_is_named_in_another_form() -> None:
    assert len(re.findall("::", TABLE)) == len(re.findall(r"`[\w/]+\.py::test_\w+`", TABLE))
