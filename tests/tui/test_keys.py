"""The key table: everything in it can be done, and no terminal eats it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ROOT
from tui import keys
from tui.keys import ACTIONS, Keys
from tui.keytable import KEPT_KEYS
from tui.remap import EATEN, parse, read_own
from tui.screens import opener
from tui.screens.registry import PLACES, Place

BUILT_IN = Keys()
HOME = PLACES[0]
FORMS = ("form",)


def classes() -> list[Place]:
    return [each for each in PLACES if each.screen]


@pytest.mark.parametrize("place", classes(), ids=lambda each: each.word)
def test_every_place_opens_and_every_action_of_its_screen_is_there(place: Place) -> None:
    screen = opener.load(place)
    assert screen.word == place.word  # type: ignore[attr-defined]
    for action in keys.actions(screen.scopes):  # type: ignore[attr-defined]
        there = callable(getattr(screen, f"do_{action.id}", None))
        assert there or keys.place_of(action.place), f"{place.word} lacks {action.name}"


@pytest.mark.parametrize("action", ACTIONS, ids=lambda each: each.name)
def test_no_key_is_one_that_terminals_lose(action: keys.Action) -> None:
    for key in action.keys:
        assert key not in EATEN
        assert not key.startswith(("alt+", "ctrl+shift+"))
    assert any("+" not in key for key in action.keys) or action.command or action.place


def test_names_are_unique_and_a_key_means_one_thing_within_a_scope() -> None:
    assert len({each.name for each in ACTIONS}) == len(ACTIONS)
    for scope in keys.SCOPES:
        used = [key for each in ACTIONS if each.scope == scope for key in each.keys]
        assert len(used) == len(set(used)), scope


def test_what_changes_the_box_has_a_word() -> None:
    assert [each.name for each in ACTIONS if each.changes and not each.command] == []


@pytest.mark.parametrize("scope", ["instances", "instance", "snapshots", "env", "settings"])
def test_what_changes_an_instance_needs_a_permission(scope: str) -> None:
    assert [each.name for each in ACTIONS if each.scope == scope and each.changes and not each.permission] == []


def test_words_mean_one_thing_on_a_screen_and_help_has_them_all() -> None:
    places = [word for each in PLACES for word in (each.word, *each.aliases)]
    assert len(places) == len(set(places))
    for word, group in keys.commands().items():
        assert len({each.scope for each in group}) == len(group), word
    told = {command for _, command, _ in BUILT_IN.help_rows()}
    assert {f":{word}" for word in (*keys.commands(), *(each.word for each in PLACES))} <= told


def test_who_may_not_is_not_told_of_it() -> None:
    told = {command for _, command, _ in BUILT_IN.help_rows(lambda each: not each.permission)}
    assert ":restart" not in told and ":delete" not in told and ":help" in told
    assert ("r", "restart") not in BUILT_IN.footer(("instance", "anywhere"), 500, lambda each: not each.permission)


@pytest.mark.parametrize("place", classes(), ids=lambda each: each.word)
@pytest.mark.parametrize("cells", [20, 78, 200])
def test_the_footer_fits_and_always_offers_help(place: Place, cells: int) -> None:
    shown = BUILT_IN.footer(opener.load(place).scopes, cells)  # type: ignore[attr-defined]
    assert ("?", "help") in shown
    assert sum(len(key) + len(label) + 3 for key, label in shown) <= cells + 2  # no blanks after the last


def test_all_of_the_home_screens_footer_fits_80_cells() -> None:
    scopes = opener.load(HOME).scopes  # type: ignore[attr-defined]
    assert BUILT_IN.footer(scopes, 78) == BUILT_IN.footer(scopes, 500)


def test_the_document_is_current() -> None:
    """If this fails: .venv/bin/python -m tui.keys > docs/keys.md"""
    assert (ROOT / "docs" / "keys.md").read_text() == keys.document()


def test_ones_own_keys_come_first_and_the_built_in_ones_stay() -> None:
    own = parse('[keys]\n"instance.restart" = ["f5", "ctrl+n"]\n"instance.stop" = "r"\n', "keys.toml")
    assert own.mistakes == ()
    found = Keys(own.keys)
    keymap = found.keymap(("instance", "anywhere"))
    assert (keymap["f5"].id, keymap["ctrl+n"].id, keymap["r"].id, keymap["t"].id) == (*["restart"] * 2, *["stop"] * 2)
    assert ("F5", "restart") in found.footer(("instance", "anywhere"), 200)
    assert ("f5".capitalize() + " ^N r", ":restart", "restart its flows") in found.help_rows()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[keys]\n\n"instance.fly" = "f5"', "line 3: there is no action 'instance.fly'"),
        ('[keys]\n"instance.stop" = "ctrl+a"', "line 2: 'ctrl+a' for 'instance.stop' is no key"),
        ('[keys]\n"instance.stop" = "question_mark"', "line 2: 'question_mark' can't be given away"),
        ('[keys]\n"instance.stop" = 7', "line 2: 'instance.stop' needs a key"),
        ('[keys.instance]\n# x\nstop = "alt+x"', "line 3: 'alt+x' for 'instance.stop'"),
        ('[keys]\n"instance.stop" = "f5"\n"instance.start" = "f5"', "line 3: 'f5' is that of 'instance.stop' already"),
        ("[kees]\nx = 1", "line 1: 'kees' is unknown"),
        ("keys = 3", "line 1: write [keys]"),
        ('[keys]\n"instance.stop" = ', "line 2"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_costs_no_other_key(text: str, says: str) -> None:
    own = parse(f"{text}\n", "keys.toml")
    assert len(own.mistakes) == 1 and says in own.mistakes[0], own
    keymap = Keys(own.keys).keymap(("instance", "anywhere"))
    assert keymap["t"].id == "stop" and all(key in keymap for key in KEPT_KEYS - {"enter"})


def test_the_file_of_ones_own_keys(tmp_path: Path) -> None:
    assert read_own({"HOME": str(tmp_path)}).mistakes == ()
    file = tmp_path / "weir" / "keys.toml"
    file.parent.mkdir()
    file.write_text('[keys]\n"logs.wrap" = "f2"\n')
    assert read_own({"XDG_CONFIG_HOME": str(tmp_path)}).keys == {"logs.wrap": ("f2",)}
    assert "is not there" in read_own({"WEIR_KEYS": str(tmp_path / "none")}).mistakes[0]
    (tmp_path / "bad").write_bytes(b"\xff")
    assert "cannot be read" in read_own({"WEIR_KEYS": str(tmp_path / "bad")}).mistakes[0]
