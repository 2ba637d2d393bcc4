"""The one table of what can be done. Bindings, footer, help, `:` commands and `docs/keys.md` are derived from it."""

from __future__ import annotations

from tui import platformkeys
from tui.action import Action as Action

ANYWHERE = "anywhere"
TABLE = "table"
LINES = "lines"
INSTANCES = "instances"
INSTANCE = "instance"
LOGS = "logs"
FLOWS = "flows"
SNAPSHOTS = "snapshots"
ENV = "env"
SETTINGS = "settings"
LIMITS = "limits"
FORM = "form"
# Id of a scope to its title in the help; a scope of a new screen gets a line here.
SCOPES = {
    ANYWHERE: "Everywhere",
    TABLE: "Moving",
    LINES: "In lists",
    INSTANCES: "Instances",
    INSTANCE: "About an instance",
    LOGS: "Logs",
    FLOWS: "Flows",
    SNAPSHOTS: "Snapshots",
    ENV: "Environment",
    SETTINGS: "Settings",
    LIMITS: "Limits",
    FORM: "Forms",
    **platformkeys.SCOPES,
}


def _move(id_: str, keys: tuple[str, ...], shown_key: str, label: str, text: str) -> Action:
    return Action(id_, keys, shown_key, label, TABLE, text)


def _life(id_: str, key: str, text: str, *, shown: bool = True) -> Action:
    permission = "project:change-status"
    return Action(id_, (key,), key, id_, INSTANCE, text, id_, shown=shown, changes=True, permission=permission)


def _tab(number: int, place: str, text: str) -> Action:
    return Action(f"tab_{number}", (str(number),), str(number), place, INSTANCE, text, place=place)


_INSTANCES = (
    Action("open", ("enter", "d"), "Enter", "open", INSTANCES, "why it is as it is, and all about it", place="show"),
    Action("logs", ("l",), "l", "logs", INSTANCE, "its log; with marks those of all marked ones together", shown=True),
    _life("start", "S", "start it"),
    _life("stop", "t", "stop its flows"),
    _life("restart", "r", "restart its flows"),
    Action(
        "safe",
        ("R",),
        "R",
        "safe mode",
        INSTANCE,
        "restart it with its flows stopped, for a repair",
        "safe",
        changes=True,
        permission="project:change-status",
    ),
    Action(
        "kill",
        ("ctrl+k",),
        "^K",
        "kill",
        INSTANCE,
        "kill its Node-RED at once, and start it again",
        "kill",
        changes=True,
        permission="project:change-status",
    ),
    _life("suspend", "u", "stop it with its launcher, so that it takes no memory", shown=False),
    Action(
        "create",
        ("c",),
        "c",
        "create",
        INSTANCES,
        "make an instance, step by step",
        shown=True,
        permission="project:create",
        place="create",
    ),
    Action(
        "delete",
        ("ctrl+d",),
        "^D",
        "delete",
        INSTANCE,
        "delete it with its flows, after its name was typed",
        "delete",
        changes=True,
        permission="project:delete",
    ),
    Action("address", ("o",), "o", "address", INSTANCE, "show the address of its editor", "address"),
    Action(
        "shell",
        ("s",),
        "s",
        "shell",
        INSTANCE,
        "a shell of it: in its sandbox where it has one",
        "shell",
        permission="project:shell",
        needs="shell",
    ),
    Action("environment", ("e",), "e", "env", INSTANCE, "its variables", place="env"),
    _tab(1, "show", "state, why, and what comes next"),
    _tab(2, "logs", "its log"),
    _tab(3, "flows", "its tabs, subflows and nodes"),
    _tab(4, "snap", "its snapshots"),
    _tab(5, "env", "its variables"),
    _tab(6, "settings", "its settings"),
    _tab(7, "access", "its addresses, and one of them for a telephone's camera"),
    _tab(8, "history", "who did what to it"),
    _tab(9, "limits", "what it takes, and what it may"),
)
_LOGS = (
    Action("follow", ("G", "end", "f"), "G", "follow", LOGS, "go to the end and follow", "follow", shown=True),
    Action("pause", ("p", "space"), "p", "pause", LOGS, "stop or go on following", "pause", shown=True),
    Action("wrap", ("w",), "w", "wrap", LOGS, "fold long lines, or cut them", "wrap", shown=True),
    Action("level", ("v",), "v", "level", LOGS, "show all, warnings and errors, or errors only", "level", shown=True),
    Action(
        "jump", ("T",), "T", "time", LOGS, "go to a time: 14:05, 14:05:30, or -15m for a while ago", "jump", shown=True
    ),
    Action(
        "save", ("s",), "s", "save", LOGS, "write what the filter shows into a file", "save", shown=True, needs="files"
    ),
    Action("clear", ("c",), "c", "clear", LOGS, "forget what is shown here; the box keeps it", "clear"),
    Action("left", ("left", "h"), "h", "left", LOGS, "see what is left of the window"),
    Action("right", ("right",), "Right", "right", LOGS, "see what is right of the window"),
)
_TABS = (
    Action("fold", ("enter", "space"), "Enter", "fold", FLOWS, "open or close a tab; all about a node", shown=True),
    Action("fold_all", ("a",), "a", "all", FLOWS, "open or close all tabs", "all", shown=True),
    Action(
        "snapshot",
        ("c",),
        "c",
        "create",
        SNAPSHOTS,
        "keep what the instance is now",
        "snapshot",
        shown=True,
        changes=True,
        permission="project:snapshot:create",
    ),
    Action(
        "diff",
        ("enter", "d"),
        "Enter",
        "diff",
        SNAPSHOTS,
        "what changed since then; with one marked, from that to this one",
        "diff",
        shown=True,
        permission="snapshot:full",
    ),
    Action("mark", ("space",), "Space", "mark", SNAPSHOTS, "mark for a comparison", shown=True),
    Action(
        "restore",
        ("R",),
        "R",
        "restore",
        SNAPSHOTS,
        "make it what the instance is; what it was is kept as a snapshot",
        "restore",
        shown=True,
        changes=True,
        permission="project:snapshot:rollback",
    ),
    Action(
        "remove",
        ("x",),
        "x",
        "delete",
        SNAPSHOTS,
        "delete the snapshot, after its name was typed",
        "remove",
        shown=True,
        changes=True,
        permission="snapshot:delete",
    ),
)


