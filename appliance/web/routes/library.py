"""Rows of the route table: the library that the editors of a team share."""

from __future__ import annotations

from typing import Any

from appliance.schema import library as wire
from appliance.schema.common import Status
from appliance.web.handlers import library
from appliance.web.route import MEGABYTE, Handler, Route
from appliance.web.routes.rows import delete, get, post, put

PATH = "/teams/{id}/library"


def _shared(method: str, handler: Handler, permission: str, summary: str, **rest: Any) -> tuple[Route, Route]:
    """With the entry's path in the address, as programs for the reference send it, and without."""
    about: dict[str, Any] = {"auth": "library", "permission": permission, "on": "team", **rest}
    where = "/storage/library/{id}"
    return (
        Route(method, where, handler, summary, **about),
        Route(method, f"{where}/{{path:.+}}", handler, summary, **about),
    )


LIBRARY = (
    get(
        PATH,
        library.entries,
        wire.LibraryEntries,
        "library:entry:list",
        "All entries of the team's library, by their path.",
        on="team",
        query=wire.EntriesQuery,
    ),
    get(
        f"{PATH}/entry",
        library.entry,
        wire.FullEntry,
        "library:entry:list",
        "An entry of the team's library.",
        on="team",
        query=wire.EntryQuery,
    ),
    post(
        PATH,
        library.save,
        Status,
        "library:entry:create",
        "Keep an entry in the team's library, in place of one with its type and path.",
        on="team",
        body=wire.SaveEntry,
        max_body_bytes=10 * MEGABYTE,
    ),
    put(
        PATH,
        library.move,
        wire.Moved,
        "library:entry:delete",
        "Give an entry, or all of a folder, another path.",
        on="team",
        body=wire.MoveEntry,
    ),
    delete(
        PATH,
        library.remove,
        wire.Deleted,
        "library:entry:delete",
        "Delete an entry, or all of a folder, of the team's library.",
        on="team",
        query=wire.EntryQuery,
    ),
    *_shared(
        "GET",
        library.read_shared,
        "library:entry:list",
        "An entry or a folder of the team's library, as editors take it.",
        query=wire.SharedQuery,
        response=bytes,
    ),
    *_shared(
        "POST",
        library.write_shared,
        "library:entry:create",
        "Keep an entry in the team's library.",
        body=bytes,
        status=201,
    ),
    *_shared(
        "DELETE",
        library.remove_shared,
        "library:entry:delete",
        "Delete an entry, or all of a folder, of the team's library.",
        query=wire.SharedQuery,
        response=wire.Deleted,
    ),
)
