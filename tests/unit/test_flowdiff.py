"""What `weir snapshot diff` says, for every kind of change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.flowdiff import Change, Side, diff, short

TAB = {"id": "t", "type": "tab", "label": "Line"}
NODE = {"id": "n", "type": "inject", "name": "tick", "z": "t", "x": 1, "y": 2, "repeat": "5"}


def test_nodes_come_go_change_and_move() -> None:
    old = Side([TAB, NODE, {"id": "gone", "type": "debug", "z": "t"}])
    new = Side(
        [{**TAB, "label": "Line 2"}, {**NODE, "x": 9, "repeat": "1"}, {"id": "new", "type": "tab", "label": "B"}]
    )
    changes = diff(old, new)
    assert [(each.kind, each.how, each.name) for each in changes] == [
        ("tab", "changed", "Line 2"),
        ("tab", "added", "B"),
        ("node", "changed", "inject tick"),
        ("node", "removed", "debug gone"),
    ]
    assert changes[2].properties == (("repeat", "5", "1"),) and changes[2].where == "Line 2"
    (moved,) = diff(Side([NODE]), Side([{**NODE, "x": 9}]))
    assert moved.how == "moved" and moved.properties == ()


def test_settings_variables_and_modules() -> None:
    old = Side([], {"page": {"title": "a"}}, {"A": "1", "KEY": {"hidden": True, "value": ""}}, {"m": "~1.0.0"})
    new = Side([], {"page": {"title": "b"}}, {"A": "2"}, {"m": "~1.0.0", "k": "*"})
    assert diff(old, new) == [
        Change("setting", "changed", "page.title", properties=(("page.title", "a", "b"),)),
        Change("variable", "changed", "A", properties=(("A", "1", "2"),)),
        Change("variable", "removed", "KEY", properties=(("KEY", "(hidden)", "-"),)),
        Change("module", "added", "k", properties=(("k", "-", "*"),)),
    ]


@given(
    st.lists(st.fixed_dictionaries({"id": st.text(), "type": st.text()}, optional={"z": st.text(), "x": st.integers()}))
)
def test_nothing_changes_against_itself_and_whatever_a_flow_holds_is_taken(flows: list[dict[str, object]]) -> None:
    assert diff(Side(flows), Side(flows)) == []
    assert len(diff(Side([]), Side(flows))) == len({str(node["id"]) for node in flows})


def test_values_are_one_short_line() -> None:
    assert (
        short("a\nb") == "a b" and short(None) == "-" and short({"a": 1}) == '{"a":1}' and len(short("x" * 999)) == 60
    )
