"""A lack of file descriptors, as where a limit is reached."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left(count: int) -> Iterator[None]:
    """This process may open so many descriptors more. (All numbers below are taken: the limit is on the number.)"""
    fill = [os.open("/dev/null", os.O_RDONLY)]
    while fill[-1] < 100:
        fill.append(os.open("/dev/null", os.O_RDONLY))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fill[-1] + 1 + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in fill:
            os.close(fd)
