"""What is common to all that administrators make: names, descriptions, the record of a change. Pure but for `Maker`."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct

from appliance.errors import Conflict, Invalid
from appliance.model import Subject
from appliance.services.context import Context, Recorder
from appliance.services.people import check_name
from appliance.store.engine import Tx, Work

DESCRIPTION_LENGTH = 4096
PROPERTIES_BYTES = 64 * 1024


class Maker:
    """Writes and records for the services of the catalogue. `what` is its word in people's sentences."""

    def __init__(self, context: Context, audit: Recorder, *, what: str, kind: str, body: str) -> None:
        self.context = context
        self._audit = audit
        self._what = what
        self._kind = kind
        self._body = body

    async def write(self, work: Work[Any], name: str) -> Any:
        """Carry out `work`. Raises Invalid when the name is taken."""
        try:
            return await self.context.store.write(work)
        except Conflict as error:
            if ".name" not in error.message:
                raise
            raise Invalid(f"There is already {self._what} '{name}'.", hint="Choose another name.") from error

    def record(self, tx: Tx, word: str, subject: Subject, thing: Any, told: dict[str, Any]) -> None:
        """`word`: created, updated or deleted."""
        self._audit.record(
            tx,
            f"platform.{self._kind}.{word}",
            subject=subject,
            scope_type="platform",
            scope_id=None,
            body={self._body: {"id": thing.id, "name": thing.name}, **told},
        )

    def name(self, given: str) -> str:
        """The name as it is kept. Raises Invalid."""
        name = given.strip()
        if not name:
            raise Invalid(f"{self._what[0].upper()}{self._what[1:]} needs a name.", hint="Give one.")
        check_name(name)
        return name


def given(body: Struct) -> dict[str, Any]:
    """What a body of changes names."""
    return {key: value for key, value in msgspec.structs.asdict(body).items() if value is not UNSET}


def check_description(text: str) -> None:
    """Raises Invalid when it is too long."""
    if len(text) > DESCRIPTION_LENGTH:
        raise Invalid(f"A description has at most {DESCRIPTION_LENGTH} characters.", hint="Shorten it.")


def check_properties(properties: dict[str, Any]) -> None:
    """Raises Invalid when they are too large."""
    if len(msgspec.json.encode(properties)) > PROPERTIES_BYTES:
        raise Invalid(f"The properties have at most {PROPERTIES_BYTES} bytes.", hint="Shorten them.")


def in_use(what: str, name: str, count: int) -> Invalid:
    """The error for removing what instances are made of."""
    return Invalid(
        f"{count} instances are of the {what} '{name}'.",
        code="unexpected_error",
        hint="Change or delete them first, or switch it off: it is offered no more then.",
    )
