"""Log cursors between the platform's spelling and the launcher's."""

from __future__ import annotations

import pytest

from appliance.errors import Invalid
from appliance.web.logpage import inclusive, page_of

A, B, C = "17000000000000000", "17000000000000001", "17000000000010000"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (None, None),
        ("", None),
        (A, B),
        ("17000000000009999", C),
        (f"-{B}", f"-{A}"),
        (f"-{C}", "-17000000000009999"),
        ("-" + "0" * 17, "-" + "0" * 17),
    ],
)
def test_the_named_entry_is_left_out(ours: str | None, theirs: str | None) -> None:
    assert inclusive(ours) == theirs


@pytest.mark.parametrize("bad", ["1", "x" * 17, "--" + A, A + "0", "-", "١" * 17])
def test_what_is_no_cursor_is_refused(bad: str) -> None:
    with pytest.raises(Invalid, match="not a cursor"):
        inclusive(bad)


def test_page_in_the_middle() -> None:
    page = page_of({"first_entry": A, "previous_cursor": "-x"}, [{"ts": B, "msg": 1}, {"ts": C, "msg": 2}], None)
    assert (page.meta.next_cursor, page.meta.previous_cursor) == (C, f"-{B}")
    assert (page.meta.first_entry, page.meta.last_entry) == (A, C)


def test_no_way_back_at_the_beginning() -> None:
    assert page_of({"first_entry": A, "previous_cursor": "-x"}, [{"ts": A}], None).meta.previous_cursor is None
    assert page_of({"first_entry": A}, [{"ts": B}], None).meta.previous_cursor is None


def test_an_empty_page_keeps_the_place() -> None:
    assert page_of({}, [], A).meta.next_cursor == A
    assert page_of({}, [], f"-{A}").meta.next_cursor is None
    assert page_of({}, [], None).log == []
