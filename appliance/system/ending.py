"""Ends a helper process of asyncio's, whoever holds its pipes."""

from __future__ import annotations

import asyncio
import contextlib

PIPES_S = 3.0


async def ended(process: asyncio.subprocess.Process, *, pipes_s: float = PIPES_S) -> None:
    """Kill it where it lives, and return when it is gone.

    Before Python 3.13 `wait()` also waits for the end of its pipes (https://github.com/python/cpython/issues/119710),
    which never comes while something that it has started holds them, or while nobody reads what is in them. They are
    given `pipes_s`, then they are closed here.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(pipes_s):
            await process.wait()
            return
    process._transport.close()  # type: ignore[attr-defined]  # nothing public closes them
    await process.wait()
