"""The files of a Node-RED that stands alone, read where the user is. Blocking; small."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tui.errors import BoxError

MOST_BYTES = 9 * 1024 * 1024  # the box takes ten in one request


class Found(Struct, frozen=True):
    """What an existing Node-RED has: texts of its files, and the secret of its credentials where it is there."""

    flows: str
    credentials: str = ""
    secret: str = ""
    file: str = ""


def read_flows(path: str) -> msgspec.Raw:
    """A file of flows as it is. Raises BoxError when it cannot be read or holds none."""
    file = Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises where there is no home
    text = _read(file)
    _checked(text, file)
    return msgspec.Raw(text.encode())


def read_directory(path: str) -> Found:
    """The user directory of a Node-RED, `~/.node-red`. Raises BoxError when there are no flows in it."""
    directory = Path(os.path.expanduser(path))  # noqa: PTH111
    try:
        names = sorted(each.name for each in directory.iterdir())
    except OSError as error:
        raise BoxError(f"{error.strerror or error}: {directory}", hint="Name a user directory.") from error
    flows = [name for name in names if name.startswith("flows") and name.endswith(".json") and "_cred" not in name]
    if not flows:
        raise BoxError(f"no flows in {directory}", hint="Name the directory that flows.json is in.")
    name = "flows.json" if "flows.json" in flows else flows[0]
    text = _read(directory / name)
    _checked(text, directory / name)
    credentials = directory / f"{name.removesuffix('.json')}_cred.json"
    cipher = _read(credentials) if credentials.exists() else ""
    return Found(text, cipher, _secret(directory / ".config.runtime.json") if cipher else "", name)


def _secret(file: Path) -> str:
    """The key that Node-RED made up for itself; empty where settings.js holds one."""
    if not file.exists():
        return ""
    try:
        found: Any = msgspec.json.decode(_read(file))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    secret = found.get("_credentialSecret", "") if isinstance(found, dict) else ""
    return secret if isinstance(secret, str) else ""


def _checked(text: str, file: Path) -> None:
    hint = "Export the flows in the Node-RED editor (Menu, Export, JSON) and give that file."
    try:
        document = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BoxError(f"this is no JSON: {file}", hint=hint) from error  # its text stays out of the message
    if not isinstance(document, list | dict):
        raise BoxError(f"neither a list of nodes nor an object with flows: {file}", hint=hint)


def _read(file: Path) -> str:
    try:
        if not file.is_file():
            raise BoxError(f"no such file: {file}", hint="Name a file.")
        if file.stat().st_size > MOST_BYTES:
            raise BoxError(f"larger than {MOST_BYTES // 1024**2} MB: {file}", hint="The box takes no more at once.")
        return file.read_text("utf-8")
    except OSError as error:
        raise BoxError(f"{error.strerror or error}: {file}", hint="Name another one.") from error
    except UnicodeDecodeError as error:
        raise BoxError(f"this is no text: {file}", hint="Name another one.") from error
