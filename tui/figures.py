"""What instances take of the machine, for people: pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from appliance.schema.resources import Figures, Sample
from tui.text import duration, size

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-=+*#@"
MB = 1024 * 1024


class Series(Struct, frozen=True):
    """One measure over time, oldest first; None where it was not known. `top` is the full height, 0 the largest."""

    name: str
    values: list[float | None]
    unit: str
    top: float = 0.0


def cpu(found: Figures | None, *, none: str = "-") -> str:
    """Processor time in at most four cells: `12%`, of one core."""
    return none if found is None else f"{min(found.cpu_percent, 999):.0f}%"


def memory(found: Figures | None, *, none: str = "-") -> str:
    """Memory in at most four cells: `131M`, `1.2G`."""
    return none if found is None else short_size(found.memory_bytes)


def short_size(count_bytes: int) -> str:
    """A size in at most four cells."""
    for unit, factor in (("T", 10**12), ("G", 10**9)):
        if count_bytes >= factor:
            value = count_bytes / factor
            return f"{value:.1f}{unit}" if value < 9.95 else f"{min(value, 999):.0f}{unit}"
    return f"{min(999, round(count_bytes / 10**6))}M"


def facts(found: Figures | None) -> list[tuple[str, str]]:
    """Labels and values of one instance; none while it does not run."""
    if found is None:
        return []
    of_cpu = f" of {found.cpu_limit_percent:.0f}%" if found.cpu_limit_percent else ""
    of_memory = f" of {size(found.memory_limit_bytes)}" if found.memory_limit_bytes else ""
    told = [
        ("cpu", f"{found.cpu_percent:.1f}%{of_cpu} of a core"),
        ("memory", f"{size(found.memory_bytes)}{of_memory}, at most {size(found.peak_bytes)} in this run"),
    ]
    if found.heap_bytes is not None and found.heap_limit_bytes:
        told.append(("heap", f"{size(found.heap_bytes)} of {size(found.heap_limit_bytes)}"))
    if found.lag_ms is not None:
        told.append(("event loop", f"late by {found.lag_ms:.0f} ms (p99)"))
    return told


def series(samples: Sequence[Sample]) -> list[Series]:
    """What a history shows, measure by measure."""
    return [
        Series("cpu", [each.cpu for each in samples], "%", 100.0),
        Series("memory", [None if each.ps is None else each.ps * MB / 1e6 for each in samples], " MB"),
        Series("lag p99", [None if each.el99 is None else each.el99 * 1000 for each in samples], " ms"),
        Series("messages", _rates(samples), "/s"),
    ]


def _rates(samples: Sequence[Sample]) -> list[float | None]:
    rates: list[float | None] = [None] if samples else []
    for before, now in zip(samples, samples[1:], strict=False):
        step_s = (now.ts - before.ts) / 1000
        if now.nrrecv is None or before.nrrecv is None or step_s <= 0:
            rates.append(None)
        else:  # smaller than before: Node-RED was restarted and counts anew
            rates.append((now.nrrecv - (before.nrrecv if now.nrrecv >= before.nrrecv else 0)) / step_s)
    return rates


def summary(each: Series, cells: int, *, ascii_only: bool = False) -> str:
    """A line: the newest value, a picture of `cells` cells, average and largest; empty when nothing is known."""
    known = [value for value in each.values if value is not None]
    if not known:
        return ""
    picture = sparkline(each.values, cells, top=each.top, blocks=ASCII_BLOCKS if ascii_only else BLOCKS)
    average, most = sum(known) / len(known), max(known)
    newest = f"{known[-1]:.0f}{each.unit}"
    return f"{each.name:<9} {newest:>9}  {picture}  average {average:.0f}{each.unit}, most {most:.0f}{each.unit}"


def sparkline(values: Sequence[float | None], cells: int, *, top: float = 0.0, blocks: str = BLOCKS) -> str:
    """Values as a row of blocks, the largest of each cell; a blank where nothing is known. Short ones are not
    stretched. `top` is the full height, unless something is higher."""
    if not values:
        return ""
    count = min(cells, len(values))
    edges = [len(values) * at // count for at in range(count + 1)]
    parts = [values[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    peaks = [max((value for value in part if value is not None), default=None) for part in parts]
    height = max([top, *(peak for peak in peaks if peak is not None)])
    return "".join(" " if peak is None else _block(peak, height, blocks) for peak in peaks)


def _block(value: float, height: float, blocks: str) -> str:
    share = value / height if height > 0 else 0.0
    return blocks[max(0, min(len(blocks) - 1, int(share * len(blocks))))]


def covered(samples: Sequence[Sample]) -> str:
    """How long a history is: `2h`."""
    return duration((samples[-1].ts - samples[0].ts) / 1000) if samples else "0s"
