"""Which ports an instance may open: `tcp:1880`, `udp:5000-5010`, `1883` for either protocol. Pure.

The form is that of systemd.resource-control(5), `SocketBindAllow=`, which carries it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

OWN = "own"  # no port but those that it has anyway
LAST = 65535
# Not systemd's `any`, which denies port 0 too: there the kernel chooses one, as it does for each socket that sends UDP.
EVERYTHING = f"1-{LAST}"
Range = tuple[int, int]
_RULE = re.compile(r"(?:(tcp|udp):)?([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")


class PortRule(Struct, frozen=True):
    """Ports from `first` to `last`, both included. `protocol`: tcp or udp; empty for either."""

    protocol: str
    first: int
    last: int

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.protocol}:{ports}" if self.protocol else ports

    def meets(self, ports: Range) -> bool:
        return self.first <= ports[1] and ports[0] <= self.last


def parse(text: str) -> PortRule:
    """Raises ValueError for what names no ports."""
    found = _RULE.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"no rule of ports: {text[:80]}")
    first = int(found[2])
    rule = PortRule(found[1] or "", first, int(found[3] or first))
    if not rule.first <= rule.last <= LAST:
        raise ValueError(f"no range of ports: {text[:80]}")
    return rule


def without(rules: Iterable[PortRule], reserved: Sequence[Range]) -> list[PortRule]:
    """The same ports but those that are `reserved`."""
    left = list(rules)
    for first, last in reserved:
        cut: list[PortRule] = []
        for rule in left:
            if not rule.meets((first, last)):
                cut.append(rule)
                continue
            if rule.first < first:
                cut.append(PortRule(rule.protocol, rule.first, first - 1))
            if last < rule.last:
                cut.append(PortRule(rule.protocol, last + 1, rule.last))
        left = cut
    return left
