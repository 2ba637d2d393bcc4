"""What Node-RED keeps: the fast path of every deploy. Bytes are stored and given back as they came."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from appliance.errors import Conflict, Invalid, NotFound, TooLarge
from appliance.services import documents
from appliance.services.context import Context
from appliance.store import instances, library, storage
from appliance.store.engine import Tx

# Top-level type of each kind, and what is answered when nothing is stored (instance protocol §3.1).
KINDS: dict[str, tuple[documents.Decoder, bytes]] = {
    "flows": (documents.ARRAY, b"[]"),
    "credentials": (documents.OBJECT, b"{}"),
    "settings": (documents.OBJECT, b"{}"),
    "sessions": (documents.OBJECT, b"{}"),
}
LONGEST_REQUEST_ID = 64
MOST_BASES = 64
REQUESTS_REMEMBERED = 4096
LIBRARY_ENTRIES = 10_000
LIBRARY_CHARACTERS = 100 * 1024 * 1024
LONGEST_NAME = 1024
LONGEST_TYPE = 64


class LibraryEntry(Struct, frozen=True):
    """An entry found in the library: `text` for one, `listing` (JSON) for a folder. `json`: send it as JSON."""

    body: bytes
    json: bool


class Storage:
    """Flows, credentials, settings, sessions and library of every instance."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._limit = context.config.limits.json_bytes
        self._seen: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    async def get(self, instance_id: str, kind: str) -> bytes | None:
        """The bytes acknowledged last, None when nothing was stored. Raises NotFound for an unknown kind."""
        _kind(kind)
        return await self._context.store.read(lambda tx: storage.body(tx, instance_id, kind))

    async def put(
        self,
        instance_id: str,
        kind: str,
        body: bytes,
        *,
        request_id: str | None = None,
        user: str | None = None,
        base: str | None = None,
    ) -> bytes:
        """Store `body` and answer the same bytes once they are durable.

        A request id that was carried out before is answered as then and writes nothing, however late it comes.
        `base` names, by digest and comma-separated, what the writer believes to be stored. Raises Conflict
        `flows_changed` when something else is, Invalid (no JSON, wrong top-level type), TooLarge, NotFound (kind or
        instance).
        """
        decoder, _ = _kind(kind)
        if len(body) > self._limit:
            raise _too_large(kind, len(body), self._limit)
        digest = await documents.off_loop(len(body), _check, body, decoder, kind)
        request_id = request_id if request_id and len(request_id) <= LONGEST_REQUEST_ID else None
        if request_id and self._seen.get((instance_id, kind, request_id)) == digest:
            return body
        new = storage.Write(
            instance_id=instance_id,
            kind=kind,
            body=body,
            sha256=digest,
            request_id=request_id,
            user_id=user if user and len(user) <= 10 else None,
            at=self._context.now_ms(),
        )
        await self._written(new, None if base is None else base.split(",")[:MOST_BASES])
        if request_id:
            self._remember((instance_id, kind, request_id), digest)
        return body

    async def library_get(self, instance_id: str, kind: str, name: str) -> LibraryEntry:
        """The entry `name`, else the folder of that path: names of its folders and `{fn, …meta}` of its entries.

        A path that is not there is an empty folder.
        """
        path = name.strip("/")
        entry, entries = await self._context.store.read(
            lambda tx: (
                library.entry(tx, instance_id, kind, path),
                library.below(tx, instance_id, kind, f"{path}/" if path else ""),
            )
        )
        if entry is not None:
            return LibraryEntry(entry.body.encode(), json=kind == "flows")
        return LibraryEntry(msgspec.json.encode(_folder(path, entries)), json=True)

    async def library_put(self, instance_id: str, kind: str, document: bytes) -> None:
        """Store `{name, meta, body}`, replacing what has the same type and name.

        Raises Invalid without name or body, or when the library is full; NotFound without the instance.
        """
        if len(document) > self._limit:
            raise _too_large("library entry", len(document), self._limit)
        new = await documents.off_loop(len(document), _library_entry, kind, document)
        at = self._context.now_ms()
        try:
            await self._context.store.write(lambda tx: _keep(tx, instance_id, new, at))
        except Conflict as error:
            raise _gone(error) from error

    async def _written(self, new: storage.Write, bases: list[str] | None) -> None:
        try:
            await self._context.store.write(lambda tx: _write(tx, new, bases))
        except Conflict as error:
            raise _gone(error) from error

    def _remember(self, request: tuple[str, str, str], digest: str) -> None:
        self._seen[request] = digest
        if len(self._seen) > REQUESTS_REMEMBERED:
            self._seen.popitem(last=False)


