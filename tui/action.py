"""What an action of the key table is."""

from __future__ import annotations

from msgspec import Struct


class Action(Struct, frozen=True):
    """Something the user can do. `keys` are textual's names, `shown_key` is what people read.

    `command` is its word after `:`, so that no action needs a key that a terminal may lose; `shown` puts it in the
    footer; `changes` marks what changes the box; whoever lacks `permission` does not get to see it, nor who has not
    what it `needs`: "files", those of this machine, or "shell", a way to open one. With `place` it goes to that screen
    instead of calling `do_<id>`. `name` identifies it in the file of one's own keys.
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
    permission: str = ""
    place: str = ""
    needs: str = ""

    @property
    def name(self) -> str:
        return f"{self.scope}.{self.id}"