def _of_env(id_: str, keys: tuple[str, ...], shown_key: str, label: str, text: str, command: str) -> Action:
    permission = "project:edit-env"
    return Action(id_, keys, shown_key, label, ENV, text, command, shown=True, changes=True, permission=permission)


def _of_limits(id_: str, keys: tuple[str, ...], shown_key: str, label: str, text: str, command: str) -> Action:
    permission = "project:limits:edit"
    return Action(id_, keys, shown_key, label, LIMITS, text, command, shown=True, changes=True, permission=permission)


_FORMS = (
    _of_env("add", ("a",), "a", "add", "add a variable: NAME=VALUE", "add"),
    _of_env("edit", ("enter", "E"), "Enter", "edit", "give it another value", "edit"),
    _of_env("hide", ("H",), "H", "hide", "hide its value for good, or show what is typed next", "hide"),
    _of_env("unset", ("x",), "x", "remove", "take the variable away", "unset"),
    Action(
        "set",
        ("enter", "E"),
        "Enter",
        "change",
        SETTINGS,
        "change the setting; default takes a change back",
        "set",
        shown=True,
        changes=True,
        permission="project:edit",
    ),
    _of_limits("set", ("enter", "E"), "Enter", "change", "change the limit; default is that of its type", "limit"),
    _of_limits("lease", ("a",), "a", "lease", "lease a device of the box to this instance alone", "lease"),
    _of_limits("return", ("x",), "x", "take back", "take a device back, after its path was typed", "take-back"),
    Action("edit", ("enter",), "Enter", "edit", FORM, "fill in the field, or do what the line says", shown=True),
    Action("next", ("right", "l"), "Right", "next choice", FORM, "the next of the choices", shown=True),
    Action("previous", ("left", "h"), "Left", "previous choice", FORM, "the choice before"),
    Action("submit", ("ctrl+s", "S"), "S", "go", FORM, "do it", "submit", shown=True),
)
_TABLE = (
    _move("up", ("k", "up"), "k", "up", "one line up"),
    _move("down", ("j", "down"), "j", "down", "one line down"),
    _move("page_up", ("pageup", "ctrl+u"), "PgUp", "page up", "one page up"),
    _move("page_down", ("pagedown", "ctrl+f"), "PgDn", "page down", "one page down"),
    _move("top", ("g", "home"), "g", "top", "to the first line"),
    _move("bottom", ("G", "end"), "G", "end", "to the last line"),
    Action("mark", ("space",), "Space", "mark", LINES, "mark the line; actions then mean all marked ones", "mark"),
    Action("unmark", ("U",), "U", "unmark", LINES, "take all marks away", "unmark"),
    Action("whole", ("y", "enter"), "y", "whole", LINES, "all of the line, with what does not fit", "whole"),
)
_ANYWHERE = (
    Action("filter", ("slash",), "/", "filter", ANYWHERE, "only lines with a text; !text, state=running", shown=True),
    Action("command", ("colon",), ":", "go", ANYWHERE, "type a command or the name of a screen", shown=True),
    Action("help", ("question_mark",), "?", "help", ANYWHERE, "this list", "help", shown=True),
    Action("back", ("escape",), "Esc", "back", ANYWHERE, "take back the filter or the marks, else leave the screen"),
    Action("before", ("left_square_bracket",), "[", "before", ANYWHERE, "the screen that was shown before", "back"),
    Action("after", ("right_square_bracket",), "]", "after", ANYWHERE, "the screen after, having gone back", "forward"),
    Action("last", ("minus",), "-", "last", ANYWHERE, "to and fro between the last two screens", "last"),
    Action("refresh", ("ctrl+r",), "^R", "refresh", ANYWHERE, "ask the box for everything again", "refresh"),
    Action(
        "quit", ("q",), "q", "leave", ANYWHERE, "leave; in the first list quit, the box keeps running", "q", shown=True
    ),
)
ACTIONS = (*_INSTANCES, *_LOGS, *_TABS, *_FORMS, *platformkeys.ACTIONS, *_TABLE, *_ANYWHERE)
# Whatever the file of one's own keys says, these stay: without them nobody finds out again.
KEPT_KEYS = frozenset({"colon", "question_mark", "escape", "enter", "q"})
