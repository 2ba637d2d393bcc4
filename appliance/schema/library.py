"""The library of a team: flows and functions that its editors share (instance protocol §3.7)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from appliance.schema.common import Body, Meta, Page, Wire


class SharedQuery(Struct, kw_only=True):
    """`type` narrows to one kind of entries; `name` is the path where the address can't hold it."""

    type: str | None = None
    name: str | None = None


class EntriesQuery(Page, kw_only=True):
    """`query` looks at the paths; `type` narrows to one kind of entries."""

    type: str | None = None


class EntryQuery(Struct, kw_only=True):
    """Which entry: its path, and its kind where two kinds have one of that path."""

    name: str
    type: str | None = None


class SaveEntry(Body):
    """`body` is text, or JSON for `flows`. `meta` is what Node-RED shows in lists, such as `outputs`."""

    name: str
    type: str
    body: Any
    meta: dict[str, Any] = {}


class MoveEntry(Body):
    """From the path `name` to the path `to`; both may be folders."""

    name: str
    to: str
    type: str | None = None


class LibraryEntry(Wire):
    """An entry in a list. `bytes` is the size of its body."""

    name: str
    type: str
    meta: dict[str, Any]
    bytes: int
    updated_at: str


class FullEntry(LibraryEntry):
    """An entry with its `body`: a list of nodes for `flows`, text for all else."""

    body: Any


class LibraryEntries(Wire):
    """A page of entries, by path."""

    meta: Meta
    count: int
    entries: list[LibraryEntry]


class Deleted(Wire):
    """How many entries are gone."""

    status: str = "okay"
    delete_count: int = field(default=0, name="deleteCount")


class Moved(Wire):
    """How many entries have another path now."""

    status: str = "okay"
    count: int = 0
