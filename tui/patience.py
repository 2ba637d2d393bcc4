"""Commands that wait for an installed box: systemd holds the sockets, so whoever asks a service that does not come up
is neither refused nor answered. After some seconds systemd is asked whether there is anything to wait for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tui.address import SYSTEM_SOCKET, Address
from tui.errors import BoxError, NotRunning

PATIENCE_S = 3.0
ENDS = 2  # an end is nothing yet: it is started again at once
_ASK = ("systemctl", "--no-pager", "show", "weir.service", "--property=ActiveState,NRestarts")
_ASK_S = 5.0
Down = Callable[[Address], BoxError | None]


def down(address: Address) -> BoxError | None:
    """Why nobody will answer there soon; None where somebody may, or where that is not known. Blocks."""
    if address.socket != SYSTEM_SOCKET:
        return None
    import subprocess  # hardly any command needs it

    try:
        done = subprocess.run(
            _ASK, capture_output=True, text=True, timeout=_ASK_S, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return verdict(address, dict(line.partition("=")[::2] for line in done.stdout.splitlines()))


def verdict(address: Address, shown: dict[str, str]) -> BoxError | None:
    """The same, from what systemd says of the service. Pure."""
    state, ends = shown.get("ActiveState", ""), int(shown.get("NRestarts") or 0)
    if state == "failed":
        why = "weir.service has failed"
    elif state in ("activating", "deactivating", "inactive") and ends >= ENDS:
        why = f"weir.service was started {ends} times again and ended each time"
    else:
        return None
    hint = "See why: journalctl -u weir -n 50; weir doctor says more. Instances go on meanwhile."
    return NotRunning(f"Weir is not running at {address.label}: {why}.", hint=hint)


@contextmanager
def watching(address: Address, look: Down = down, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """What is inside waits for an answer; raises BoxError there as soon as there is nothing to wait for. Only in the
    main thread: elsewhere, and where somebody else uses the alarm, it just waits."""
    idle = signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, signal.SIG_IGN)
    if address.socket is None or not idle or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        if (error := look(address)) is not None:
            raise error

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, patience_s, patience_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
