"""All names of the character devices that are plugged in now, from what udev and the kernel say of them.

The appliance sees no devices (PrivateDevices=), so it can't follow a link below /dev. What udev made of each device is
in its database, a file for each (`c188:0`, with a line `S:` for each link); the kernel's own name is in sysfs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

UDEV = Path("/run/udev/data")
NUMBERS = Path("/sys/dev/char")
Names = Mapping[str, frozenset[str]]
"""The device numbers (`188:0`) that a path below /dev may lead to. Of several devices that claim one link all are here:
which of them has it changes as they come and go."""


def names(udev: Path = UDEV, numbers: Path = NUMBERS) -> Names:
    """Empty where neither says anything. Blocks for some milliseconds: there are a few hundred small files."""
    found: dict[str, set[str]] = defaultdict(set)
    for number, text in _files(numbers, "", "/uevent"):
        for name in _after(text, "DEVNAME="):
            found[f"/dev/{name}"].add(number)
    for number, text in _files(udev, "c", ""):
        for link in _after(text, "S:"):
            found[f"/dev/{link}"].add(number)
    return {path: frozenset(devices) for path, devices in found.items()}


def same(known: Names, one: str, other: str) -> bool:
    """Whether two paths lead to one device, or may."""
    return one == other or not known.get(one, frozenset()).isdisjoint(known.get(other, frozenset()))


def _files(directory: Path, prefix: str, inside: str) -> Iterator[tuple[str, str]]:
    """Numbers and what is written of them; what goes away meanwhile was unplugged."""
    try:
        entries = [each.name for each in directory.iterdir()]
    except OSError:
        return
    for entry in entries:
        number = entry.removeprefix(prefix)
        if not entry.startswith(prefix) or not number.replace(":", "", 1).isdigit():
            continue
        try:
            yield number, Path(f"{directory}/{entry}{inside}").read_text(errors="surrogateescape")
        except OSError:
            continue


def _after(text: str, key: str) -> Iterator[str]:
    return (line.removeprefix(key) for line in text.splitlines() if line.startswith(key))
