"""Applications: changed and removed. They are made by `Teams`."""

from __future__ import annotations

import msgspec

from appliance.errors import Invalid, NotFound, Unprocessable
from appliance.events import Event
from appliance.model import Subject
from appliance.schema.catalogue import ChangeApplication
from appliance.services.context import Context, Recorder
from appliance.services.maker import given
from appliance.services.people import updates
from appliance.services.teams import DESCRIPTION_LENGTH, NAME_LENGTH
from appliance.store import instances, teams
from appliance.store.engine import Tx
from appliance.store.teams import ApplicationRow


class ApplicationLife:
    """Changes of applications; rights are checked before."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def change(self, subject: Subject, application_id: str, body: ChangeApplication) -> None:
        """What is left out stays. Raises NotFound, Invalid `invalid_application_name`."""
        wanted = given(body)
        if "name" in wanted:
            wanted["name"] = wanted["name"].strip()

        def work(tx: Tx) -> None:
            row = _get(tx, application_id)
            after = msgspec.structs.replace(row, **wanted, updated_at=self._context.now_ms())
            _check(after)
            if changed := updates(_shown(row), _shown(after)):
                teams.change_application(tx, after)
                self._record(tx, "application.updated", subject, after, {"updates": changed})

        await self._context.store.write(work)

    async def remove(self, subject: Subject, application_id: str) -> None:
        """Raises NotFound, Unprocessable `invalid_application` while it has instances."""

        def work(tx: Tx) -> None:
            row = _get(tx, application_id)
            if left := instances.of_application(tx, application_id):
                raise Unprocessable(
                    f"The application '{row.name}' still has {len(left)} instances.",
                    code="invalid_application",
                    hint="Delete them first, and wait until they are gone.",
                )
            teams.remove_application(tx, application_id)
            self._record(tx, "application.deleted", subject, row, {})
            tx.after_commit(Event("application.removed", row.id, row.team_id))

        await self._context.store.write(work)

    def _record(self, tx: Tx, event: str, subject: Subject, row: ApplicationRow, told: dict[str, object]) -> None:
        self._audit.record(
            tx,
            event,
            subject=subject,
            scope_type="application",
            scope_id=row.id,
            team_id=row.team_id,
            body={"application": {"id": row.id, "name": row.name}, **told},
        )


def _get(tx: Tx, application_id: str) -> ApplicationRow:
    row = teams.application(tx, application_id)
    if row is None:
        raise NotFound("There is no such application.")
    return row


def _shown(row: ApplicationRow) -> dict[str, object]:
    return {"name": row.name, "description": row.description}


def _check(row: ApplicationRow) -> None:
    if (
        not (row.name and row.name.isprintable())
        or len(row.name) > NAME_LENGTH
        or len(row.description) > DESCRIPTION_LENGTH
    ):
        raise Invalid(
            f"An application needs a name of at most {NAME_LENGTH} printable characters "
            f"and a description of at most {DESCRIPTION_LENGTH}.",
            code="invalid_application_name",
            hint="Choose another name.",
        )
