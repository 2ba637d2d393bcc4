"""Where the files of each instance are read from, for a backup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from appliance.drivers.launch_records import unit_name
from appliance.errors import WeirError
from appliance.schema.backup_jobs import InstanceSource
from appliance.services.backups import BackupsOfBox
from appliance.services.conditions import Conditions
from appliance.services.context import Context, Recorder
from appliance.services.handed import HandedFiles
from appliance.services.instances import Instances

Up = Callable[[str], bool]
Secret = Callable[[str, int], str]


def backups_of(
    context: Context, audit: Recorder, *, conditions: Conditions, instances: Instances, up: Up, secret: Secret
) -> BackupsOfBox:
    """The service, connected. `up`: whether the launcher of an instance runs; `secret`: what its API asks for."""
    return BackupsOfBox(
        context,
        audit,
        partial(_sources, context, instances, up, secret),
        partial(_tell, conditions),
    )


async def _sources(context: Context, instances: Instances, up: Up, secret: Secret) -> Sequence[InstanceSource]:
    """Under the `child` placer Weir's own account reads the directory. With a user for each instance nobody else may:
    then its launcher is asked, and where none runs, a unit that runs as that user."""
    found, handed = [], HandedFiles(context.home)
    for spec in await instances.specs():
        if await handed.stamp(spec.id):
            found.append(InstanceSource(spec.id, archive=str(handed.path(spec.id))))
        elif context.config.placer == "child":
            found.append(InstanceSource(spec.id, directory=str(context.home.instances / spec.id)))
        else:
            port, word = (spec.launcher_port, secret(spec.id, spec.generation)) if up(spec.id) else (0, "")
            found.append(InstanceSource(spec.id, port=port, secret=word, unit=unit_name(spec.id)))
    return found


def _tell(conditions: Conditions, kind: str, error: WeirError | None) -> None:
    """People hear of a backup that failed until one succeeds."""
    if kind != "create":
        return
    if error is None:
        conditions.clear("backup_failed")
        return
    conditions.raise_(
        "backup_failed",
        title="The last backup failed",
        cause=error.message,
        next_step=f"{error.hint} Then type: weir backup create".strip(),
    )
