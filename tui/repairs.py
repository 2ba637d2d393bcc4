"""What can be done about a problem from here. Pure: the problem's key says what kind it is."""

from __future__ import annotations

from msgspec import Struct

from appliance.schema.box import Problem

KEPT = "kept"


class Repair(Struct, frozen=True):
    """`actions` are those of an instance, one after the other; none with `place`, where somebody has to decide."""

    label: str
    actions: tuple[str, ...] = ()
    place: str = ""
    permission: str = "project:change-status"


_BY_KIND = {
    "instance_safe": Repair("start its flows again, out of safe mode; repair them first", ("restart",)),
    "instance_modules": Repair("restart it, so that the missing modules are installed again", ("restart",)),
    "instance_failing": Repair("start it again now", ("restart",)),
    "instance_port": Repair("start it again, when the other program is gone", ("start",)),
    "ticket_spent": Repair("suspend it and start it anew, launcher and all", ("suspend", "start")),
    "resource_memory": Repair("restart it, which frees its memory", ("restart",)),
    "resource_heap": Repair("restart it, which frees its memory", ("restart",)),
    "deploy_kept": Repair("restore or discard what was deployed meanwhile", (), KEPT, "project:flows:view"),
}


def offered(problem: Problem) -> Repair | None:
    """The repair for this problem; None when nothing of the API mends it."""
    return _BY_KIND.get(problem.key.partition(":")[0]) if problem.about else None
