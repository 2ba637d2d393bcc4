"""Strangers' text is made harmless, and everything fits its cells."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.loglines import Entry, entry, lines
from tui.signs import signed
from tui.text import age, duration, fit, json_visible, size, visible, width


@given(st.text())
def test_visible_text_has_no_control_characters(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable() or shown == ""


@given(st.text())
def test_ascii_only_is_ascii(text: str) -> None:
    assert visible(text, ascii_only=True).isascii()


@given(st.text(), st.integers(0, 40), st.booleans())
def test_fit_takes_exactly_its_cells(text: str, cells: int, right: bool) -> None:
    shown = fit(visible(text), cells, right=right)
    assert width(shown) == cells


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\n", "a\\x0db\\x0a"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("日本", "日本"),
        ("[bold]markup[/]", "[bold]markup[/]"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_cut_text_says_so_and_counts_wide_characters() -> None:
    assert fit("日本語", 5) == "日本…"
    assert fit("abcdef", 4) == "abc…"
    assert fit("7", 3, right=True) == "  7"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0s"), (41, "41s"), (60, "1m"), (7199, "119m"), (7200, "2h"), (86400 * 90, "90d")]
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_age_of_what_is_no_time() -> None:
    now = datetime.now(UTC)
    assert age(None, now) == "-"
    assert age("soon", now) == "-"
    assert age((now - timedelta(days=12)).isoformat().replace("+00:00", "Z"), now) == "12d"


def test_size() -> None:
    assert [size(0), size(131_000_000), size(3_900_000_000)] == ["0 B", "131 MB", "3.9 GB"]


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("running", "+ running"),
        ("starting", "~ starting"),
        ("suspended", "- suspended"),
        ("crashed", "x crashed"),
        ("unknown", "! unknown"),
        ("safe", "! safe"),
        ("of tomorrow", "! of tomorrow"),
    ],
)
def test_a_state_is_sign_and_word(state: str, shown: str) -> None:
    assert signed(state) == shown


def test_log_lines_indent_what_follows_the_first() -> None:
    each = entry('{"ts":"17950000000000000","level":"error","type":"function","name":"calc","msg":"boom\\n  at f"}')
    assert lines(each, zone=UTC) == ["11:06:40 error  [function:calc] boom", " " * 16 + "  at f"]


def test_log_line_without_level_or_with_any_json() -> None:
    assert lines(entry('{"ts":"x","msg":{"a":[1]}}'), zone=UTC) == ['         out    {"a":[1]}']
    assert lines(entry("not json \x1b[2J"), zone=UTC) == ["         out    not json \\x1b[2J"]


def test_a_level_is_data_too() -> None:
    assert lines(Entry(ts="x", level="\x1b[2J very long", msg="m"), zone=UTC) == ["         \\x1b[~ m"]


def test_json_for_a_terminal_says_the_same_without_its_codes() -> None:
    """JSON leaves C1 codes as they are, and a terminal takes U+009B for the start of a command."""
    value = {"msg": "\x9b2J \u202e \x7f \U000e0041 w\u00e4rme", "n": [1]}
    shown = json_visible(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(shown) == value and "w\u00e4rme" in shown
    assert not {char for char in shown if not char.isprintable()} - {"\n"}
    assert json_visible('{"a": "b\x7f"}') == '{"a": "b\\u007f"}'
