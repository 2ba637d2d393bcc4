"""Ways to take less memory, for a process that stays for months on a box with one gigabyte."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

_M_ARENA_MAX = -8  # malloc.h; mallopt(3)


@contextlib.contextmanager
def absent(*names: str) -> Iterator[None]:
    """What is imported meanwhile finds none of these optional modules, and does without for good. Not for threads."""
    taken = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(taken)


def one_heap() -> None:
    """All threads share one heap: glibc would give each its own, and keep what it has freed there for itself."""
    with contextlib.suppress(AttributeError):  # another C library has no such thing
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Give back to the kernel what was freed (malloc_trim(3))."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
