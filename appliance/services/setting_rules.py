"""What people may set of an instance's Node-RED (platform model §6): checked, brought into one spelling. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from appliance.errors import Invalid
from appliance.services import palette

Rule = Callable[[str, Any], Any]

PASSWORDS = (("httpNodeAuth", "pass"), ("localAuth", "pass"))
WHOLE = frozenset({"httpNodeCORS"})  # settings that are one value, though they are objects
LONGEST_TEXT = 4096
LONGEST_PASSWORD_BYTES = 72  # bcrypt reads no further
MOST_ENTRIES = 100
METHODS = ("GET", "POST", "PUT", "PATCH", "HEAD", "DELETE")
_ROOT = re.compile(r"[0-9a-z_/-]*", re.ASCII | re.IGNORECASE)
_FILE = re.compile(r"[\w.-]{1,100}\.js", re.ASCII)
_SIZE = re.compile(r"[1-9][0-9]{0,5}(kb|mb)", re.ASCII | re.IGNORECASE)
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", re.ASCII)
_VERSION = re.compile(r"[~^]?(\d{1,9}|[xX*])(\.(\d{1,9}|[xX*])){0,2}([-+][0-9A-Za-z.+-]{1,64})?|\*", re.ASCII)
_DENIED = re.compile(
    r"(@?[A-Za-z0-9*][A-Za-z0-9._*-]*/)?[A-Za-z0-9*][A-Za-z0-9._*-]*(@[0-9A-Za-z.*^~<>=| -]{1,64})?", re.ASCII
)
# Part of every published launcher: another version beside it breaks file nodes.
_BUILT_IN = frozenset({"@flowfuse/nr-file-nodes", "@flowforge/nr-file-nodes"})
_WEB = ("http", "https")


def checked(given: Mapping[str, Any], policy: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings of `given` that may be set, in one spelling, and the paths of those that `policy` locks.

    What is not known is left out, as the reference does; None stays: it takes a setting back. `env` is not looked at.
    Raises Invalid `settings_validation` naming the setting.
    """
    locked: list[str] = []
    return _checked(given, policy, RULES, "", locked), locked


def checked_policy(given: Mapping[str, Any]) -> dict[str, Any]:
    """A template's policy: true or false for settings that there are. Raises Invalid `settings_validation`."""
    return _policy(given, RULES, "")


