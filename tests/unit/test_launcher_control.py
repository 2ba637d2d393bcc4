"""The control channel, with a pipe's other end in place of Node-RED."""

from __future__ import annotations

import asyncio
import contextlib
import os

import msgspec

from launcher.control import Control, Kept
from tests.support import eventually


def child_of(control: Control) -> int:
    """The child's end, as a child would have it after `attach`."""
    return os.dup(control.child_fd)


async def test_what_node_red_keeps_reaches_its_successor_and_nobody_else() -> None:
    kept, heard = Kept(), list[str]()
    first = Control({"listening": lambda _: heard.append("listening")}, kept)
    child = child_of(first)
    first.attach()
    people = {"editors": [{"profile": {"username": "ada"}, "refreshToken": "ffu_x"}]}
    os.write(child, msgspec.json.encode({"event": "keep", "value": people}) + b"\n")
    os.write(child, b'not json\n{"event":"listening"}\n')
    await eventually(lambda: heard)
    assert heard == ["listening"]
    first.close()
    os.close(child)

    second = Control({}, kept)
    child = child_of(second)
    second.boot({"instanceId": "i"})
    sent = msgspec.json.decode(os.read(child, 65536))
    assert sent == {"boot": {"instanceId": "i", "kept": people}}
    second.attach()
    second.close()
    os.close(child)


async def test_a_flow_that_floods_the_channel_fills_no_queue() -> None:
    heard = list[str]()
    control = Control({"known": lambda value: heard.append(msgspec.json.decode(value, type=str))}, Kept())
    child = child_of(control)
    control.attach()
    os.set_blocking(child, False)
    os.write(child, b'{"event":"known","value":"first"}\n')
    for line in (b'{"event":"known","value":1}', b'{"event":"strange"}', b"[" * 2000, b'{"event":7}', b'{"x":1}'):
        for _ in range(1000):
            with contextlib.suppress(BlockingIOError):
                os.write(child, line + b"\n")
        await asyncio.sleep(0)
    os.close(child)
    await eventually(lambda: control.ended)
    assert heard == ["first"], "what is no such event, or not of its kind, reaches nobody and ends nothing"
    control.close()


async def test_what_is_kept_grows_no_longer_than_it_came_and_is_json() -> None:
    """Numbers grow when they are read and written again; a boot document too long for the socket would never arrive."""
    kept = Kept()
    first = Control({}, kept)
    child = child_of(first)
    first.attach()
    value = b"[" + b",".join([b"1e15"] * 12_000) + b"]"
    os.write(child, b'{"event":"keep","value":' + value + b"}\n")
    await eventually(lambda: bytes(kept.value) == value)
    os.write(child, b'{"event":"keep","value":"\\q"}\n{"event":"listening"}\n')
    os.close(child)
    await eventually(lambda: first.ended)
    first.close()
    second = Control({}, kept)
    child = child_of(second)
    second.boot({"instanceId": "i"})
    sent = os.read(child, 1 << 20)
    assert sent.endswith(b"\n") and len(msgspec.json.decode(sent)["boot"]["kept"]) == 12_000
    second.attach()
    second.close()
    os.close(child)
