"""The one table of what can be done. Bindings, footer, help and `:` commands are derived from it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

ANYWHERE = "anywhere"
TABLE = "table"
INSTANCES = "instances"
LOGS = "logs"
SCOPES = {ANYWHERE: "Everywhere", TABLE: "In lists", INSTANCES: "Instances", LOGS: "Logs"}


class Action(Struct, frozen=True):
    """Something the user can do. `keys` are textual's names, `shown_key` is what people read.

    `command` is its word after `:`, so that no action needs a key that a terminal may lose; `shown` puts it in the
    footer; `changes` marks what changes the box: people who may only read do not get to see it.
    """

    id: str
    keys: tuple[str, ...]
    shown_key: str
    label: str
    scope: str
    help: str
    command: str = ""
    shown: bool = False
    changes: bool = False


ACTIONS = (
    Action("logs", ("l", "enter"), "l", "logs", INSTANCES, "show the log of the instance", "logs", shown=True),
    Action("start", ("S",), "S", "start", INSTANCES, "start it", "start", shown=True, changes=True),
    Action("stop", ("t",), "t", "stop", INSTANCES, "stop its flows", "stop", shown=True, changes=True),
    Action("restart", ("r",), "r", "restart", INSTANCES, "restart its flows", "restart", shown=True, changes=True),
    Action("address", ("o",), "o", "address", INSTANCES, "show the address of its editor", "address", shown=True),
    Action("follow", ("G", "end", "f"), "G", "follow", LOGS, "go to the end and follow", "follow", shown=True),
    Action("pause", ("p", "space"), "p", "pause", LOGS, "stop or go on following", "pause", shown=True),
    Action("wrap", ("w",), "w", "wrap", LOGS, "fold long lines, or cut them", "wrap", shown=True),
    Action("up", ("k", "up"), "k", "up", TABLE, "one line up"),
    Action("down", ("j", "down"), "j", "down", TABLE, "one line down"),
    Action("page_up", ("pageup", "ctrl+u"), "PgUp", "page up", TABLE, "one page up"),
    Action("page_down", ("pagedown", "ctrl+d"), "PgDn", "page down", TABLE, "one page down"),
    Action("top", ("g", "home"), "g", "top", TABLE, "to the first line"),
    Action("bottom", ("G", "end"), "G", "end", TABLE, "to the last line"),
    Action("left", ("left", "h"), "h", "left", LOGS, "see what is left of the window"),
    Action("right", ("right",), "Right", "right", LOGS, "see what is right of the window"),
    Action("filter", ("slash",), "/", "filter", ANYWHERE, "show only lines with a text; !text: without it", shown=True),
    Action("command", ("colon",), ":", "go", ANYWHERE, "go to a screen, or do an action by its word", shown=True),
    Action("help", ("question_mark",), "?", "help", ANYWHERE, "this list", "help", shown=True),
    Action("back", ("escape",), "Esc", "back", ANYWHERE, "clear the filter, then go back"),
    Action("refresh", ("ctrl+r",), "^R", "refresh", ANYWHERE, "ask the box for everything again", "refresh"),
    Action(
        "quit",
        ("q",),
        "q",
        "leave",
        ANYWHERE,
        "go back; in the first list quit, the box keeps running",
        "q",
        shown=True,
    ),
)
PLACES = {"inst": "the instances", "problems": "what is wrong with the box"}


def actions(scopes: Sequence[str]) -> list[Action]:
    """The actions of these scopes, in the table's order."""
    return [each for each in ACTIONS if each.scope in scopes]


def keymap(scopes: Sequence[str]) -> dict[str, Action]:
    """Key to action; of two actions with one key, that of the scope named first."""
    found: dict[str, Action] = {}
    for scope in scopes:
        for each in ACTIONS:
            if each.scope == scope:
                for key in each.keys:
                    found.setdefault(key, each)
    return found


def commands() -> dict[str, Action]:
    """Word after `:` to action."""
    return {each.command: each for each in ACTIONS if each.command}


def footer(scopes: Sequence[str], cells: int) -> list[tuple[str, str]]:
    """Keys and labels that fit on one line, `?` always among them."""
    shown = [(each.shown_key, each.label) for each in actions(scopes) if each.shown]
    keep = [pair for pair in shown if pair[0] == "?"]
    for pair in shown:
        if pair not in keep and sum(len(key) + len(label) + 3 for key, label in [*keep, pair]) <= cells + 2:
            keep.append(pair)
    return [pair for pair in shown if pair in keep]


def help_rows() -> list[tuple[str, str, str]]:
    """Key, `:` word and explanation of every action, grouped by scope; a group starts with a row of its title."""
    rows: list[tuple[str, str, str]] = []
    for scope, title in SCOPES.items():
        rows.append(("", "", title))
        for each in ACTIONS:
            if each.scope == scope:
                rows.append((each.shown_key, f":{each.command}" if each.command else "", each.help))
    rows += [("", "", "Places"), *(("", f":{word}", text) for word, text in PLACES.items())]
    return rows
