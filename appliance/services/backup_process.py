"""Runs a job of backups in a process of its own, and hears how it goes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable

import msgspec

from appliance import errors
from appliance.errors import Unavailable, WeirError
from appliance.schema import backup_jobs as jobs
from appliance.system.ending import ended

LINE_BYTES = 4 * 1024 * 1024
DEADLINE_S = 12 * 3600.0
END_S = 30.0  # to clean up, when it is to end
_KINDS = {"Invalid": errors.Invalid, "WrongKey": errors.Invalid, "Conflict": errors.Conflict}

Progress = Callable[[str, float], None]


async def run(job: jobs.Job, progress: Progress, *, deadline_s: float = DEADLINE_S) -> jobs.Done:
    """What came of it. Cancelled, it is ended and cleans up. Raises WeirError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-m", "appliance.backup"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    try:
        async with asyncio.timeout(deadline_s):
            return await _heard(process, job, progress)
    except TimeoutError as error:
        raise Unavailable(f"It took longer than {deadline_s / 3600:.0f} hours and was ended.") from error
    finally:
        await asyncio.shield(_ended(process))


async def _heard(process: asyncio.subprocess.Process, job: jobs.Job, progress: Progress) -> jobs.Done:
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        await process.stdin.drain()
    while line := await process.stdout.readline():
        said: jobs.Said = msgspec.json.decode(line, type=jobs.Said)
        if isinstance(said, jobs.Progress):
            progress(said.step, said.fraction)
        elif isinstance(said, jobs.Failed):
            raise _error(said)
        else:
            return said
    code = await process.wait()
    hint = "Look whether the box is short of memory: journalctl -k, weir host."
    raise Unavailable(f"The process that works on backups ended suddenly ({code}).", code="backup_ended", hint=hint)


def _error(said: jobs.Failed) -> WeirError:
    kind = _KINDS.get(said.kind, Unavailable)
    return kind(said.message, code=said.code, hint=said.hint)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """It ends by itself when its standard input does."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        await ended(process)
