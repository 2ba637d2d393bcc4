"""What the screens know of the box. Events change it; screens read it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from appliance.schema.box import BoxStatus
from appliance.schema.instances import Instance, InstanceMeta
from appliance.schema.resources import Figures, Sample
from tui.rights import Rights
from tui.signs import Kind, kind

POINTS = 40  # of a picture of the last minutes
MB = 1024 * 1024


class Counts(Struct, frozen=True):
    """Instances by what their state means."""

    up: int = 0
    bad: int = 0
    down: int = 0
    other: int = 0


class Point(Struct, frozen=True):
    """What an instance took at some time."""

    cpu_percent: float | None
    memory_bytes: float | None


class Known:
    """The last known state. Instances stay in the order in which they were first heard of, so that rows never jump.

    `lost` says why the connection is down; empty while it is up. `pictures` holds the last figures of instances whose
    history was asked for.
    """

    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}
        self.status: BoxStatus | None = None
        self.rights = Rights()
        self.pictures: dict[str, deque[Point]] = {}
        self.lost = ""
        self.loaded = False

    def replace(self, instances: list[Instance]) -> None:
        """All instances, as the box lists them."""
        now = {each.id: each for each in instances}
        kept = {ident: now.pop(ident) for ident in self.instances if ident in now}
        self.instances = kept | now
        self.loaded = True

    def put(self, each: Instance) -> None:
        self.instances[each.id] = each

    def set_meta(self, ident: str, meta: InstanceMeta) -> bool:
        """The live state of one instance; False when it is one we never heard of."""
        found = self.instances.get(ident)
        if found is None:
            return False
        self.instances[ident] = msgspec.structs.replace(found, meta=meta)
        return True

    def set_resources(self, ident: str, resources: Figures | None) -> bool:
        """What one instance takes now; False when it is one we never heard of."""
        found = self.instances.get(ident)
        if found is None:
            return False
        self.instances[ident] = msgspec.structs.replace(found, resources=resources)
        if ident in self.pictures and resources is not None:
            self.pictures[ident].append(Point(resources.cpu_percent, resources.memory_bytes))
        return True

    def set_history(self, ident: str, samples: Sequence[Sample]) -> None:
        """The last figures of one instance, oldest first; what comes later is put behind."""
        points = [Point(each.cpu, None if each.ps is None else each.ps * MB) for each in samples]
        self.pictures[ident] = deque(points, maxlen=POINTS)

    def remove(self, ident: str) -> None:
        self.instances.pop(ident, None)
        self.pictures.pop(ident, None)

    def find(self, name_or_id: str) -> Instance | None:
        for each in self.instances.values():
            if name_or_id in (each.id, each.name):
                return each
        return None

    def counts(self) -> Counts:
        kinds = [kind(each.meta.state) for each in self.instances.values()]
        up, bad, down = (kinds.count(each) for each in (Kind.UP, Kind.BAD, Kind.DOWN))
        return Counts(up=up, bad=bad, down=down, other=len(kinds) - up - bad - down)

    def may(self, permission: str, about: Sequence[Instance] = ()) -> bool:
        """Whether the user may do that to these instances; to none in particular: anywhere."""
        if not about:
            return self.rights.may(permission)
        return all(self.rights.may(permission, str(each.team.get("id", ""))) for each in about)
