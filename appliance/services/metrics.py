"""The box in numbers, for programs that collect them (OpenMetrics)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain

from msgspec import Struct

from appliance.model import SYSTEM, Subject
from appliance.schema.box import BoxStatus, Machine
from appliance.schema.instances import Instance, Instances

MEDIA = "application/openmetrics-text; version=1.0.0; charset=utf-8"
UP = ("running", "safe")


class Numbers(Struct, frozen=True):
    """All that is told, read at one time. `wear`: bytes a day by instance."""

    status: BoxStatus
    machine: Machine
    instances: Sequence[Instance]
    wear: dict[str, int]


class Metrics:
    """Collected anew at each question."""

    def __init__(
        self,
        *,
        status: Callable[[Subject], Awaitable[BoxStatus]],
        machine: Callable[[], Awaitable[Machine]],
        instances: Callable[[Subject], Awaitable[Instances]],
        per_day: Callable[[str], int | None],
    ) -> None:
        self._status, self._machine, self._instances, self._per_day = status, machine, instances, per_day

    async def text(self) -> bytes:
        """OpenMetrics text, with `# EOF` at its end."""
        listed = (await self._instances(SYSTEM)).instances
        wear = {each.id: rate for each in listed if (rate := self._per_day(each.id)) is not None}
        numbers = Numbers(await self._status(SYSTEM), await self._machine(), listed, wear)
        return render(numbers)


class Family(Struct, frozen=True):
    """A metric: its name without `weir_`, what it says, and its samples with their labels."""

    name: str
    said: str
    samples: tuple[tuple[Mapping[str, str], float], ...]
    kind: str = "gauge"


def render(numbers: Numbers) -> bytes:
    """Pure. Written by hand: the usual library loads TLS and a web server with itself, which the appliance goes
    without; the tests read this with its parser."""
    families = (*_of_box(numbers.status), *_of_machine(numbers.machine), *_of_instances(numbers))
    return "".join(chain.from_iterable(map(_lines, families))).encode() + b"# EOF\n"


def _lines(family: Family) -> Iterable[str]:
    name = f"weir_{family.name}" if family.name else "weir"
    yield f"# TYPE {name} {family.kind}\n# HELP {name} {_escaped(family.said)}\n"
    suffix = "_info" if family.kind == "info" else ""
    for labels, value in family.samples:
        told = ",".join(f'{key}="{_escaped(each)}"' for key, each in labels.items())
        yield f"{name}{suffix}{f'{{{told}}}' if told else ''} {float(value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _gauge(name: str, said: str, value: float) -> Family:
    return Family(name, said, (({}, value),))


def _by(name: str, said: str, label: str, values: Iterable[tuple[str, float]]) -> Family:
    return Family(name, said, tuple(({label: key}, value) for key, value in values))


def _of_box(status: BoxStatus) -> Iterable[Family]:
    yield Family("", "The version of Weir.", (({"version": status.appliance.version}, 1),), "info")
    yield _gauge("ready", "Whether the box has come up.", status.appliance.ready)
    on = status.maintenance is not None and status.maintenance.on
    yield _gauge("maintenance", "Whether all instances are paused.", on)
    kinds = Counter(problem.key.partition(":")[0] for problem in status.problems)
    yield _by("problems", "What is wrong now, by kind.", "kind", sorted(kinds.items()))
    rooms = ((each.type, each.more) for each in status.room)
    yield _by("room_instances", "How many more instances would fit into memory.", "type", rooms)


def _of_machine(machine: Machine) -> Iterable[Family]:
    yield _gauge("host_load1", "Load of the last minute.", machine.load[0] if machine.load else 0.0)
    yield _gauge("host_memory_available_bytes", "Memory that can be handed out.", machine.memory_available_bytes)
    yield _gauge("host_memory_total_bytes", "Memory of the machine.", machine.memory_total_bytes)
    yield _gauge("host_swap_free_bytes", "Swap that is not used.", machine.swap_free_bytes)
    if machine.temperature_c is not None:
        yield _gauge("host_temperature_celsius", "The hottest sensor.", machine.temperature_c)
    yield _gauge("host_throttled", "Whether the processor is slowed down now.", bool(machine.throttled))
    if machine.clock_synced is not None:
        yield _gauge("host_clock_synced", "Whether a time server set the clock.", machine.clock_synced)
    free = ((each.path, each.free_bytes) for each in machine.disks)
    yield _by("host_disk_free_bytes", "What may be written.", "path", free)
    left = ((each.what, each.days_left) for each in machine.certificates)
    yield _by("certificate_days_left", "Until a certificate ends.", "what", left)


def _of_instances(numbers: Numbers) -> Iterable[Family]:
    rows = [(each, {"id": each.id, "instance": each.name, "team": _team(each)}) for each in numbers.instances]
    known: tuple[tuple[str, str, Callable[[Instance], float | None]], ...] = (
        ("up", "Whether its flows run.", lambda each: float(each.meta.state in UP)),
        ("restarts", "How often it was started again since the appliance runs.", lambda each: each.meta.restarts),
        ("cpu_percent", "Of one core.", lambda each: _taken(each, "cpu_percent")),
        ("memory_bytes", "Resident memory.", lambda each: _taken(each, "memory_bytes")),
        ("lag_milliseconds", "Of its event loop.", lambda each: _taken(each, "lag_ms")),
        ("written_bytes_per_day", "Written to the disk.", lambda each: numbers.wear.get(each.id)),
    )
    states = tuple(({**labels, "state": each.meta.state}, 1.0) for each, labels in rows)
    yield Family("instance_state", "1 for the state that it shows.", states)
    for name, said, read in known:
        samples = tuple((labels, value) for each, labels in rows if (value := read(each)) is not None)
        yield Family(f"instance_{name}", said, samples)


def _team(each: Instance) -> str:
    return str(each.team.get("slug", ""))


def _taken(each: Instance, field: str) -> float | None:
    value: float | None = getattr(each.resources, field, None)
    return value
