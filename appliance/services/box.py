"""The box itself: how it is, and what is wrong with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from importlib import metadata
from pathlib import Path

import psutil
from msgspec import Struct

from appliance.errors import Internal
from appliance.model import Subject
from appliance.schema.box import ApplianceStatus, BoxStatus, HostStatus, Machine, Problem, StatusInstance
from appliance.schema.instances import Instance
from appliance.services import machine
from appliance.services.broker import BrokerDesk
from appliance.services.conditions import Condition, Conditions
from appliance.services.context import Context
from appliance.services.health.health import Health
from appliance.services.instances import Instances
from appliance.services.operations import Operations
from appliance.system import tls

LOOK_S = 2.0  # for a disk; a healthy one answers within a millisecond


class Usage(Struct, frozen=True):
    """What the operating system says: the disk is the one that holds the box's directory."""

    cpu_percent: float
    memory_used_bytes: int
    memory_total_bytes: int
    disk_used_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int


def measure(directory: Path) -> Usage:
    """Usage now; the processor's since the last call. Does not wait, but asks the file system."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(directory))
    return Usage(
        cpu_percent=psutil.cpu_percent(interval=None),
        memory_used_bytes=memory.total - memory.available,
        memory_total_bytes=memory.total,
        disk_used_bytes=disk.used,
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
    )


def _without_disk() -> Usage:
    memory = psutil.virtual_memory()
    return Usage(psutil.cpu_percent(interval=None), memory.total - memory.available, memory.total, 0, 0, 0)


class Box:
    """`ready` says whether the reconciler has looked at everything once since the start."""

    def __init__(
        self,
        context: Context,
        *,
        instances: Instances,
        health: Health,
        conditions: Conditions,
        ready: Callable[[], bool],
        usage: Callable[[Path], Usage] = measure,
        operations: Operations | None = None,
        broker: BrokerDesk | None = None,
    ) -> None:
        self._context = context
        self._instances = instances
        self._health = health
        self._conditions = conditions
        self._ready = ready
        self._usage = usage
        self._operations = operations
        self._broker = broker
        self._started_at = context.clock()
        self._look_under_way: asyncio.Future[tuple[Usage, str]] | None = None
        self._late = False
        self._last: tuple[Usage, str] | None = None
        psutil.cpu_percent(interval=None)  # the first call only marks where the next one begins to count

    async def status(self, subject: Subject) -> BoxStatus:
        """The appliance, the instances that the subject may see, the machine, and what is wrong."""
        listed = await self._listed(subject)
        usage, fingerprint = await self._looked()
        return BoxStatus(
            appliance=self._appliance(fingerprint),
            instances=[_instance(instance) for instance in listed],
            host=HostStatus(
                cpu_percent=usage.cpu_percent,
                memory_used_bytes=usage.memory_used_bytes,
                memory_total_bytes=usage.memory_total_bytes,
                disk_used_bytes=usage.disk_used_bytes,
                disk_total_bytes=usage.disk_total_bytes,
            ),
            problems=await self._problems(subject, listed),
            room=await self._operations.room.now() if self._operations else [],
            maintenance=self._operations.maintenance.shown() if self._operations else None,
            broker=self._broker.summary() if self._broker else None,
        )

    async def _listed(self, subject: Subject) -> list[Instance]:
        """None of them where the database is too damaged to tell: that has to be said all the same."""
        try:
            return list((await self._instances.list(subject)).instances)
        except Internal as error:
            if error.code != "store_corrupt":
                raise
            return []

    async def problems(self, subject: Subject) -> list[Problem]:
        """What is wrong: with the box for administrators, with an instance for all who may see it."""
        return (await self.status(subject)).problems

    async def machine(self) -> Machine:
        """The machine in more detail than the status has, for people who look at it now."""
        return await asyncio.to_thread(machine.read, self._context.home, self._context.clock())

    async def watch(self) -> None:
        """Look for ever, so that people are told of a full disk before they ask."""
        await self._health.run()

    async def _problems(self, subject: Subject, listed: list[Instance]) -> list[Problem]:
        await self._health.refresh()
        seen = {instance.id for instance in listed}
        current = self._conditions.current()
        return [condition.problem() for condition in current if _may_see(subject, condition, seen)]

    async def _looked(self) -> tuple[Usage, str]:
        """What the disk says, or said last where it does not answer, as one on the network that is away. Nobody waits
        for that, one thread does; the health of the machine tells people."""
        look = self._look_under_way
        if look is None:
            look = self._look_under_way = asyncio.ensure_future(asyncio.to_thread(self._look))
        await asyncio.wait({look}, timeout=0 if self._late else LOOK_S)
        self._late = not look.done()
        if self._late:
            return self._last or (_without_disk(), "")
        if self._look_under_way is look:
            self._look_under_way = None
        self._last = look.result()
        return self._last

    def _look(self) -> tuple[Usage, str]:
        """What has to be asked of the disk."""
        return self._usage(self._context.home.root), _fingerprint(self._context.home.tls / "ca.crt")

    def _appliance(self, fingerprint: str) -> ApplianceStatus:
        return ApplianceStatus(
            pid=os.getpid(),
            url=self._context.base_url(),
            version=_version(),
            started_at=_text(self._started_at),
            ready=self._ready(),
            names=list(self._context.names()),
            home=str(self._context.home.root),
            ca_url=f"{self._context.base_url()}/ca.crt",
            access=self._context.config.ingress.mode,
            http_port=self._context.config.listen.http,
            sandbox=self._context.home.installed,
            ca_fingerprint=fingerprint,
        )


def _may_see(subject: Subject, condition: Condition, seen: set[str]) -> bool:
    return (subject.admin and subject.team_ids is None) or (condition.about is not None and condition.about in seen)


def _instance(instance: Instance) -> StatusInstance:
    return StatusInstance(
        id=instance.id,
        name=instance.name,
        state=instance.meta.state,
        launcher_pid=instance.meta.launcher_pid,
        node_red_pid=instance.meta.node_red_pid,
        url=instance.url,
        reason=instance.meta.reason,
        message=instance.meta.message,
        cpu_percent=instance.resources.cpu_percent if instance.resources else None,
        memory_bytes=instance.resources.memory_bytes if instance.resources else None,
    )


def _fingerprint(certificate: Path) -> str:
    """Empty while there is none, or a broken one that is about to be made anew."""
    try:
        return tls.fingerprint(certificate)
    except (OSError, ValueError):
        return ""


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _version() -> str:
    try:
        return metadata.version("weir")
    except metadata.PackageNotFoundError:
        return "0"  # run from a checkout that was not installed
