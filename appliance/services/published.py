"""The settings document as the published launcher survives it (instance protocol §7.1, L2, L21). Pure.

It pastes texts between quotes of a JavaScript file, so that an apostrophe in a title would end the text and what
follows would be program; and it hands V8's memory limit to the wrong program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HEAP_SHARE = 0.75  # of an instance's memory, as the launcher itself means it
OPTIONS = "NODE_OPTIONS"
# Settings that stand between quotes. Those that people read keep their sense, the others must need no change at all.
_READ = (("page", "title"), ("header", "title"))
_EXACT = (("page", "favicon"), ("httpNodeCORS", "origin"))
_EXACT_TEXTS = ("httpAdminRoot", "dashboardUI", "codeEditor", "theme", "apiMaxLength", "timeZone")
_HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}", re.ASCII)
# In the form of a bcrypt hash, so that Node-RED asks for a password; nobody knows one that comes to this.
_NOBODY = {"type": "basic", "user": "nobody", "pass": f"$2b$10${'.' * 53}"}
_SAFE = re.compile(r"[^'\"`\\\x00-\x1f\x7f\u2028\u2029]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
# What this launcher can't do is told where it is set, and never pretended.
UNKNOWN_SETTINGS = ("crashPolicy", "hotSpare", "installTimeout")


def document(given: Mapping[str, Any], memory_mb: int | None) -> dict[str, Any]:
    """`given` with nothing in it that could end a text or lack where the launcher looks."""
    settings = dict(given["settings"])
    for group, key in _READ:
        _change(settings, group, key, _readable)
    for group, key in _EXACT:
        _change(settings, group, key, _exact)
    for key in _EXACT_TEXTS:
        if isinstance(settings.get(key), str) and _SAFE.fullmatch(settings[key]) is None:
            del settings[key]
    if "httpNodeAuth" in settings:
        settings["httpNodeAuth"] = _guard(settings["httpNodeAuth"])
    for group in ("palette", "modules"):
        settings[group] = _lists(settings.get(group))
    return {**given, "settings": settings, "env": _environment(given["env"], memory_mb)}


def _guard(auth: Any) -> dict[str, Any]:
    """Who may use the flows' pages. It leaves them open where a name or a password is missing, and Node-RED where the
    password is no hash: pages that somebody wanted closed stay closed."""
    given = dict(auth) if isinstance(auth, dict) else {}
    kind, hashed = given.get("type"), given.get("pass")
    complete = bool(given.get("user")) and isinstance(hashed, str) and _HASH.fullmatch(hashed) is not None
    if not kind or kind == "flowforge-user" or (kind == "basic" and complete):
        return given
    return dict(_NOBODY)


def note(given: Mapping[str, Any]) -> str:
    """What of these launcher settings has no effect under this launcher, in a sentence; else empty."""
    idle = [key for key in UNKNOWN_SETTINGS if key in given]
    return f"The published launcher knows no {', '.join(idle)}: without effect." if idle else ""


def _change(settings: dict[str, Any], group: str, key: str, change: Any) -> None:
    values = settings.get(group)
    if isinstance(values, dict) and isinstance(values.get(key), str):
        settings[group] = {**values, key: change(values[key])}


def _readable(text: str) -> str:
    """The same to a reader, in characters that no string of JavaScript ends with."""
    return _CONTROL.sub(" ", text).replace("\\", "/").replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")


def _exact(text: str) -> str:
    return text if _SAFE.fullmatch(text) is not None else ""


def _lists(values: Any) -> dict[str, Any]:
    """Node-RED takes lists; what people write with commas is one."""
    found = dict(values) if isinstance(values, dict) else {}
    for key in ("denyList", "allowList"):
        if isinstance(found.get(key), str):
            found[key] = [word.strip() for word in found[key].split(",") if word.strip()]
    if isinstance(found.get("nodesExcludes"), list):
        found["nodesExcludes"] = ",".join(found["nodesExcludes"])
    return found


def _environment(env: Mapping[str, str], memory_mb: int | None) -> dict[str, str]:
    if memory_mb is None or "--max-old-space-size" in env.get(OPTIONS, ""):
        return dict(env)
    limit = f"--max-old-space-size={round(memory_mb * HEAP_SHARE)}"
    return {**env, OPTIONS: f"{env[OPTIONS]} {limit}" if env.get(OPTIONS) else limit}
