"""Writes a file of the user's, whole or not at all, and never over another one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path

from tui.errors import BoxError


async def new_file(path: Path, text: str) -> None:
    """Make the file, readable for its owner only. Raises BoxError when it is there already or cannot be written."""
    await asyncio.to_thread(_write, path, text)


def _write(path: Path, text: str) -> None:
    try:
        fd, scratch = tempfile.mkstemp(prefix=".weir-", dir=path.parent)
        try:
            with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(scratch, path)  # unlike a rename it replaces nothing
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(scratch).unlink()
    except FileExistsError as error:
        raise BoxError(f"nothing is overwritten, there already is {path}", hint="Give another name.") from error
    except OSError as error:
        raise BoxError(f"cannot write {path}: {error.strerror or error}", hint="Give another name.") from error
