"""Names for completion: what the box has right now, asked with the standard library alone and never for long.

Names of a box elsewhere are kept for a minute, in a file that only its owner can read.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from tui.address import Address
from tui.cli.session import Session, instance_path
from tui.wire import API

LOCAL_S = 0.5
REMOTE_S = 2.0
KEPT_S = 60.0
LARGEST_BYTES = 8 * 1024 * 1024
# Where names are listed, under which key, and which fields of an entry are good as its name.
_LISTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "instances": ("/instances", "instances", ("name",)),
    "teams": ("/user/teams", "teams", ("slug",)),
    "users": ("/users", "users", ("username",)),
    "stacks": ("/stacks?filter=all", "stacks", ("name",)),
    "templates": ("/templates", "templates", ("name",)),
    "types": ("/project-types?filter=all", "types", ("name",)),
    "team-types": ("/team-types?filter=all", "types", ("name",)),
    "tokens": ("/user/tokens", "tokens", ("name",)),
    "ssh-keys": ("/user/ssh-keys", "keys", ("name",)),
    "invitations": ("/user/invitations", "invitations", ("id",)),
    "box-names": ("/box/names", "names", ("name",)),
}
# The same for what belongs to the instance, or the team, that is named before it.
_OF_INSTANCE = {
    "snapshots": ("/projects/{id}/snapshots", "snapshots", ("name",)),
    "kept": ("/projects/{id}/kept", "kept", ("name",)),
    "http-tokens": ("/projects/{id}/httpTokens", "tokens", ("name",)),
}
_OF_TEAM = {
    "team-invitations": ("/teams/{id}/invitations", "invitations", ("id",)),
    "entries": ("/teams/{id}/library", "entries", ("name",)),
}


class LiveNames:
    """Asks one box. Raises OSError and ValueError when it does not answer as it should."""

    def __init__(self, session: Session, environ: Mapping[str, str]) -> None:
        self._session = session
        self._environ = environ

    def of(self, kind: str, plain: Sequence[str], options: Mapping[str, str]) -> list[str]:
        """The names of one kind. `plain`: the words before, the first of which may be what they belong to."""
        if kind == "boxes":
            from tui import boxes

            return list(boxes.read(self._environ).known)
        if kind == "applications":
            return self._applications()
        if kind in _OF_INSTANCE:
            return self._named(_OF_INSTANCE[kind], self._instance(plain[0])) if plain else []
        if kind in _OF_TEAM:
            team = options.get("team") or (plain[0] if kind == "team-invitations" and plain else "")
            return self._named(_OF_TEAM[kind], self._team(team))
        return self._named(_LISTS[kind], "")

    def _named(self, listed: tuple[str, str, tuple[str, ...]], owner: str) -> list[str]:
        path, key, fields = listed
        rows = self._get(path.replace("{id}", quote(owner, safe=""))).get(key, [])
        return [str(row[field]) for row in rows for field in fields if isinstance(row, dict) and row.get(field)]

    def _applications(self) -> list[str]:
        teams = self._get("/user/teams").get("teams", [])
        return [
            str(each["name"])
            for team in teams[:20]
            for each in self._get(f"/teams/{quote(team['id'])}/applications?includeInstances=false")["applications"]
        ]

    def _instance(self, name: str) -> str:
        return str(self._get(instance_path(name))["id"])

    def _team(self, wanted: str) -> str:
        teams = self._get("/user/teams").get("teams", [])
        for team in teams:
            if wanted in ("", team["slug"], team["id"], team["name"]):
                return str(team["id"])
        raise ValueError(f"no team {wanted}")

    def _get(self, path: str) -> dict[str, Any]:
        address = self._session.address
        if address.socket is not None:
            return _object(_ask(_local(address), address, path))
        kept = self._kept(address, path)
        if (known := _fresh(kept)) is not None:
            return known
        answer = _ask(_remote(address), address, path)
        found = _object(answer)
        _keep(kept, answer)
        return found

    def _kept(self, address: Address, path: str) -> Path:
        base = self._environ.get("XDG_CACHE_HOME") or str(Path(self._environ.get("HOME", "/")) / ".cache")
        # The token is part of it: what one person may see another may not.
        key = "\0".join((address.base_url, address.token, path))
        return Path(base) / "weir" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


class _Local(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("weir", timeout=LOCAL_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LOCAL_S)
        self.sock.connect(str(self._path))


def _local(address: Address) -> http.client.HTTPConnection:
    assert address.socket is not None
    return _Local(address.socket)


def _remote(address: Address) -> http.client.HTTPConnection:
    parts = urlsplit(address.base_url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=REMOTE_S)
    context = ssl.create_default_context(cafile=address.ca or None)
    return http.client.HTTPSConnection(host, parts.port, timeout=REMOTE_S, context=context)


def _ask(connection: http.client.HTTPConnection, address: Address, path: str) -> bytes:
    headers = {"Authorization": f"Bearer {address.token}"} if address.token else {}
    try:
        connection.request("GET", API + path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(LARGEST_BYTES)
    except http.client.HTTPException as error:
        raise ValueError(str(error)) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"status {answer.status}")
    return body


def _object(answer: bytes) -> dict[str, Any]:
    return msgspec.json.decode(answer, type=dict[str, Any])


def _fresh(path: Path) -> dict[str, Any] | None:
    try:
        known = path.stat()
        if known.st_uid != os.getuid() or not 0 <= time.time() - known.st_mtime < KEPT_S:
            return None
        return _object(path.read_bytes())
    except (OSError, ValueError, msgspec.MsgspecError):
        return None


def _keep(path: Path, answer: bytes) -> None:
    new = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:  # noqa: PTH123
            stream.write(answer)
        new.replace(path)
    except OSError:
        return  # it is asked again at the next Tab