def _check(body: bytes, decoder: documents.Decoder, kind: str) -> str:
    documents.check(body, decoder, kind)
    return hashlib.sha256(body).hexdigest()


def stands_on(tx: Tx, instance_id: str, kind: str, digest: str, bases: Sequence[str]) -> bool:
    """Whether what is stored is what the writer of a document started from, or that document itself.

    A document is known by the SHA-256 of its bytes, not by a counter: both sides can compute it, it says the same
    after the database was put back from a copy, and what was changed and changed back is no conflict.
    """
    stored = storage.state(tx, instance_id, kind)
    current = stored.sha256 if stored is not None else hashlib.sha256(KINDS[kind][1]).hexdigest()
    return current == digest or current in bases


def changed_meanwhile(kind: str) -> Conflict:
    """The error for a document that was made from another one than is stored."""
    return Conflict(
        f"The {kind} of this instance were changed meanwhile by somebody else (rollback, import or another deploy).",
        code="flows_changed",
        hint="Restart the instance: it loads the flows of the platform.",
    )


def _write(tx: Tx, new: storage.Write, bases: list[str] | None) -> None:
    stored = storage.state(tx, new.instance_id, new.kind)
    if stored is not None and stored.sha256 == new.sha256 and _needless(stored, new):
        return
    if bases is not None and not stands_on(tx, new.instance_id, new.kind, new.sha256, bases):
        raise changed_meanwhile(new.kind)
    storage.write(tx, new)
    if new.kind == "flows" and not instances.flows_written(tx, new.instance_id, at=new.at):
        raise NotFound("There is no such instance any more.")


def _needless(stored: storage.Stored, new: storage.Write) -> bool:
    """The same request again, or sessions and settings that did not change: flash does not need it twice."""
    return new.kind != "flows" or (new.request_id is not None and stored.request_id == new.request_id)


def _keep(tx: Tx, instance_id: str, new: library.Entry, at: int) -> None:
    entries, characters = library.size(tx, instance_id)
    if entries >= LIBRARY_ENTRIES or characters + len(new.body) > LIBRARY_CHARACTERS:
        raise Invalid(
            f"The library of this instance is full: {entries} entries, {characters} characters.",
            hint="Remove entries that are not needed.",
        )
    library.write(tx, instance_id, new, at=at)


def _library_entry(kind: str, document: bytes) -> library.Entry:
    documents.check(document, documents.OBJECT, "library entry")
    try:
        values: dict[str, Any] = msgspec.json.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The library entry can't be stored: {error}.", hint="Nothing was changed.") from error
    name, body, meta = values.get("name"), values.get("body"), values.get("meta")
    path = name.strip("/") if isinstance(name, str) else ""
    if not path or body is None or len(path) > LONGEST_NAME or len(kind) > LONGEST_TYPE:
        raise Invalid("A library entry has a name of at most 1024 characters and a body.", hint="Nothing was changed.")
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    if kind == "flows":
        documents.check(text.encode(), documents.ARRAY, "library entry")
    return library.Entry(type=kind, name=path, meta=meta if isinstance(meta, dict) else {}, body=text)


def _folder(path: str, entries: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    start = len(path) + 1 if path else 0
    folders = dict.fromkeys(name[start:].partition("/")[0] for name, _ in entries if "/" in name[start:])
    files = [{**meta, "fn": name[start:]} for name, meta in entries if "/" not in name[start:]]
    return [*folders, *files]


def _kind(kind: str) -> tuple[documents.Decoder, bytes]:
    if kind not in KINDS:
        raise NotFound(f"Nothing of the kind '{kind[:32]}' is stored for instances.")
    return KINDS[kind]


def _too_large(what: str, size: int, limit: int) -> TooLarge:
    return TooLarge(
        f"The {what} has {size} bytes; at most {limit} are taken.",
        hint="Split the flow into several instances, or raise limits.json_bytes in config.toml.",
    )


def _gone(error: Conflict) -> NotFound | Conflict:
    return NotFound("There is no such instance any more.") if error.code == "in_use" else error
