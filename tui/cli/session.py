"""What one call of `weir` knows: where the box is, where to write, and whether people are watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from tui.address import Address, Wanted, find, find_home
from tui.text import json_visible, visible

if TYPE_CHECKING:  # httpx takes a fifth of a second to load, and --help needs none of it
    from tui.cli.box import Box

Row = list[str]


class Session:
    """Made once per call from the global options. `over_ssh`: whom a login over SSH has become; it has nothing else."""

    def __init__(self, wanted: Wanted, environ: Mapping[str, str], *, over_ssh: Address | None = None) -> None:
        """Raises Usage when a box is named that is not known."""
        if wanted.box:
            from tui import boxes

            wanted, environ = boxes.meant(wanted, environ)
        self.wanted = wanted
        self.environ = environ
        self.over_ssh = over_ssh

    @property
    def address(self) -> Address:
        """Raises Usage when the options contradict each other."""
        return self.over_ssh or find(self.wanted, self.environ)

    @property
    def home(self) -> Path:
        return find_home(self.wanted, self.environ)

    @property
    def on_terminal(self) -> bool:
        """Both ends are a person's: questions may be asked."""
        return sys.stdin.isatty() and sys.stdout.isatty()

    def box(self) -> Box:
        """A connection to the box; nothing is sent yet."""
        from tui.cli.box import Box

        return Box(self.address)


def instance_path(name_or_id: str) -> str:
    """The API path that resolves a name or an id; safe for any text."""
    return f"/instances/{quote(name_or_id, safe='')}"


def print_json(answer: bytes) -> None:
    """The API's object as it came, indented."""
    print(json_visible(msgspec.json.format(answer, indent=2).decode("utf-8", "replace")))


def print_object(answer: Any) -> None:
    print_json(msgspec.json.encode(answer))


def tell(answer: bytes, said: str, *, as_json: bool) -> None:
    """What every command that changes something ends with: the API's object for --json, else a sentence."""
    if as_json:
        print_json(answer)
    else:
        print(visible(said))


def print_table(head: Row, rows: list[Row], *, right: frozenset[int] = frozenset()) -> None:
    """Aligned columns, two spaces apart; strangers' text is made harmless. The last column is not padded."""
    from tui.text import fit, width

    table = [head, *([visible(cell) for cell in row] for row in rows)]
    widths = [max(width(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = [fit(cell, widths[column], right=column in right) for column, cell in enumerate(row)]
        print("  ".join(cells).rstrip())


def say(text: str) -> None:
    """A line for people beside the result: on stderr."""
    print(visible(text), file=sys.stderr, flush=True)


def warn(message: str, hint: str) -> None:
    """The form of every failure: `weir: <what and why>` and a line with the next step."""
    say(f"weir: {message}")
    if hint:
        say(f"      {hint}")


Asked = Callable[[str], str]
