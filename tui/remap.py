"""Somebody's own keys, from a TOML file. A mistake in it costs the line it is on, never the keys."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from tui.keytable import ACTIONS, KEPT_KEYS

# Terminals, screen and tmux need these for themselves.
EATEN = frozenset(
    {"ctrl+h", "ctrl+i", "ctrl+m", "ctrl+j", "ctrl+left_square_bracket", "ctrl+a", "ctrl+b", "ctrl+z", "ctrl+c"}
)
KEY = re.compile(r"(?:(?:ctrl|shift)\+)?[a-z0-9_]+|[A-Z]")


class Own(Struct, frozen=True):
    """Keys by the name of an action, and what was wrong with the file, a sentence each."""

    keys: Mapping[str, tuple[str, ...]] = {}
    mistakes: tuple[str, ...] = ()


def read_own(environ: Mapping[str, str] | None = None) -> Own:
    """The file that WEIR_KEYS names, else `keys.toml` in the user's configuration; without one nothing."""
    given = os.environ if environ is None else environ
    named = given.get("WEIR_KEYS", "")
    config = Path(given.get("XDG_CONFIG_HOME") or Path(given.get("HOME", "/")) / ".config")
    path = Path(named) if named else config / "weir" / "keys.toml"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Own(mistakes=(f"{path} (of WEIR_KEYS) is not there",)) if named else Own()
    except (OSError, UnicodeDecodeError) as error:
        return Own(mistakes=(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}",))
    return parse(text, str(path))


def parse(text: str, path: str) -> Own:
    """The file's content; wrong entries are left out and told with their line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Own(mistakes=(f"{path} is no TOML: {error}",))
    table, mistakes = document.pop("keys", {}), []
    mistakes += [f"{path}, line {_line(text, name)}: '{name}' is unknown; there is [keys]" for name in document]
    if not isinstance(table, dict):
        return Own(mistakes=(*mistakes, f"{path}, line {_line(text, 'keys')}: write [keys] and the keys below it"))
    names = {each.name for each in ACTIONS}
    keys: dict[str, tuple[str, ...]] = {}
    taken: dict[tuple[str, str], str] = {}
    for name, value in _flat(table).items():
        why = f"there is no action '{name}'" if name not in names else _wrong(name, value, taken)
        if why:
            mistakes.append(f"{path}, line {_line(text, name)}: {why}")
        else:
            keys[name] = (value,) if isinstance(value, str) else tuple(value)
            taken |= {(name.partition(".")[0], key): name for key in keys[name]}
    return Own(keys, tuple(mistakes))


def _wrong(name: str, value: Any, taken: Mapping[tuple[str, str], str]) -> str:
    """Why these can't be the keys of an action; empty when they can."""
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        return f"'{name}' needs a key or a list of keys"
    for key in keys:
        if key in KEPT_KEYS:
            return f"'{key}' can't be given away"
        if key in EATEN or key.startswith(("alt+", "ctrl+shift+")) or not KEY.fullmatch(key):
            return f"'{key}' for '{name}' is no key that every terminal passes on"
        if other := taken.get((name.partition(".")[0], key)):
            return f"'{key}' is that of '{other}' already"
    return ""


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """`[keys.logs]` with `wrap` is `logs.wrap`."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": deep for inner, deep in value.items()}
        else:
            found[name] = value
    return found


def _line(text: str, name: str) -> int:
    """The line that an entry is on: with its whole name, or under a heading with the last part of it."""
    for wanted in (name, name.rpartition(".")[2]):
        entry = re.compile(rf"""\s*\[?\s*["']?{re.escape(wanted)}["']?\s*[\]=.]""")
        for number, line in enumerate(text.splitlines(), 1):
            if entry.match(line):
                return number
    return 1
