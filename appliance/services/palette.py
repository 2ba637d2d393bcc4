"""The list of nodes an instance has, kept in step with what its editor installs. Pure."""

from __future__ import annotations

import re
from typing import Any

MOST_MODULES = 500

# What npm takes as a name, and a version, range or tag: never a path, an address or an option.
_NAME = re.compile(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*", re.ASCII)
_VERSION = re.compile(r"(?:[~^=]|[<>]=?)?[0-9A-Za-z*][0-9A-Za-z.*+-]{0,63}", re.ASCII)
_LONGEST_NAME = 214


# What Node-RED reports when the list may have changed.
EVENTS = frozenset({"nodes.install", "nodes.remove", "modules.install"})


def after(settings: dict[str, Any], event: str, report: dict[str, Any]) -> dict[str, Any] | None:
    """The instance's settings after what Node-RED reported, or None when they stay as they are."""
    name = report.get("module")
    if report.get("error") or not isinstance(name, str) or not valid_name(name):
        return None
    listed = modules(settings)
    if event == "nodes.remove":
        changed = {known: version for known, version in listed.items() if known != name}
    elif event in ("nodes.install", "modules.install"):
        changed = {**listed, name: _patches(_range(report.get("version")))}
    else:
        return None
    if changed == listed or len(changed) > MOST_MODULES:
        return None
    return with_modules(settings, changed)


def modules(settings: dict[str, Any]) -> dict[str, str]:
    """Package name to version range; entries that npm would not take are left out."""
    palette = settings.get("palette")
    listed = palette.get("modules") if isinstance(palette, dict) else None
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    pairs = ((entry.get("name"), entry.get("version")) for entry in entries)
    return {name: _range(version) for name, version in pairs if isinstance(name, str) and valid_name(name)}


def with_modules(settings: dict[str, Any], listed: dict[str, str]) -> dict[str, Any]:
    """`settings` with this list of modules."""
    palette = settings.get("palette")
    entries = [{"name": name, "version": version, "local": False} for name, version in listed.items()]
    return {**settings, "palette": {**(palette if isinstance(palette, dict) else {}), "modules": entries}}


def valid_name(name: str) -> bool:
    """Whether npm would take it as the name of a package."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None and not name.startswith("-")


def _range(version: object) -> str:
    """The version or range as given; any version when there is no sensible one."""
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else "*"


def _patches(version: str) -> str:
    """A plain version takes its patches, too: `~1.2.3`."""
    return f"~{version}" if version[0].isdigit() else version
