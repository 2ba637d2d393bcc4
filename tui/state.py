"""What the screens know of the box. Events change it; screens read it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from appliance.schema.box import BoxStatus
from appliance.schema.instances import Instance, InstanceMeta
from appliance.schema.resources import Figures
from tui.signs import Kind, kind


class Counts(Struct, frozen=True):
    """Instances by what their state means."""

    up: int = 0
    bad: int = 0
    down: int = 0
    other: int = 0


class Known:
    """The last known state. Instances stay in the order in which they were first heard of, so that rows never jump.

    `lost` says why the connection is down; empty while it is up.
    """

    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}
        self.status: BoxStatus | None = None
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
        return True

    def remove(self, ident: str) -> None:
        self.instances.pop(ident, None)

    def find(self, name_or_id: str) -> Instance | None:
        for each in self.instances.values():
            if name_or_id in (each.id, each.name):
                return each
        return None

    def counts(self) -> Counts:
        kinds = [kind(each.meta.state) for each in self.instances.values()]
        up, bad, down = (kinds.count(each) for each in (Kind.UP, Kind.BAD, Kind.DOWN))
        return Counts(up=up, bad=bad, down=down, other=len(kinds) - up - bad - down)