def laid_over(below: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with what was given; None takes a setting away."""
    after = dict(below)
    for key, value in given.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict) and key not in WHOLE:
            before = after.get(key)
            after[key] = laid_over(before if isinstance(before, dict) else {}, value)
        else:
            after[key] = value
    return after


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """By dotted path, without `env`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and key not in WHOLE:
            found |= flat(value, f"{path}.")
        elif path != "env":
            found[path] = value
    return found


def _checked(
    given: Mapping[str, Any], policy: Mapping[str, Any], rules: Mapping[str, Any], prefix: str, locked: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in given.items():
        rule, path, allowed = rules.get(key), f"{prefix}{key}", policy.get(key)
        if rule is None:
            continue
        if allowed is False:
            locked.append(path)
        elif value is None:
            found[key] = None
        elif isinstance(rule, dict):
            under = allowed if isinstance(allowed, dict) else {}
            found[key] = _checked(_object(path, value), under, rule, f"{path}.", locked)
        elif not (path in _PASSWORD_PATHS and isinstance(value, bool)):  # shown as set or not: sent back as shown
            found[key] = rule(path, value)
    return found


def _policy(given: Mapping[str, Any], rules: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in given.items():
        rule, path = rules.get(key), f"{prefix}{key}"
        if rule is None or value is None:
            continue
        if isinstance(value, bool):
            found[key] = value
        elif isinstance(rule, dict) and isinstance(value, dict):
            found[key] = _policy(value, rule, f"{path}.")
        else:
            raise refused(path, "may be changed (true) or not (false)", setting="policy.")
    return found


def refused(path: str, rule: str, *, setting: str = "") -> Invalid:
    """The error for a setting with a value that it can't have."""
    return Invalid(f"{setting}{path}: it {rule}.", code="settings_validation", hint="Nothing was changed.")


def _object(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused(path, "is an object")
    return value


def _flag(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise refused(path, "is true or false")
    return value


def _text(path: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or "\0" in value:
        raise refused(path, f"is a text of at most {LONGEST_TEXT} characters")
    return value


def _root(path: str, value: Any) -> str:
    text = _text(path, value).strip()
    if len(text) > 256 or _ROOT.fullmatch(text) is None:
        raise refused(path, "is a path of letters, digits, '_', '-' and '/'")
    parts = [part for part in text.split("/") if part]
    return "/" + "/".join(parts) if parts else ""


def _one_of(*words: str) -> Rule:
    def rule(path: str, value: Any) -> str:
        if value not in words or not isinstance(value, str):
            raise refused(path, f"is one of: {', '.join(repr(word) for word in words)}")
        return value

    return rule


def _zone(path: str, value: Any) -> str:
    if len(_text(path, value)) > 64 or _ZONE.fullmatch(value) is None:
        raise refused(path, "is a time zone such as Europe/Oslo")
    return str(value)


def _words(of: re.Pattern[str], what: str) -> Rule:
    """A list, or a text with commas; kept as it was given, since both are known to the reference."""

    def rule(path: str, value: Any) -> str | list[str]:
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, list) or len(words) > MOST_ENTRIES:
            raise refused(path, f"is a list of at most {MOST_ENTRIES}: {what}")
        cut = [word.strip() for word in words if isinstance(word, str)]
        if len(cut) < len(words) or any(word and of.fullmatch(word) is None for word in cut):
            raise refused(path, f"lists {what}")
        cut = [word for word in cut if word]
        return ",".join(cut) if isinstance(value, str) else cut

    return rule


def _modules(path: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > palette.MOST_MODULES:
        raise refused(path, f"is a list of at most {palette.MOST_MODULES} modules")
    found: dict[str, dict[str, Any]] = {}
    for entry in value:
        name, version = _module(path, entry)
        if name in found:
            raise refused(path, f"names {name} twice")
        found[name] = {"name": name, "version": version, "local": bool(entry.get("local"))}
    return list(found.values())


def _module(path: str, entry: Any) -> tuple[str, str]:
    if not isinstance(entry, dict):
        raise refused(path, "lists objects with a name and a version")
    name, version = entry.get("name"), entry.get("version")
    if not isinstance(name, str) or not palette.valid_name(name) or name in _BUILT_IN:
        raise refused(path, f"names a module that can't be installed here: {str(name)[:80]!r}")
    if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
        raise refused(path, f"has no version such as 1.2.3, ~1.2.3, ^1.2.3, 1.x or * for {name}")
    return name, version


def _catalogues(path: str, value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MOST_ENTRIES or not all(_is_web(each) for each in value):
        raise refused(path, "is a list of http(s) addresses")
    return list(value)


def _is_web(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in _WEB and bool(parts.netloc) and value.isprintable()


def _size(path: str, value: Any) -> str:
    if not isinstance(value, str) or _SIZE.fullmatch(value) is None:
        raise refused(path, "is a size such as 5mb or 500kb")
    return value.lower()


def _length(path: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10_000_000:
        raise refused(path, "is a whole number from 1 to 10000000")
    return value


def _password(path: str, value: Any) -> str:
    if not isinstance(value, str) or len(value.encode()) > LONGEST_PASSWORD_BYTES or "\0" in value:
        raise refused(path, f"is a text of at most {LONGEST_PASSWORD_BYTES} bytes")
    return value


def _cors(path: str, value: Any) -> dict[str, Any]:
    rules = _object(path, value)
    flags = {name: _flag(f"{path}.{name}", rules.get(name)) for name in ("enabled", *METHODS)}
    origin = rules.get("origin")
    if origin != "*" and not (isinstance(origin, str) and _is_web(origin) and origin == _origin(origin)):
        raise refused(f"{path}.origin", "is * or an address such as https://plant.example, without a path")
    return {**flags, "origin": origin}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


RULES: dict[str, Any] = {
    "disableEditor": _flag,
    "disableTours": _flag,
    "httpAdminRoot": _root,
    "dashboardUI": _root,
    "dashboardIFrame": _flag,
    "codeEditor": _one_of("monaco", "ace"),
    "theme": _text,
    "page": {"title": _text, "favicon": _text},
    "header": {"title": _text, "url": _text},
    "timeZone": _zone,
    "palette": {
        "allowInstall": _flag,
        "nodesExcludes": _words(_FILE, "file names such as 10-mqtt.js"),
        "denyList": _words(_DENIED, "modules such as name or name@1.x"),
        "modules": _modules,
        "catalogue": _catalogues,
        "npmrc": _text,
    },
    "modules": {"allowInstall": _flag, "denyList": _words(_DENIED, "modules such as name or name@1.x")},
    "httpNodeAuth": {"type": _one_of("", "basic", "flowforge-user"), "user": _text, "pass": _password},
    "localAuth": {"enabled": _flag, "user": _text, "pass": _password},
    "emailAlerts": {
        "crash": _flag,
        "safe": _flag,
        "resource": {"cpu": _flag, "memory": _flag},
        "recipients": _one_of("owners", "members", "both"),
    },
    "debugMaxLength": _length,
    "apiMaxLength": _size,
    "httpNodeCORS": _cors,
}
"""Every setting there is, nested as it is stored, with what its value must be."""
_PASSWORD_PATHS = frozenset(".".join(path) for path in PASSWORDS)
