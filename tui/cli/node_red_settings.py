"""Settings of Node-RED as people type them: `theme=dark`, `palette.allowInstall=off`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tui.errors import Usage

FLAGS = ("disableEditor", "disableTours", "dashboardIFrame", "palette.allowInstall", "modules.allowInstall")
TEXTS = (
    *("httpAdminRoot", "dashboardUI", "codeEditor", "theme", "timeZone", "apiMaxLength"),
    *("page.title", "page.favicon", "header.title", "header.url"),
    *("palette.nodesExcludes", "palette.denyList", "palette.npmrc", "modules.denyList"),
    *("httpNodeAuth.type", "httpNodeAuth.user", "httpNodeAuth.pass"),
)
NUMBERS = ("debugMaxLength",)
DOCUMENTS = ("palette.modules", "palette.catalogue", "httpNodeCORS")
SECRETS = ("httpNodeAuth.pass", "palette.npmrc")
KEYS = (*FLAGS, *TEXTS, *NUMBERS, *DOCUMENTS)
_SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def setting(key: str, value: str) -> Any:
    """What the API takes for it; `default` takes it back. Raises Usage.

    Secrets come as `@FILE`, or `-` for standard input: what stands in a command, other processes can read.
    """
    if value == "default":
        return None
    if key in SECRETS:
        return _secret(key, value)
    if key in FLAGS:
        if value not in _SWITCH:
            raise Usage(f"{key} can't be '{value}'", hint="It is on, off or default.")
        return _SWITCH[value]
    if key in NUMBERS:
        if not value.isdecimal():
            raise Usage(f"{key} can't be '{value}'", hint="It is a whole number, or default.")
        return int(value)
    return _document(key, value) if key in DOCUMENTS else value


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`{"page.title": "x"}` as the API nests it."""
    found: dict[str, Any] = {}
    for path, value in settings.items():
        *groups, last = path.split(".")
        place = found
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return found


def pairs(words: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` words as settings. Raises Usage naming what is known."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in KEYS or not equals:
            raise Usage(f"'{word}' is no setting", hint=f"Write KEY=VALUE; keys: {', '.join(KEYS)}.")
        found[key] = setting(key, value)
    return found


def _document(key: str, value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Usage(f"{key} is not JSON: {error}", hint="Write it as JSON, in quotes.") from error


def _secret(key: str, value: str) -> str:
    if value == "-":
        return sys.stdin.readline().rstrip("\n")
    if not value.startswith("@"):
        raise Usage(f"{key} is a secret", hint=f"Put it in a file: {key}=@FILE; or {key}=- for standard input.")
    try:
        return Path(value[1:]).read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"cannot read {key} from {value[1:]}: {error}") from error
