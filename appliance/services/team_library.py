"""The library of a team: what its editors share. Folders are what the paths of entries begin with."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from appliance.errors import Invalid, NotFound, TooMany
from appliance.model import Subject
from appliance.schema import library as wire
from appliance.schema.common import Page
from appliance.services import documents
from appliance.services.context import Context, Recorder
from appliance.services.meter import Meter
from appliance.services.paging import page_of
from appliance.store import team_library
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.team_library import Listed, Shared
from appliance.store.values import iso

MOST_ENTRIES = 10_000
MOST_BYTES = 100 * 1024 * 1024
LONGEST_NAME = 1024
LONGEST_TYPE = 64
DEEPEST = 64  # each folder that a path is in is looked up when an entry is saved
LONGEST_META = 16 * 1024
FOLDER = "folder"
# A person saves now and then, a flow with the token of its Node-RED as fast as the disk: every deploy would wait.
SAVES_AT_ONCE = 60
SAVES_PER_S = 1 / 60  # each is an entry of the audit log that nobody removes


class Found(Struct, frozen=True):
    """What is at a path, as Node-RED takes it: `kind` is the entry's type, or `folder`. `json`: send it as JSON."""

    body: bytes
    json: bool
    kind: str


class _Room:
    """What is in a library, for many questions: each takes as long as its path is deep, however full the library is,
    because all other writes of the box wait meanwhile."""

    def __init__(self, rows: Iterable[Listed]) -> None:
        self._entries = {(row.name, row.type) for row in rows}
        self._names = {name for name, _ in self._entries}
        self._sorted = sorted(self._names)

    def demand(self, path: str, kind: str) -> None:
        """Raises Invalid `invalid_name` where an entry with this path can't be."""
        if (path, kind) in self._entries:
            raise _taken(f"There is another entry called '{path[:128]}'.")
        at = bisect_left(self._sorted, f"{path}/")
        if at < len(self._sorted) and self._sorted[at].startswith(f"{path}/"):
            raise _taken(f"'{path[:128]}' is in the way: an entry can't be a folder as well.")
        for above in _above(path):
            if above in self._names:
                raise _taken(f"'{above[:128]}' is in the way: an entry can't be a folder as well.")


