"""The ring behaves as a plain list that forgets its beginning."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.filters import wanted
from tui.widgets.log_view import folded
from tui.widgets.ring import LINE_CELLS, Ring

CAP = 20
LINES = st.lists(st.sampled_from(["a", "b", "ab", "Error", "x" * 30]), max_size=15)


@given(st.lists(st.tuples(LINES, st.sampled_from(["", "a", "!a", "error"])), max_size=12))
def test_shown_lines_are_the_end_of_what_came(steps: list[tuple[list[str], str]]) -> None:
    ring, everything = Ring(cap=CAP), list[str]()
    for lines, pattern in steps:
        if pattern != ring.pattern:
            ring.filter(pattern)
        ring.append(lines)
        everything += lines
        shown = [ring.line(number) for number in ring.shown(0, 1000)]
        assert len(shown) == len(ring)
        kept = [line for line in everything[-CAP:] if wanted(pattern, line)]
        assert shown[len(shown) - len(kept) :] == kept
        assert len(shown) <= CAP + CAP // 10
        assert ring.end == len(everything)


def test_a_position_stays_with_its_line_while_old_lines_go() -> None:
    ring = Ring(cap=10)
    ring.append([str(number) for number in range(10)])
    held = ring.shown(6, 1)[0]
    ring.append([str(number) for number in range(10, 15)])
    assert ring.line(ring.shown(ring.position(held), 1)[0]) == "6"
    ring.append([str(number) for number in range(15, 40)])
    assert ring.position(held) == 0  # it is gone: the oldest there is


def test_endless_lines_are_cut() -> None:
    ring = Ring()
    ring.append(["x" * 5000])
    assert ring.line(0) == "x" * LINE_CELLS + "…"


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "M")), max_size=60), st.integers(2, 12))
def test_folding_loses_nothing(line: str, cells: int) -> None:
    assert "".join(folded(line, cells)) == line


def test_older_lines_go_in_front_and_numbers_stay() -> None:
    ring = Ring(cap=10)
    ring.append(["d", "e"])
    first = ring.shown(0, 1)[0]
    ring.filter("b")
    ring.prepend(["a", "b", "c"])
    assert [ring.line(number) for number in ring.shown(0, 9)] == ["b"]
    ring.filter("")
    assert [ring.line(number) for number in ring.shown(0, 9)] == list("abcde")
    assert ring.line(first) == "d" and ring.position(first) == 3 and ring.whole
    ring.append(["x"] * 20)
    assert not ring.whole, "a line between was cut: older ones would stand beside younger ones"
