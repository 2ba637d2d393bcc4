"""What two states of an instance are compared by: of a snapshot, and of the instance as it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.flowdiff import Side


def of_snapshot(whole: Mapping[str, Any]) -> Side:
    """A snapshot as `GET /snapshots/:id/full` answers."""
    given = whole["settings"]
    return Side(whole["flows"]["flows"], given["settings"], given["env"], given["modules"])


def of_instance(flows: Any, settings: Mapping[str, Any]) -> Side:
    """What the instance is now, in the shape of a snapshot; what snapshots do not hold is left out."""
    own = {key: value for key, value in settings.items() if key not in ("env", "dashboard2UI")}
    group = own.get("palette")
    listed = group.get("modules", []) if isinstance(group, dict) else []
    if isinstance(group, dict):
        own["palette"] = {key: value for key, value in group.items() if key != "modules"}
    for name, key in (("httpNodeAuth", "pass"), ("localAuth", "pass"), ("palette", "npmrc")):
        if isinstance(values := own.get(name), dict):
            own[name] = {inner: value for inner, value in values.items() if inner != key}
    env = {
        each["name"]: {"hidden": True, "value": ""} if each.get("hidden") else each.get("value", "")
        for each in settings.get("env", [])
        if not str(each["name"]).startswith("FF_")
    }
    return Side(flows, own, env, {each["name"]: each["version"] for each in listed})
