"""A fault of our own: one sentence for who reads it, the trace in a file for who mends it."""

from __future__ import annotations

import contextlib
import os
import syslog
import tempfile
import traceback

from tui.errors import BoxError

JOURNALLED = 6000  # characters of a trace


def told(error: BaseException) -> BoxError:
    """The error to end with; its trace, without the values of variables, is in a file of the user's own."""
    path = _written("".join(traceback.format_exception(error)))
    where = f"The trace is in {path}" if path else "The trace could not be written"
    return BoxError(
        f"the screens ended by a fault of their own: {type(error).__name__}: {error}",
        hint=f"{where}; the box keeps running. Start again: weir",
    )


def _written(trace: str) -> str:
    with contextlib.suppress(OSError):  # a full disk must not hide the fault itself
        fd, path = tempfile.mkstemp(prefix="weir-ui-", suffix=".log")
        with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
        return path
    with contextlib.suppress(OSError):  # who came over SSH has no files: it is in the box's journal then
        syslog.syslog(syslog.LOG_ERR, f"weir's screens: {trace[-JOURNALLED:]}")
    return ""
