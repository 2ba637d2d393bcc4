"""Everything about stacks, templates, instance types and applications that changes them, put together in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from appliance.services.applications import ApplicationLife
from appliance.services.context import Context, Recorder
from appliance.services.instance_types import InstanceTypes
from appliance.services.stack_life import StackLife
from appliance.services.templates import Templates


class Catalogue(Struct, frozen=True):
    """The services of what instances are made from."""

    stacks: StackLife
    templates: Templates
    types: InstanceTypes
    applications: ApplicationLife


def catalogue(
    context: Context, audit: Recorder, *, versions: Mapping[str, str], unbuild: Callable[[str], None]
) -> Catalogue:
    """All of them, connected. `versions`: which Node-RED each stack is that can be built; `unbuild` removes the files
    of a built one, and blocks."""
    return Catalogue(
        stacks=StackLife(context, audit, versions=versions, unbuild=unbuild),
        templates=Templates(context, audit),
        types=InstanceTypes(context, audit),
        applications=ApplicationLife(context, audit),
    )
