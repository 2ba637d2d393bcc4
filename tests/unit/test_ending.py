"""The end of helper processes: nothing that they leave behind holds up who waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from appliance.system.ending import ended


async def test_who_holds_its_pipe_holds_up_nobody() -> None:
    """What a killed program had started has its output open: without an end of our own that is waited for."""
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", "sleep 60 & echo $!; wait"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    left_behind = int(await process.stdout.readline())
    try:
        async with asyncio.timeout(10):
            await ended(process, pipes_s=0.1)
        assert process.returncode == -signal.SIGKILL
    finally:
        os.kill(left_behind, signal.SIGKILL)


async def test_what_nobody_reads_holds_up_nobody() -> None:
    """A full pipe is no longer read, and so its end is not seen."""
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", "head -c 1000000 /dev/zero; sleep 60"), stdout=asyncio.subprocess.PIPE, limit=1024
    )
    assert process.stdout is not None
    await process.stdout.readexactly(1)
    async with asyncio.timeout(10):
        await ended(process, pipes_s=0.1)
    assert process.returncode == -signal.SIGKILL


async def test_one_that_has_ended_is_only_waited_for() -> None:
    process = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 3", stdout=asyncio.subprocess.PIPE)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            await process.wait()
    await ended(process)
    assert process.returncode == 3
