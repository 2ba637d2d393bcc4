"""What was acknowledged while a release was judged that is then taken back: carried over into the database of before.

Node-RED goes on with the flows it was given last, so these have to be the platform's too. The database of the failed
release may have a newer schema: only columns are read that have been there since the first one, and what they hold is
looked at before it is taken.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from appliance.errors import Invalid, WeirError
from appliance.services import documents
from appliance.services.health.taken_back import TakenBack
from appliance.services.storage import KINDS
from appliance.store import instances, kept, offline, storage
from appliance.store.engine import Tx
from appliance.store.values import iso
from appliance.system.files import write_atomic

# Sessions are good for nothing afterwards.
_STORED = (
    "SELECT s.instance_id, i.name, s.kind, s.sha256, s.revision, s.request_id, s.user_id, s.updated_at FROM storage s "
    "JOIN instances i ON i.id = s.instance_id WHERE s.kind IN ('credentials', 'flows', 'settings') "
    "ORDER BY s.instance_id, s.kind"
)
_BODY = "SELECT body FROM storage WHERE instance_id = ? AND kind = ?"
_KEPT = (
    "SELECT id, instance_id, name, request_id, reason, message, user_id, made_at, created_at AS at, credentials, flows "
    "FROM kept_deploys ORDER BY seq"
)
# What people did; reports of Node-REDs (`source`) tell of flows, which are carried over.
_ENTRIES = "SELECT event, count(*) FROM audit WHERE seq > ? AND trigger_type = 'user' AND source IS NULL GROUP BY event"
_LAST_ENTRY = "SELECT coalesce(max(seq), 0) FROM audit"
_NO_LOSS = ("account.log", "project.restarted")  # nobody misses these


class _Document(Struct, frozen=True):
    """A row of the failed database's `storage`; `name` is the instance's."""

    instance_id: str
    name: str
    kind: str
    sha256: str
    revision: int
    request_id: str | None
    user_id: str | None
    updated_at: int


def carry(failed: Path, restored: Path, aside: Path, at_ms: int) -> TakenBack:
    """Take deploys that only `failed` has into `restored`; both are open nowhere else, `restored` is changed as a
    whole or not at all. Flows of instances that `restored` does not know are written beside `aside`, with its name.

    Raises nothing that comes of what the databases hold: the answer's `unread` says it. Raises OSError.
    """
    at = iso(at_ms)
    try:
        with contextlib.closing(_open(failed)) as source:
            lost = _lost(source, restored)
            with offline.transaction(restored) as tx:
                carried, files, unread = _documents(source, tx, aside)
                carried |= _kept(source, tx)
    except (sqlite3.Error, WeirError, msgspec.MsgspecError, ValueError, TypeError) as error:
        return TakenBack(at, unread=f"nothing could be taken over: {error}")
    return TakenBack(at, tuple(sorted(carried)), tuple(files), lost, "; ".join(unread))


def _documents(source: sqlite3.Connection, tx: Tx, aside: Path) -> tuple[set[str], list[str], list[str]]:
    """Names of the instances that got theirs back, the files that were written, and why others got nothing."""
    carried, files, unread = set[str](), list[str](), list[str]()
    for found in _newer(source, tx).values():
        name, instance_id = found[0].name, found[0].instance_id
        try:  # flows and credentials belong together: both or none
            bodies = {each.kind: _body(source, each) for each in found}
        except Invalid as error:
            unread.append(error.message)
            continue
        if instances.get(tx, instance_id) is None:
            files.append(_write_aside(found[0], bodies, aside))
            continue
        for each in found:
            _store(tx, each, bodies[each.kind])
        carried.add(name)
    return carried, files, unread


def _newer(source: sqlite3.Connection, tx: Tx) -> dict[str, list[_Document]]:
    """Written since the copy was made, by instance. A migration may rewrite all there are, but is no client."""
    found: dict[str, list[_Document]] = {}
    for row in source.execute(_STORED).fetchall():
        document = msgspec.convert(dict(row), _Document)
        known = storage.state(tx, document.instance_id, document.kind)
        if known is None or (document.revision > known.revision and document.sha256 != known.sha256):
            found.setdefault(document.instance_id, []).append(document)
    return found


def _body(source: sqlite3.Connection, document: _Document) -> bytes:
    """Raises Invalid for one that is not what was acknowledged."""
    body = bytes(source.execute(_BODY, (document.instance_id, document.kind)).fetchone()["body"])
    if hashlib.sha256(body).hexdigest() != document.sha256:
        raise Invalid(f"the {document.kind} of {document.name} are not those that were stored")
    documents.check(body, KINDS[document.kind][0], document.kind)
    return body


def _store(tx: Tx, new: _Document, body: bytes) -> None:
    storage.write(
        tx,
        storage.Write(new.instance_id, new.kind, body, new.sha256, new.request_id, new.user_id, new.updated_at),
    )
    if new.kind == "flows":
        instances.flows_written(tx, new.instance_id, at=new.updated_at)


def _write_aside(first: _Document, bodies: dict[str, bytes], aside: Path) -> str:
    """Of an instance that was made meanwhile. Its credentials are sealed with a secret that the database keeps."""
    path = aside.with_name(f"{aside.name}-{_plain(first.name)}-{_plain(first.instance_id)[:8]}.json")
    stored = {kind: Raw(body) for kind, body in bodies.items()}
    content = msgspec.json.encode({"id": first.instance_id, "name": first.name, "stored": stored})
    write_atomic(path, content, 0o600)
    return path.name


def _kept(source: sqlite3.Connection, tx: Tx) -> set[str]:
    """Deploys that were handed in and kept meanwhile: their launchers have forgotten them since."""
    carried = set[str]()
    for row in source.execute(_KEPT):
        instance = instances.get(tx, str(row["instance_id"]))
        new = msgspec.convert(dict(row), kept.NewKept)
        if instance is None or kept.content(tx, new.instance_id, new.id) is not None:
            continue
        if new.request_id and kept.name_of(tx, new.instance_id, new.request_id) is not None:
            continue
        while kept.name_taken(tx, new.instance_id, new.name):
            new = msgspec.structs.replace(new, name=f"{new.name}-again")
        kept.add(tx, new)
        carried.add(instance.name)
    return carried


def _lost(source: sqlite3.Connection, restored: Path) -> dict[str, int]:
    """Entries of the audit log that are in the failed database alone and mean that somebody changed something."""
    with contextlib.closing(_open(restored)) as copy:
        last = int(copy.execute(_LAST_ENTRY).fetchone()[0])
    counted = {str(event): int(count) for event, count in source.execute(_ENTRIES, (last,))}
    return {event: count for event, count in counted.items() if not event.startswith(_NO_LOSS)}


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10)
    connection.row_factory = sqlite3.Row
    return connection


def _plain(text: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in text)[:60]
