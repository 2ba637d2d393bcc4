"""What an instance takes of the machine: figures of now, samples of the last hours (instance protocol §1.11, §2.4)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from appliance.schema.common import Body, Wire

MOST_SAMPLES = 2520
Amount = Annotated[float, Meta(ge=0, le=1e9)]
Count = Annotated[int, Meta(ge=0, le=2**53)]


class Figures(Wire):
    """The last that was heard of a running instance. Limits are null where nothing is limited; what Node-RED says of
    itself (lag, heap) is null while it says nothing, and a flow can fake it."""

    cpu_percent: float  # of one core
    memory_bytes: int  # resident: Node-RED and what it has started
    at: str
    peak_bytes: int  # the most of this run
    cpu_limit_percent: float | None = None
    memory_limit_bytes: int | None = None
    lag_ms: float | None = None  # 99th percentile
    heap_bytes: int | None = None
    heap_limit_bytes: int | None = None
    messages: int | None = None  # since Node-RED was started


class InstanceResources(Wire):
    """Event `instance.resources`; null when it takes nothing any more."""

    id: str
    name: str
    resources: Figures | None


class Sample(Struct, frozen=True, omit_defaults=True):
    """As the reference spells it: MB, percent of one core, seconds, counters since the start of Node-RED."""

    src: str
    ts: Count
    ps: Amount | None = None
    cpu: Amount | None = None
    ela: Amount | None = None
    el99: Amount | None = None
    nrmsgs: Count | None = None
    nrrecv: Count | None = None
    nrsend: Count | None = None
    heap: Amount | None = None
    heapLimit: Amount | None = None


class ResourceHistory(Wire):
    """`GET /projects/:id/resources`, oldest first."""

    meta: dict[str, Any]
    resources: list[Sample]
    count: int


class ResourcesQuery(Struct, kw_only=True):
    """`since`: `ts` of the last sample that the client has; `limit`: the newest so many."""

    since: Annotated[int, Meta(ge=0)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_SAMPLES)] | None = None


class ResourcesStreamQuery(Struct, kw_only=True):
    """`since`: `ts` of the last sample that the client has; without it the stream begins with what comes now."""

    since: Annotated[int, Meta(ge=0)] | None = None


class Alert(Struct, frozen=True):
    """Too much on average of five minutes: `cpu`, `memory`, `heap` in percent of the limit, `lag` in s."""

    kind: str
    average: Amount
    threshold: Amount
    since: Count


class ResourceReport(Body):
    """What a launcher says its instance takes."""

    sample: Sample
    peak_mb: Amount = 0.0
    cpu_limit: Amount | None = None
    memory_limit_mb: Amount | None = None
    alerts: Annotated[list[Alert], Meta(max_length=8)] = []
    written_bytes: Count | None = None  # to disks, since this launcher (`sample.src`) lives
