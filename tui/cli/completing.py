"""Completion of `weir` for shells: which words may stand where the cursor is.

The shell's function runs `weir --complete` at every Tab, so this loads neither httpx nor a command. Verbs and options
come from the parser itself; names come from the box (`tui/cli/live_names.py`).
"""

from __future__ import annotations

import shlex
from argparse import Action, ArgumentParser, _SubParsersAction
from collections.abc import Mapping, Sequence

from msgspec import Struct

from tui.address import Wanted
from tui.cli.live_names import LiveNames
from tui.cli.people_options import ROLES
from tui.cli.session import Session
from tui.errors import BoxError

FILES = 3  # the exit code that tells the shell to complete names of files
_OF_FILES = frozenset({"FILE", "DIR", "@FILE"})
_PLAIN = {"ROLE": tuple(ROLES), "on|off": ("on", "off")}
_LIVE = {
    "INSTANCE": "instances",
    "TEAM": "teams",
    "USER": "users",
    "APP": "applications",
    "STACK": "stacks",
    "TEMPLATE": "templates",
    "TYPE": "types",
    "TOKEN": "tokens",
    "SNAPSHOT": "snapshots",
    "OTHER": "snapshots",
    "DEPLOY": "kept",
    "ID": "invitations",
    "ENTRY": "entries",
    "FOLDER": "entries",
    "BOX": "boxes",
}
# Where the same word stands for something else.
_ELSEWHERE = {
    ("team create", "TYPE"): "team-types",
    ("team edit", "TYPE"): "team-types",
    ("name remove", "NAME"): "box-names",
    ("audit", "NAME"): "instances",
    ("user key remove", "KEY"): "ssh-keys",
    ("http-token edit", "TOKEN"): "http-tokens",
    ("http-token delete", "TOKEN"): "http-tokens",
    ("team invitation resend", "ID"): "team-invitations",
    ("team invitation delete", "ID"): "team-invitations",
}
_OF_INSTANCES = ("instance ", "env ")
_NEW = frozenset({"instance create"})


class Place(Struct):
    """Where the cursor is: after which command, options and plain words."""

    parser: ArgumentParser
    command: str
    options: dict[str, str]
    plain: list[str]
    waiting: Action | None  # an option whose value comes next


def complete(parser: ArgumentParser, given: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], int]:
    """The candidates for the last word, and the exit code. `given`: `bash LINE`, or `zsh WORD…`."""
    words = _words(given)
    if not words:
        return [], 1
    place = _place(parser, words[:-1])
    current = words[-1]
    option, equals, value = current.partition("=")
    if equals and option.startswith("--") and (action := _option(place.parser, option)) is not None:
        place.waiting, current = action, value
    found, code = _candidates(place, current, environ)
    before = f"{option}=" if current is value and equals else ""
    matching = [f"{before}{word}" for word in found if word.startswith(current) and word.isprintable()]
    return sorted(set(matching)), code


def _words(given: Sequence[str]) -> list[str]:
    """What stands behind `weir`, up to the cursor; the last one may be empty."""
    shell, *rest = given or [""]
    if shell == "zsh":
        return list(rest)
    line = rest[0] if rest else ""
    try:
        words = shlex.split(line)
    except ValueError:  # an open quote
        words = line.split()
    if not words or line[-1:].isspace():
        words.append("")
    return words[1:]


def _place(parser: ArgumentParser, words: Sequence[str]) -> Place:
    place = Place(parser, "", {}, [], None)
    for word in words:
        if place.waiting is not None:
            place.options[place.waiting.dest] = word
            place.waiting = None
        elif word.startswith("-") and len(word) > 1:
            _take_option(place, word)
        elif (verbs := _verbs(place.parser)) is not None and word in verbs:
            place.parser = verbs[word]
            place.command = f"{place.command} {word}".strip()
        else:
            place.plain.append(word)
    return place


def _take_option(place: Place, word: str) -> None:
    name, equals, value = word.partition("=")
    action = _option(place.parser, name)
    if action is None or action.nargs == 0:
        return
    if equals:
        place.options[action.dest] = value
    else:
        place.waiting = action


def _option(parser: ArgumentParser, name: str) -> Action | None:
    return next((action for action in parser._actions if name in action.option_strings), None)


def _verbs(parser: ArgumentParser) -> dict[str, ArgumentParser] | None:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            return dict(action.choices)
    return None


def _candidates(place: Place, current: str, environ: Mapping[str, str]) -> tuple[list[str], int]:
    if place.waiting is not None:
        return _values(place, place.waiting, environ)
    if current.startswith("-"):
        return [name for action in place.parser._actions for name in action.option_strings], 0
    if (verbs := _verbs(place.parser)) is not None:
        return list(verbs), 0
    positional = [action for action in place.parser._actions if not action.option_strings]
    if not positional:
        return [], 0
    here = min(len(place.plain), len(positional) - 1)
    if len(place.plain) > here and positional[here].nargs not in ("+", "*"):
        return [], 0
    return _values(place, positional[here], environ)


def _values(place: Place, action: Action, environ: Mapping[str, str]) -> tuple[list[str], int]:
    meant = str(action.metavar or "")
    if action.choices is not None:
        return [str(choice) for choice in action.choices], 0
    if meant in _OF_FILES:
        return [], FILES
    if meant in _PLAIN:
        return list(_PLAIN[meant]), 0
    kind = "boxes" if action.dest == "box" else _kind(place.command, meant, is_option=bool(action.option_strings))
    if not kind:
        return [], 0
    try:
        return LiveNames(_session(place, environ), environ).of(kind, place.plain, place.options), 0
    except (BoxError, OSError, ValueError):
        return [], 0  # a Tab is no place for messages


def _kind(command: str, meant: str, *, is_option: bool) -> str:
    if (command, meant) in _ELSEWHERE:
        return _ELSEWHERE[command, meant]
    if meant == "NAME" and not is_option and command.startswith(_OF_INSTANCES) and command not in _NEW:
        return "instances"
    return _LIVE.get(meant, "")


def _session(place: Place, environ: Mapping[str, str]) -> Session:
    known = {name: value for name, value in place.options.items() if name in Wanted.__struct_fields__}
    return Session(Wanted(**known), environ)


BASH = r"""# Completion of weir for bash: source <(weir completion bash)
_weir() {
    local word line current before
    COMPREPLY=()
    line=$("$1" --complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    if [ $? -eq 3 ]; then
        compopt -o default
        return
    fi
    # What stands before the last = or : is a word of its own to readline.
    current=${COMP_LINE:0:COMP_POINT}
    current=${current##*[[:space:]]}
    before=${current%"${2#=}"}
    while IFS= read -r word; do
        [ -n "$word" ] && COMPREPLY+=("$(printf %q "${word#"$before"}")")
    done <<<"$line"
}
complete -F _weir weir
"""
ZSH = r"""#compdef weir
# Completion of weir for zsh: source <(weir completion zsh), or save it as _weir in a directory of $fpath
_weir() {
    local line
    local -a found
    line=$("${(Q)words[1]}" --complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    if (( $? == 3 )); then
        _files
        return
    fi
    found=("${(@f)line}")
    (( ${#line} )) && compadd -- "${found[@]}"
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u -D }
[[ "${funcstack[1]}" == _weir ]] && _weir "$@" || compdef _weir weir
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH}
