"""The control channel, with a pipe's other end in place of Node-RED."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from launcher.control import Control, Kept
from tests.support import eventually


def child_of(control: Control) -> int:
    """The child's end, as a child would have it after `attach`."""
    return os.dup(control.child_fd)


async def test_what_node_red_keeps_reaches_its_successor_and_nobody_else() -> None:
    kept, heard = Kept(), list[dict[str, Any]]()
    first = Control(heard.append, kept)
    child = child_of(first)
    first.attach()
    people = {"editors": [{"profile": {"username": "ada"}, "refreshToken": "ffu_x"}]}
    os.write(child, msgspec.json.encode({"event": "keep", "value": people}) + b"\n")
    os.write(child, b'not json\n{"event":"listening"}\n')
    await eventually(lambda: heard)
    assert heard == [{"event": "listening"}]
    first.close()
    os.close(child)

    second = Control(heard.append, kept)
    child = child_of(second)
    second.boot({"instanceId": "i"})
    sent = msgspec.json.decode(os.read(child, 65536))
    assert sent == {"boot": {"instanceId": "i", "kept": people}}
    second.attach()
    second.close()
    os.close(child)