class TeamLibrary:
    """The libraries of all teams; rights are checked before."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit
        self._meter = Meter(lambda: context.clock().timestamp(), burst=SAVES_AT_ONCE, per_s=SAVES_PER_S)

    async def at(self, team_id: str, name: str, kind: str | None) -> Found:
        """The entry with this path, else the folder: names of its folders and `{fn, …meta, type, updatedAt}` of its
        entries. `kind` leaves the other types out. A path that is not there is an empty folder."""
        path = name.strip("/")

        def work(tx: Tx) -> tuple[list[Shared], list[Listed]]:
            entries = _of(kind, team_library.called(tx, team_id, path))
            return entries, [] if entries else _of(kind, team_library.below(tx, team_id, path))

        entries, inside = await self._context.store.read(work)
        if entries:
            first = entries[0]
            return Found(first.body.encode(), json=first.type == "flows", kind=first.type)
        return Found(msgspec.json.encode(_folder(path, inside)), json=True, kind=FOLDER)

    async def entry(self, team_id: str, name: str, kind: str | None) -> wire.FullEntry:
        """Raises NotFound."""
        path = name.strip("/")
        found = await self._context.store.read(lambda tx: _of(kind, team_library.called(tx, team_id, path)))
        if not found:
            raise _absent(path)
        first = found[0]
        body = msgspec.Raw(first.body.encode()) if first.type == "flows" else first.body
        return wire.FullEntry(**_listed(first), body=body)

    async def entries(self, team_id: str, page: Page, kind: str | None) -> wire.LibraryEntries:
        """All entries by path, in pages. Raises Invalid for a cursor of another list."""
        rows = await self._context.store.read(lambda tx: _of(kind, team_library.below(tx, team_id, "")))
        meta, found = page_of(
            rows,
            page,
            id_of=lambda row: row.id,
            text_of=lambda row: row.name,
            sorts={"name": lambda row: row.name, "type": lambda row: row.type, "updatedAt": lambda row: row.updated_at},
        )
        shown = [wire.LibraryEntry(**_listed(row)) for row in found]
        return wire.LibraryEntries(meta=meta, count=len(shown), entries=shown)

    async def save(self, subject: Subject, team_id: str, document: wire.SaveEntry) -> None:
        """Store an entry, replacing the one with its type and path.

        Raises Invalid: `invalid_name` (characters, length, or a folder where the entry would be and the other way
        round), a body that is none of its type, or a full library; NotFound without the team; TooMany when a Node-RED
        saves without end.
        """
        if subject.kind != "user" and not self._meter.take(subject.instance_id or ""):
            hint = "Look for a flow that writes into the library."
            raise TooMany("This instance saves too much into the library.", retry_after_s=60, hint=hint)
        new = await documents.off_loop(_size_hint(document), _entry, document, self._context.now_ms())
        await self._context.store.write(lambda tx: self._save(tx, subject, team_id, new))

    async def move(self, subject: Subject, team_id: str, body: wire.MoveEntry) -> wire.Moved:
        """Give an entry, or all of a folder, another path. Raises NotFound, Invalid `invalid_name`."""
        old, new = checked_name(body.name), checked_name(body.to)

        def work(tx: Tx) -> wire.Moved:
            rows = _at_or_below(tx, team_id, old, body.type)
            # Judged on what will be there, so that an entry may become a folder that holds it: a -> a/b.
            gone = {row.id for row in rows}
            room = _Room(row for row in team_library.below(tx, team_id, "") if row.id not in gone)
            # Deepest first on the way down, and last on the way up: no path is taken by one that has yet to leave it.
            down = new.startswith(f"{old}/")
            for row in sorted(rows, key=lambda row: row.name.count("/"), reverse=down):
                path = checked_name(new + row.name[len(old) :])
                room.demand(path, row.type)
                team_library.move(tx, row.id, path, self._context.now_ms())
            self._record(tx, "team.library.moved", subject, team_id, {"name": old, "to": new, "count": len(rows)})
            return wire.Moved(count=len(rows))

        return await self._context.store.write(work)

    async def remove(self, subject: Subject, team_id: str, name: str, kind: str | None) -> wire.Deleted:
        """Drop an entry, or all of a folder, never the whole library. Raises NotFound, Invalid `invalid_name`."""
        path = checked_name(name)

        def work(tx: Tx) -> wire.Deleted:
            rows = _at_or_below(tx, team_id, path, kind)
            for row in rows:
                team_library.remove(tx, row.id)
            self._record(tx, "team.library.deleted", subject, team_id, {"name": path, "count": len(rows)})
            return wire.Deleted(delete_count=len(rows))

        return await self._context.store.write(work)

    def _save(self, tx: Tx, subject: Subject, team_id: str, new: Shared) -> None:
        same = next(iter(_of(new.type, team_library.called(tx, team_id, new.name))), None)
        if same is not None and (same.body, same.meta) == (new.body, new.meta):
            return  # flash does not need it twice
        _demand_size(tx, team_id, new, same)
        if same is None:
            _demand_path(tx, team_id, new.name)
            team_library.add(tx, team_id, new)
        else:
            team_library.replace(tx, msgspec.structs.replace(new, id=same.id))
        self._record(tx, "team.library.saved", subject, team_id, {"name": new.name, "type": new.type})

    def _record(self, tx: Tx, event: str, subject: Subject, team_id: str, told: dict[str, object]) -> None:
        by = {"project": {"id": subject.instance_id}} if subject.kind != "user" and subject.instance_id else {}
        self._audit.record(
            tx,
            event,
            subject=subject,
            scope_type="team",
            scope_id=team_id,
            team_id=team_id,
            body={**by, "library": told},
        )


def checked_name(name: str) -> str:
    """A path inside the library, without slashes at its ends: any characters but control characters, since it is no
    path of a file system. Raises Invalid `invalid_name`."""
    path = name.strip("/")
    words = path.split("/")
    bad = len(path) > LONGEST_NAME or len(words) > DEEPEST or "" in words
    if bad or any(unicodedata.category(character) in ("Cc", "Cs", "Cn") for character in path):
        raise Invalid(
            "This can't be a path in the library.",
            code="invalid_name",
            hint=f"Up to {LONGEST_NAME} characters, {DEEPEST} words between single slashes, no control characters.",
        )
    return path


def _of(kind: str | None, rows: Sequence[Any]) -> list[Any]:
    return [row for row in rows if not kind or row.type == kind]


def _at_or_below(tx: Tx, team_id: str, path: str, kind: str | None) -> list[Listed]:
    rows: list[Listed] = _of(kind, team_library.called(tx, team_id, path))
    rows = rows or _of(kind, team_library.below(tx, team_id, path))
    if not rows:
        raise _absent(path)
    return rows


def _absent(path: str) -> NotFound:
    return NotFound(f"There is nothing called '{path[:128]}' in this library.", hint="Look at the list of entries.")


def _demand_path(tx: Tx, team_id: str, path: str) -> None:
    """Raises Invalid `invalid_name` where a folder would be an entry too."""
    for above in _above(path):
        if team_library.called(tx, team_id, above):
            raise _taken(f"'{above[:128]}' is an entry, so nothing can be inside it.")
    if team_library.below(tx, team_id, path):
        raise _taken(f"'{path[:128]}' is a folder, so no entry can be called so.")


def _above(path: str) -> Iterator[str]:
    """The folders that a path is in, outermost first."""
    words = path.split("/")
    return ("/".join(words[:count]) for count in range(1, len(words)))


def _taken(message: str) -> Invalid:
    return Invalid(message, code="invalid_name", hint="Choose another path.")


def _demand_size(tx: Tx, team_id: str, new: Shared, same: Shared | None) -> None:
    entries, held = team_library.size(tx, team_id)
    more = len(new.body.encode()) - (same.bytes if same else 0)
    if (same is None and entries >= MOST_ENTRIES) or (more > 0 and held + more > MOST_BYTES):
        raise Invalid(
            f"The library of this team is full: {entries} entries, {held} bytes.",
            hint="Delete what is not needed: weir library delete.",
        )


def _size_hint(document: wire.SaveEntry) -> int:
    # What is no text has been decoded already: it must be encoded again, which takes as long as it is large.
    return len(document.body) if isinstance(document.body, str) else documents.INLINE_BYTES + 1


def _entry(document: wire.SaveEntry, at: int) -> Shared:
    kind, body = document.type, document.body
    if not kind or len(kind) > LONGEST_TYPE or not kind.isprintable() or body is None:
        raise Invalid("An entry of a library has a type of at most 64 characters and a body.")
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    if kind == "flows":
        documents.check(text.encode(), documents.ARRAY, "library entry")
    if len(msgspec.json.encode(document.meta)) > LONGEST_META:
        raise Invalid(f"The meta of an entry may have {LONGEST_META} bytes.", hint="Put it into the body.")
    return Shared(
        id=new_id(),
        type=kind,
        name=checked_name(document.name),
        meta=document.meta,
        bytes=0,
        updated_at=at,
        body=text,
    )


def _listed(row: Listed) -> dict[str, Any]:
    return {
        "name": row.name,
        "type": row.type,
        "meta": row.meta,
        "bytes": row.bytes,
        "updated_at": iso(row.updated_at),
    }


def _folder(path: str, inside: Sequence[Listed]) -> list[Any]:
    start = len(path) + 1 if path else 0
    folders = dict.fromkeys(row.name[start:].partition("/")[0] for row in inside if "/" in row.name[start:])
    files = [
        {**row.meta, "fn": row.name[start:], "type": row.type, "updatedAt": iso(row.updated_at)}
        for row in inside
        if "/" not in row.name[start:]
    ]
    return [*folders, *files]
