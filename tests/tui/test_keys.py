"""The key table: everything in it can be done, and no terminal eats it."""

from __future__ import annotations

import pytest

from tui import keys
from tui.screens.frame import Frame
from tui.screens.instances import InstancesScreen
from tui.screens.lists_of_words import HelpScreen, ProblemsScreen
from tui.screens.logs import LogsScreen

SCREENS = (InstancesScreen, LogsScreen, HelpScreen, ProblemsScreen)
# Backspace, Tab, Enter, Escape, the prefixes of screen and tmux, suspend, and the flow control of serial lines.
EATEN = {"ctrl+h", "ctrl+i", "ctrl+m", "ctrl+j", "ctrl+left_square_bracket", "ctrl+a", "ctrl+b", "ctrl+z"}


@pytest.mark.parametrize("screen", SCREENS)
def test_every_action_of_a_screen_is_there(screen: type[Frame]) -> None:
    for action in keys.actions(screen.scopes):
        assert callable(getattr(screen, f"do_{action.id}", None)), f"{screen.__name__} lacks {action.id}"


@pytest.mark.parametrize("action", keys.ACTIONS, ids=lambda each: f"{each.scope}-{each.id}")
def test_no_key_is_one_that_terminals_lose(action: keys.Action) -> None:
    for key in action.keys:
        assert key not in EATEN
        assert not key.startswith(("alt+", "ctrl+shift+"))
    assert any("+" not in key for key in action.keys) or action.command


def test_a_key_means_one_thing_within_a_scope() -> None:
    for scope in keys.SCOPES:
        used = [key for each in keys.ACTIONS if each.scope == scope for key in each.keys]
        assert len(used) == len(set(used))


def test_what_changes_the_box_has_a_word() -> None:
    assert all(each.command for each in keys.ACTIONS if each.changes)


def test_commands_are_unique_and_help_has_them_all() -> None:
    words = [each.command for each in keys.ACTIONS if each.command] + list(keys.PLACES)
    assert len(words) == len(set(words))
    told = {command for _, command, _ in keys.help_rows()}
    assert {f":{word}" for word in words} <= told


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("cells", [20, 78, 200])
def test_the_footer_fits_and_always_offers_help(screen: type[Frame], cells: int) -> None:
    shown = keys.footer(screen.scopes, cells)
    assert ("?", "help") in shown
    assert sum(len(key) + len(label) + 3 for key, label in shown) <= cells + 2  # no blanks after the last


def test_all_of_the_home_screens_footer_fits_80_cells() -> None:
    wide = keys.footer(InstancesScreen.scopes, 500)
    assert keys.footer(InstancesScreen.scopes, 78) == wide
