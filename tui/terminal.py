"""The end of the terminal is the end of the screens.

textual neither catches SIGHUP nor notices that its terminal is gone: its input thread then spins for ever
(https://github.com/Textualize/textual/pull/6690). A thread waits here for the hang-up, without ever reading.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_S = 3.0
HUNG_UP = 129  # as a shell reports a program that SIGHUP ended


@contextmanager
def ends_with_terminal(fd: int, leave: Callable[[], None], *, grace_s: float = GRACE_S) -> Iterator[None]:
    """Within the block: when the terminal on `fd` hangs up, or SIGHUP or SIGTERM comes, `leave` is called.

    If the process still lives `grace_s` later, it is ended hard: the line that its last words would be written to may
    be blocked. `leave` is called from another thread.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        os.write(told, b"!")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGHUP, signal.SIGTERM)}
    threading.Thread(target=_wait, args=(fd, heard, leave, grace_s), name="hang-up", daemon=True).start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(fd: int, heard: int, leave: Callable[[], None], grace_s: float) -> None:
    poll = select.poll()
    poll.register(fd, 0)  # POLLHUP and POLLERR are told unasked
    poll.register(heard, select.POLLIN)
    poll.poll()
    leave()
    time.sleep(grace_s)
    os._exit(HUNG_UP)
