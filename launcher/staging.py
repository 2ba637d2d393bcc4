"""Modules are installed beside those in use, and change places with them in one step.

A stage is a copy of `node_modules` by hard links with `package.json` and the lock file, in a directory of its own on
the same file system. npm works there; what runs sees nothing of it. The swap is noted in a journal first and made
of renames only, so that after a power cut at any line the next `recover` finishes it; without a journal the stage is
thrown away, and what ran is what it was.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from launcher.files import read_if_there, write_atomic

MODULES, PACKAGE, LOCK = "node_modules", "package.json", "package-lock.json"
_HIDDEN_LOCK = ".package-lock.json"
_MARK = ".weir-stage"  # in the modules of a stage: tells on which side of the swap they are
_AT_FDCWD, _EXCHANGE = -100, 2
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.ENOSYS)
_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)


class _Journal(Struct, frozen=True):
    """A swap under way: the stage, and whether it brings a lock file."""

    stage: str
    lock: bool


class Yard:
    """Where one user directory's installs happen. All methods block and raise OSError."""

    def __init__(self, directory: Path) -> None:
        self.directory = Path(os.path.realpath(directory))  # npm knows it by this name, and spells links by it
        self.root = self.directory / "launcher" / "modules"
        self.lock_file = self.root / "lock"
        self._journal = self.root / "swap.json"

    def left_over(self) -> bool:
        """Whether an earlier install was cut off."""
        return self._journal.exists() or any(self.root.glob("stage-*"))

    def recover(self) -> bool:
        """Finish a swap that was begun, throw away the rest; whether there was a swap to finish."""
        journal = self._read_journal()
        if journal is not None:
            self._finish(journal)
        for stage in self.root.glob("stage-*"):
            _remove(stage)
        return journal is not None

    def stage(self, without: Collection[str] = ()) -> Path:
        """A new stage with all that is installed, except the modules named."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix="stage-", dir=self.root))
        try:
            _link_tree(self.directory / MODULES, stage / MODULES, {self.directory / MODULES / name for name in without})
            _aim(self.directory / MODULES, stage / MODULES)
            for name in (PACKAGE, LOCK):
                if (content := read_if_there(self.directory / name)) is not None:
                    write_atomic(stage / name, content, 0o644)
            if without:  # npm would believe it, and leave out what is missing
                (stage / MODULES / _HIDDEN_LOCK).unlink(missing_ok=True)
            self._respell(stage, self.directory, stage)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise
        return stage

    def list(self, stage: Path, wanted: Mapping[str, str]) -> None:
        """Let a stage name these modules."""
        _write_list(stage, wanted)
        self._respell(stage, self.directory, stage)

    def commit(self, stage: Path, wanted: Mapping[str, str] | None = None) -> None:
        """Put a stage in the place of what is there, with the list as it was wanted, or else as npm wrote it.

        The old modules are gone afterwards.
        """
        if wanted is None:
            self._respell(stage, stage, self.directory)
        else:
            _write_list(stage, wanted)
        if _relink(stage / MODULES, self.directory / MODULES, stage):
            # The lock files name the linked folders as seen from the stage.
            (stage / MODULES / _HIDDEN_LOCK).unlink(missing_ok=True)
            (stage / LOCK).unlink(missing_ok=True)
        (stage / MODULES).mkdir(exist_ok=True)
        (stage / MODULES / _MARK).write_text(stage.name)
        _sync(stage)
        journal = _Journal(stage.name, (stage / LOCK).exists())
        write_atomic(self._journal, msgspec.json.encode(journal))
        _sync(stage)
        self._finish(journal)
        shutil.rmtree(stage, ignore_errors=True)

    def _read_journal(self) -> _Journal | None:
        content = read_if_there(self._journal)
        if content is None:
            return None
        try:
            journal = msgspec.json.decode(content, type=_Journal)
        except msgspec.DecodeError:
            journal = _Journal("", False)
        if not journal.stage.startswith("stage-") or "/" in journal.stage:  # the flow can write here, too
            self._journal.unlink()
            return None
        return journal

    def _finish(self, journal: _Journal) -> None:
        """Renames only, each done once however often this is begun again."""
        stage, here = self.root / journal.stage, self.directory
        if read_if_there(here / MODULES / _MARK) != journal.stage.encode():
            _swap(stage / MODULES, here / MODULES, stage / "before")
        if (stage / LOCK).exists():
            (stage / LOCK).replace(here / LOCK)
        elif not journal.lock:
            (here / LOCK).unlink(missing_ok=True)
        if (stage / PACKAGE).exists():
            (stage / PACKAGE).replace(here / PACKAGE)
        _sync(here)
        self._journal.unlink(missing_ok=True)

    def _respell(self, stage: Path, seen_from: Path, to_be_seen_from: Path) -> None:
        """Relative folders in the list of modules name the same folders from another place."""
        listed = _document(stage).get("dependencies")
        if isinstance(listed, dict):
            moved = {name: _moved(spec, seen_from, to_be_seen_from) for name, spec in listed.items()}
            if moved != listed:
                _write_list(stage, moved)


def _remove(path: Path) -> None:
    """Whatever lies there, as far as it can be removed: a flow may have made a file, a link, or a directory that nobody
    may write to."""
    with contextlib.suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return
        path.chmod(0o700)
        for here, names, _ in os.walk(path):
            for inner in (Path(here, name) for name in names):
                if not inner.is_symlink():
                    inner.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


def write_package(path: Path, document: Mapping[str, Any]) -> None:
    """A package.json as npm writes it. Raises OSError."""
    content = msgspec.json.format(msgspec.json.encode(document), indent=4)
    write_atomic(path, content + b"\n", 0o644)


def _document(directory: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(read_if_there(directory / PACKAGE) or b"", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"name": "instance", "version": "0.0.1", "private": True}


def _write_list(directory: Path, listed: Mapping[str, object]) -> None:
    write_package(directory / PACKAGE, {**_document(directory), "dependencies": dict(listed)})


def _moved(spec: object, seen_from: Path, to_be_seen_from: Path) -> object:
    if not isinstance(spec, str) or not spec.startswith("file:") or spec[5:6] in ("", "/", "~") or "\0" in spec:
        return spec
    return "file:" + os.path.relpath(seen_from / spec.removeprefix("file:"), to_be_seen_from)


def _link_tree(source: Path, target: Path, without: Collection[Path]) -> None:
    """The same files under new names. Directories keep their times: npm compares them with its list."""
    directories: list[tuple[Path, Path]] = []
    waiting = [(source, target)] if source.is_dir() else []
    while waiting:
        here, there = waiting.pop()
        there.mkdir(0o755)
        directories.append((here, there))
        for path in here.iterdir():
            if path in without:
                continue
            if path.is_dir() and not path.is_symlink():
                waiting.append((path, there / path.name))
            else:
                _link(path, there / path.name)
    for here, there in reversed(directories):
        times = here.stat()
        os.utime(there, ns=(times.st_atime_ns, times.st_mtime_ns))


def _link(path: Path, target: Path) -> None:
    if path.is_symlink():
        target.symlink_to(path.readlink())
    elif path.name == _HIDDEN_LOCK:  # npm writes it anew in place
        shutil.copy2(path, target)
    elif path.is_file() and path.name != _MARK:
        try:
            target.hardlink_to(path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copy2(path, target)


def _aim(modules: Path, copy: Path) -> None:
    """Links to folders elsewhere lead there from a copy, too."""
    for link in _links(modules):
        target, here = os.path.realpath(link), copy / link.relative_to(modules)
        if not target.startswith(f"{modules}/") and here.is_symlink():
            here.unlink()
            here.symlink_to(target)


def _relink(modules: Path, final: Path, stage: Path) -> bool:
    """Links to folders outside the stage are made as npm makes them, relative; whether there are any."""
    found = False
    for link in _links(modules):
        target = os.path.realpath(link)
        if not target.startswith(f"{stage}/"):
            found = True
            link.unlink()
            link.symlink_to(os.path.relpath(target, final / link.parent.relative_to(modules)))
    return found


def _links(modules: Path) -> Iterable[Path]:
    for pattern in ("*", "@*/*"):
        yield from [path for path in modules.glob(pattern) if path.is_symlink()]


def _swap(new: Path, old: Path, aside: Path) -> None:
    """`new` in the place of `old` in one step; where the file system has none, in two that can be begun again."""
    if new.exists() and old.exists() and _exchange(new, old):
        return
    if new.exists():
        if old.exists():
            old.rename(aside)
        new.rename(old)


def _exchange(one: Path, other: Path) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        failed = libc.renameat2(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), _EXCHANGE)
    except AttributeError:
        return False
    if failed and (number := ctypes.get_errno()) not in _NO_EXCHANGE:
        raise OSError(number, os.strerror(number), str(other))
    return not failed


def _sync(path: Path) -> None:
    """All that was written to this file system is on the disk afterwards."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        with contextlib.suppress(AttributeError):
            if libc.syncfs(fd) == 0:
                return
        os.sync()
    finally:
        os.close(fd)
