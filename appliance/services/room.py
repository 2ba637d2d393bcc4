"""Room for more: how many further instances of each type the memory would hold, by what those that ran have used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from appliance.model import Desired
from appliance.reconcile.memory import FIRST_BYTES, FLOOR_BYTES
from appliance.schema.operations import Room
from appliance.services.addresses import INSTANCES
from appliance.store import catalogue, instances
from appliance.store.engine import Store, Tx
from appliance.store.instances import InstanceRow

Peak = Callable[[str], int | None]


class RoomMeter:
    """`up`: whether an instance runs, so that its memory is counted by the kernel already."""

    def __init__(
        self,
        store: Store,
        *,
        peak_bytes: Peak,
        available_bytes: Callable[[], int | None],
        up: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._peak_bytes = peak_bytes
        self._available_bytes = available_bytes
        self._up = up

    async def now(self) -> list[Room]:
        """Of each type that is offered; none where the kernel does not tell how much memory there is."""
        available = self._available_bytes()
        if available is None:
            return []
        types, rows = await self._store.read(_look)
        coming = [row for row in rows if row.desired is Desired.RUNNING and not self._up(row.id)]
        left = available - FLOOR_BYTES - sum(self._peak_bytes(row.id) or FIRST_BYTES for row in coming)
        return judge(types, rows, self._peak_bytes, left)


def judge(types: Mapping[str, str], rows: Sequence[InstanceRow], peak_bytes: Peak, left_bytes: int) -> list[Room]:
    """Pure. `types`: name by id. An instance needs what those of its type took at most, on average."""
    found = []
    for type_id, name in types.items():
        peaks = [peak for row in rows if row.type_id == type_id and (peak := peak_bytes(row.id))]
        need = sum(peaks) // len(peaks) if peaks else FIRST_BYTES
        more = min(max(0, left_bytes) // need, max(0, INSTANCES - len(rows)))
        found.append(Room(type=name, more=more, need_bytes=need, measured=len(peaks)))
    return found


def _look(tx: Tx) -> tuple[dict[str, str], list[InstanceRow]]:
    return {each.id: each.name for each in catalogue.types(tx) if each.active}, instances.every(tx)
