"""The process that makes and verifies backups: reads one job, says how it goes, ends when nobody listens any more."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import TextIO

import msgspec

from appliance.backup import crypt
from appliance.backup.create import create, failed
from appliance.backup.prove import prove
from appliance.schema import backup_jobs as jobs

NICE = 10  # instances come first
CLEAN_UP_S = 15.0


class Ended(BaseException):
    """Whoever asked is gone or asks no more."""


def main() -> int:
    """0 done, 1 it failed and that was said, 143 nobody listened any more."""
    os.nice(NICE)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=jobs.Job)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_watch, args=(sys.stdin,), daemon=True, name="watch the asker").start()
    try:
        _say(_done(job))
    except (Ended, BrokenPipeError):
        return 128 + signal.SIGTERM
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked has to hear of it
        told = failed(error)
        _say(jobs.Failed(type(told).__name__, told.code, told.message, told.hint))
        return 1
    return 0


def _done(job: jobs.Job) -> jobs.Done:
    if isinstance(job, jobs.Create):
        return create(job, _progress)
    if isinstance(job, jobs.Verify):
        return prove(job, _progress)
    if job.recipient:
        return jobs.Pair(crypt.checked_recipient(job.recipient))
    pair = crypt.new_pair()
    return jobs.Pair(pair.recipient, pair.secret)


def _progress(step: str, fraction: float) -> None:
    _say(jobs.Progress(step, fraction))


def _say(said: jobs.Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def _watch(source: TextIO) -> None:
    """Standard input says nothing more; its end says that nobody is there."""
    while source.buffer.read(1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(CLEAN_UP_S)
    os._exit(128 + signal.SIGTERM)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise Ended


if __name__ == "__main__":
    sys.exit(main())
