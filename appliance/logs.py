"""The appliance's own log: one line per entry on stderr, for systemd's journal or a file."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from aiohttp.http_exceptions import HttpProcessingError

from appliance.system.logfiles import cap

log = logging.getLogger(__name__)
KEEP_SHORT_S = 60.0
FILES = ("appliance.log", "nginx.log", "mosquitto.log")

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class OneLine(logging.Formatter):
    """A traceback stays on the line of its message; control characters of others' text are made visible."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\r", "").replace("\n", " | ")
        return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def only_faults_of_ours(record: logging.LogRecord) -> bool:
    """For aiohttp's log of errors: what clients send that is not HTTP is their fault, and no reason for a trace, which
    whoever likes could have us write by the thousand."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError) or error.code >= 500


def log_to_stderr(level: str) -> None:
    """Once, at start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=LEVELS.get(level, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("aiohttp.server").addFilter(only_faults_of_ours)


async def keep_short(directory: Path, every_s: float = KEEP_SHORT_S) -> None:
    """For ever: cut the log files of the box when they have grown too long, while they are written."""
    while True:
        for name in FILES:
            try:
                if await asyncio.to_thread(cap, directory / name):
                    log.info("%s was cut down to its last lines", directory / name)
            except OSError as error:
                log.warning("%s can't be kept short: %s", directory / name, error)
        await asyncio.sleep(every_s)
