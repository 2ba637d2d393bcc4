"""What root hands to Weir's account for a restore: a key and a passphrase among it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui.cli.backup_restore import _copy


def test_a_copy_is_nobody_else_s_from_its_first_byte_on(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with pytest.raises(OSError, match="Input/output error"):
            _copy(Path("/proc/self/mem"), tmp_path / "key-file", os.geteuid())  # opens, and ends half-way
    finally:
        os.umask(before)
    assert (tmp_path / "key-file").stat().st_mode & 0o777 == 0o400


def test_a_copy_is_whole_and_for_reading_alone(tmp_path: Path) -> None:
    source = tmp_path / "key"
    source.write_bytes(b"AGE-SECRET-KEY-1\n" * 10_000)
    made = _copy(source, tmp_path / "key-file", os.geteuid())
    assert (made.read_bytes(), made.stat().st_mode & 0o777) == (source.read_bytes(), 0o400)
