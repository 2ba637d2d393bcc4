"""Who asks a service that systemd starts again and again is told so, and does not wait for its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tui.address import Address
from tui.errors import NotRunning
from tui.patience import ENDS, down, verdict

BOX = Address("/run/weir/api.sock", "http://weir", Path("/run/weir/api.sock"))


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ({"ActiveState": "failed", "NRestarts": "0"}, "has failed"),
        ({"ActiveState": "activating", "NRestarts": "7"}, "started 7 times again"),
        ({"ActiveState": "activating", "NRestarts": str(ENDS - 1)}, ""),
        ({"ActiveState": "activating", "NRestarts": "0"}, ""),
        ({"ActiveState": "active", "NRestarts": "7"}, ""),
        ({}, ""),
    ],
)
def test_systemd_is_asked_whether_there_is_anything_to_wait_for(shown: dict[str, str], said: str) -> None:
    error = verdict(BOX, shown)
    if not said:
        assert error is None
        return
    assert isinstance(error, NotRunning) and said in str(error)
    assert "journalctl -u weir" in error.hint


def test_a_box_of_a_checkout_is_nothing_that_systemd_knows(tmp_path: Path) -> None:
    assert down(Address("x", "http://weir", tmp_path / "api.sock")) is None


# In a process of their own: the alarm of this one ends tests that hang.
SCRIPT = """
import signal, socket, threading
from pathlib import Path
from tui.address import Address
from tui.errors import NotRunning
from tui.patience import watching
box = Address("x", "http://weir", Path("/run/weir/api.sock"))
signal.signal(signal.SIGALRM, signal.SIG_DFL)
"""
SILENT = """
looks = []
def look(address):
    looks.append(1)
    return NotRunning("it ends each time") if len(looks) == 3 else None
ours, silent = socket.socketpair()
try:
    with watching(box, look, 0.05):
        ours.recv(1)
except NotRunning as error:
    print(error, len(looks), signal.getitimer(signal.ITIMER_REAL)[0])
"""
ANSWER = """
with watching(box, lambda _: NotRunning("no"), 60):
    print(signal.getitimer(signal.ITIMER_REAL)[0] > 1)
print(signal.getitimer(signal.ITIMER_REAL)[0], signal.getsignal(signal.SIGALRM) == signal.SIG_DFL)
"""
ELSEWHERE = """
def wait():
    with watching(box, lambda _: NotRunning("no"), 60):
        print(signal.getitimer(signal.ITIMER_REAL)[0])
thread = threading.Thread(target=wait)
thread.start()
thread.join()
"""


@pytest.mark.parametrize(
    ("script", "printed"),
    [(SILENT, "it ends each time 3 0.0\n"), (ANSWER, "True\n0.0 True\n"), (ELSEWHERE, "0.0\n")],
    ids=["told", "answered", "elsewhere"],
)
def test_who_waits_for_a_silent_socket_is_told(script: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + script], capture_output=True, text=True, timeout=20, cwd=ROOT, check=False
    )
    assert done.stdout == printed, done.stderr
