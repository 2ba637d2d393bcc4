"""Whether a built stack is still what was built: the files of each package counted and measured, Node.js asked.

Cheap on purpose (names and sizes, no contents), so that it can be done beside running instances.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from appliance.system.files import write_atomic

MANIFEST = "files.json"
NODE_S = 20.0
_NAMED = 3  # packages that a sentence names


def record(directory: Path) -> None:
    """Write down what lies in the stack at `directory`. Blocks. Raises OSError."""
    write_atomic(directory / MANIFEST, msgspec.json.encode(_measure(directory)), mode=0o444)


def node_trouble(node: Path, version: str) -> str:
    """Why this Node.js is not one that runs and is of that version, in words; else empty. Blocks."""
    try:
        done = subprocess.run(
            [node, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=NODE_S,
            env={"PATH": "/usr/bin:/bin"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"its Node.js does not run: {error}"
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    if done.returncode != 0:
        return f"its Node.js does not run: {said[:200] or f'it ended with {done.returncode}'}"
    return "" if said == f"v{version}" else f"its Node.js is {said[:40]}, not v{version}"


def differences(directory: Path) -> str:
    """What is missing or was changed in the stack at `directory`, in words; else empty. Blocks."""
    try:
        return _compare(directory)
    except (OSError, ValueError, KeyError) as error:  # what can't be read, or is no JSON, is broken too
        return f"its files can't be read: {error}"


def _compare(directory: Path) -> str:
    try:
        wanted = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=dict[str, str])
    except FileNotFoundError:  # built by an earlier version
        return _missing_packages(directory)
    found = _measure(directory)
    missing = sorted(wanted.keys() - found.keys())
    changed = sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name])
    return _told("missing", missing) or _told("changed or incomplete", changed)


def _missing_packages(directory: Path) -> str:
    listed = json.loads((directory / "node_modules" / ".package-lock.json").read_bytes())["packages"]
    names = [name for name, package in listed.items() if name and not package.get("optional")]
    missing = [name for name in names if not (directory / name / "package.json").is_file()]
    return _told("missing", [name.removeprefix("node_modules/") for name in missing])


def _told(how: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"packages are {how}: {', '.join(names[:_NAMED])}{more}"


def _measure(directory: Path) -> dict[str, str]:
    """By package: a digest of the names and sizes of all its files."""
    return {name: _digest(path) for name, path in _packages(directory / "node_modules")}


def _packages(modules: Path) -> Iterator[tuple[str, Path]]:
    for entry in sorted(modules.iterdir()):
        if not entry.is_dir() or entry.name.startswith("."):
            continue
        if entry.name.startswith("@"):
            yield from ((f"{entry.name}/{each.name}", each) for each in sorted(entry.iterdir()))
        else:
            yield entry.name, entry


def _digest(package: Path) -> str:
    lines = sorted(f"{path[len(str(package)) :]}\0{size}\n" for path, size in _files(str(package)))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _files(directory: str) -> Iterator[tuple[str, int]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry.path, entry.stat(follow_symlinks=False).st_size
