"""Why did Node-RED end? A word for machines and a sentence for people, from the exit and the last lines."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.memory import NONE, Kills
from launcher.process import Exit

_MEMORY = (b"heap out of memory", b"v8::internal::heap::", b"reached heap limit")
# Our storage plugin ends Node-RED with this rather than let it open an empty editor over flows it could not read.
_NO_FLOWS = 75
_UNCAUGHT = (b"uncaughtexception", b"uncaught exception")


def diagnose(
    ended: Exit, tail: Sequence[bytes], before: Kills = NONE, after: Kills = NONE, *, served: bool = False
) -> tuple[str, str]:
    """`tail`: the last log entries, as JSON; `before`, `after`: what the kernel had killed at its start and end;
    `served`: it had come up, and so has had its flows."""
    text = b"\n".join(tail).lower()
    if ended.code == _NO_FLOWS and not served:
        return "no_flows", "The appliance gave no flows: it may be away or starting; the log of the appliance says why."
    if any(mark in text for mark in _MEMORY):
        return "out_of_memory", "Node-RED ran out of memory: give the instance more, or make its flows lighter."
    if ended.signal == "SIGKILL":
        return _killed(before, after)
    if ended.signal is not None:
        return "signal", f"Node-RED ended by {ended.signal}."
    if ended.code == 0:
        return "exited", "Node-RED ended by itself without an error: a flow may call process.exit()."
    if any(mark in text for mark in _UNCAUGHT):
        return "uncaught_exception", "A node threw an exception that nobody caught: its trace is in the log."
    return "crashed", f"Node-RED ended with status {ended.code}: the log says why."


def _killed(before: Kills, after: Kills) -> tuple[str, str]:
    if after.ours > before.ours:
        limit = f": {after.limit_bytes >> 20} MB" if after.limit_bytes is not None else ""
        return (
            "out_of_memory",
            f"The kernel killed Node-RED: the instance took more memory than it is allowed{limit}. Put it on a stack "
            "with more (weir stack list), or make its flows lighter.",
        )
    if before.box is None or after.box is None:
        return "killed", "Node-RED was killed by SIGKILL: the box or the instance's limit may be out of memory."
    if after.box > before.box:
        # The counter is of the whole box, so this is likely and not certain.
        return (
            "out_of_memory",
            "Node-RED was killed while the box was out of memory: most likely by the kernel for that.",
        )
    return "killed", "Node-RED was killed by SIGKILL: by somebody on this box, not for want of memory."
