"""What an instance may take of the box."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from appliance.schema.common import Body, Wire

MemoryMb = Annotated[int, Meta(ge=64, le=1_048_576)]
Percent = Annotated[int, Meta(ge=5, le=25_600)]
Tasks = Annotated[int, Meta(ge=32, le=100_000)]
DiskMb = Annotated[int, Meta(ge=16, le=104_857_600)]
Text = Annotated[str, Meta(min_length=1, max_length=128)]


Port = Annotated[str, Meta(min_length=1, max_length=32)]


class ShownLimits(Wire):
    """What holds for an instance, from itself, its type or the box. Null: the box's default, which its unit says.

    `networks`: the only addresses it may speak with beside the box itself; empty for all. `ports`: the only ones it may
    open beside its own, such as `tcp:1880`, `udp:5000-5010`, `1883` (either protocol), or `own` for none; empty for all
    that nobody else has. `note`: what this box can't enforce, and a device that it does not get.
    """

    memory_mb: int | None
    cpu_percent: int | None
    tasks: int | None
    disk_mb: int | None
    disk_used_mb: float | None
    networks: list[str]
    devices: list[str]
    ports: list[str] = []
    note: str = ""


class ChangeLimits(Body):
    """What is left out stays; null takes the value of the instance's type again. A device is leased to one instance.
    `ports`: the only ones that it may open beside its own; `[]` for all that nobody else has."""

    memory_mb: MemoryMb | None | UnsetType = UNSET
    cpu_percent: Percent | None | UnsetType = UNSET
    tasks: Tasks | None | UnsetType = UNSET
    disk_mb: DiskMb | None | UnsetType = UNSET
    networks: Annotated[list[Text], Meta(max_length=64)] | UnsetType = UNSET
    # Cut in pieces by what is spoken for, so many stay below the 128 rules that systemd takes.
    ports: Annotated[list[Port], Meta(max_length=16)] | UnsetType = UNSET
    devices: Annotated[list[Text], Meta(max_length=32)] | UnsetType = UNSET
