"""What an instance is told: template and instance settings merged by policy. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from appliance.auth.secrets import BoxSecrets
from appliance.model import Desired
from appliance.services import environment, palette, setting_rules, supervision
from appliance.services.environment import Vault
from appliance.store.instances import InstanceRow

CATALOGUE = "https://catalogue.nodered.org/catalogue.json"
_CORS = {"enabled": False, "origin": "*", **dict.fromkeys(["GET", "POST", "PUT", "PATCH", "HEAD", "DELETE"], True)}

DEFAULT_SETTINGS: dict[str, Any] = {
    "disableEditor": False,
    "disableTours": False,
    "httpAdminRoot": "",
    "dashboardUI": "/ui",
    "dashboardIFrame": False,
    "codeEditor": "monaco",
    "theme": "forge-light",
    "page": {"title": "Weir", "favicon": ""},
    "header": {"title": "Weir", "url": ""},
    "timeZone": "UTC",
    "palette": {
        "allowInstall": True,
        "nodesExcludes": "",
        "denyList": "",
        "modules": [],
        "catalogue": [CATALOGUE],
        "npmrc": "",
    },
    "modules": {"allowInstall": True, "denyList": ""},
    "httpNodeAuth": {"type": "", "user": "", "pass": ""},
    "localAuth": {"enabled": False, "user": "admin", "pass": ""},
    "emailAlerts": {
        "crash": False,
        "safe": False,
        "resource": {"cpu": True, "memory": True},
        "recipients": "owners",
    },
    "debugMaxLength": 1000,
    "apiMaxLength": "5mb",
    "httpNodeCORS": _CORS,
    "env": [],
}
"""Settings of a template that says nothing (platform model §6); the product's own name stands in the titles."""

DEFAULT_POLICY: dict[str, Any] = {
    "page": {"title": False, "favicon": False},
    "header": {"url": False},
    "palette": {"nodesExcludes": False, "denyList": False},
    "modules": {"denyList": False},
}
"""What an instance may not change; what is not named it may."""

# Features that a launcher asks about and that this box does not have.
_ABSENT = ("teamBroker", "tables", "teamNPM")
# Not part of Node-RED's settings, or made below.
_APART = frozenset({"env", "localAuth", "emailAlerts"})
_ROOT = re.compile(r"[0-9a-z_/-]*", re.ASCII | re.IGNORECASE)
_ADMIN_ROOT = "httpAdminRoot"
_MEMORY = re.compile(r"[1-9][0-9]{0,6}", re.ASCII)


class Place(Struct, frozen=True):
    """Where the box and one of its instances are reached."""

    forge_url: str  # the platform in a browser, no slash at the end
    appliance_url: str  # the platform for launchers, on this box
    instance_url: str  # the instance in a browser, without httpAdminRoot
    path: str  # what all its paths begin with; a part of instance_url
    root_dir: str
    node_red_port: int
    public_port: int
    platform_port: int
    extra_ca: str | None
    broker: bool = False  # whether this box has a message broker, for the nodes that link instances


def merge(template: Mapping[str, Any], policy: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults, then the template, then what the instance may and does set.

    A value of `own` that is None, or whose policy is False, gives way to the template's.
    """
    return _merge(_merge(DEFAULT_SETTINGS, {}, template), policy, own)


def http_admin_root(row: InstanceRow) -> str:
    """The editor's path: empty, or `/x` without a slash at the end."""
    # Alone: lists of instances ask this of every row.
    template, own = (_only(settings, _ADMIN_ROOT) for settings in (row.template_settings, row.settings))
    return _root(merge(template, row.template_policy, own).get(_ADMIN_ROOT))


def _only(settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {key: settings[key]} if key in settings else {}


def memory_mb(stack_properties: Mapping[str, Any]) -> int | None:
    """The memory of a stack, if it names a sensible one."""
    stated = str(stack_properties.get("memory") or "")
    return int(stated) if _MEMORY.fullmatch(stated) else None


def document(row: InstanceRow, place: Place, box: BoxSecrets, *, ours: bool) -> dict[str, Any]:
    """The settings document of an instance (instance protocol §1.4); `ours` adds what only Weir's launcher reads.

    Hidden variables are in it in clear: it is for the instance's own launcher alone. Raises Internal when they were
    sealed with the key of another box.
    """
    merged = merge(row.template_settings, row.template_policy, row.settings)
    answer: dict[str, Any] = {
        "projectID": row.id,
        "rootDir": place.root_dir,
        "userDir": row.id,
        "port": place.node_red_port,
        "env": _environment(row, place, box),
        "baseURL": place.instance_url + _root(merged.get("httpAdminRoot")),
        "forgeURL": place.forge_url,
        "fileStore": None,
        "assistant": {
            "enabled": False,
            "requestTimeout": 60000,
            "mcp": {"enabled": False},
            "completions": {"enabled": False, "inlineEnabled": False},
        },
        "mqttNodes": {"username": f"instance:{row.id}", "linked": False},
        "teamID": row.team_id,
        "storageURL": f"{place.appliance_url}/storage",
        "auditURL": f"{place.appliance_url}/logging",
        "state": row.desired.value,
        "stack": row.stack_properties,
        "settings": _node_red(row, merged, place.path),
        "features": {"shared-library": True, "projectComms": place.broker, **dict.fromkeys(_ABSENT, False)},
        **supervision.document(row.launcher_settings),
    }
    return {**answer, "weir": _weir(row, place)} if ours else answer


def public(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as people may read them: hidden variables empty, passwords only as set or not set."""
    shown = dict(settings)
    for group, key in setting_rules.PASSWORDS:
        if isinstance(values := shown.get(group), dict) and key in values:
            shown[group] = {**values, key: bool(values[key])}
    if "env" in shown:
        shown["env"] = environment.shown(shown["env"])
    return shown


def of_new_instance(name: str, template: Mapping[str, Any]) -> dict[str, Any]:
    """The settings an instance is born with: its name as title, and the template's modules, copied this once."""
    own: dict[str, Any] = {"header": {"title": name}}
    modules = palette.modules(dict(template))
    return palette.with_modules(own, modules) if modules else own


def _weir(row: InstanceRow, place: Place) -> dict[str, Any]:
    return {
        "name": row.name,
        "platformPort": place.platform_port,
        "publicPort": place.public_port,
        "path": place.path,
        "desired": (Desired.STOPPED if row.desired is Desired.STOPPED else Desired.RUNNING).value,
        "commandGeneration": row.command_generation,
        "stack": row.stack_name,
        "memoryMb": memory_mb(row.stack_properties),
        "extraCa": place.extra_ca,
        **supervision.of_weir(row.launcher_settings),
    }


def _node_red(row: InstanceRow, merged: Mapping[str, Any], path: str) -> dict[str, Any]:
    settings = {key: value for key, value in merged.items() if key not in _APART}
    settings["httpAdminRoot"] = path + _root(merged.get("httpAdminRoot"))
    # It has always made a settings file that Node-RED cannot load (instance protocol, L21).
    settings["header"] = {key: value for key, value in _table(merged, "header").items() if key != "url"}
    settings["palette"] = _palette(row, merged)
    auth = _table(merged, "httpNodeAuth")
    if auth.get("type") != "basic":
        auth = {**auth, "user": "", "pass": ""}
    settings["httpNodeAuth"] = auth
    return settings


def _palette(row: InstanceRow, merged: Mapping[str, Any]) -> dict[str, Any]:
    values = _table(merged, "palette")
    locked = _table(row.template_policy, "palette").get("modules") is False
    values["modules"] = palette.modules(row.template_settings if locked else row.settings)
    features = _table(row.team_properties, "features")
    if not features.get("customCatalogs") or not values.get("npmrc"):
        values.pop("npmrc", None)
    return values


def _environment(row: InstanceRow, place: Place, box: BoxSecrets) -> dict[str, str]:
    listed = (row.template_settings.get("env"), row.settings.get("env"))
    values = environment.delivered(*listed, Vault(box, row.template_id), Vault(box, row.id))
    return {**values, **of_platform(row, place.instance_url + http_admin_root(row))}


def of_platform(row: InstanceRow, editor_url: str) -> dict[str, str]:
    """The variables that the platform gives every instance."""
    names = {"INSTANCE_ID": row.id, "INSTANCE_NAME": row.name, "PROJECT_ID": row.id, "PROJECT_NAME": row.name}
    return {**{f"FF_{key}": value for key, value in names.items()}, "FF_INSTANCE_URL": editor_url}


def _merge(under: Mapping[str, Any], policy: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        rule, below = policy.get(key), under.get(key)
        if value is None or rule is False:
            continue
        if isinstance(value, dict) and isinstance(below, dict) and key not in setting_rules.WHOLE:
            merged[key] = _merge(below, rule if isinstance(rule, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _table(settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = settings.get(key)
    return dict(value) if isinstance(value, dict) else {}


def _root(value: object) -> str:
    """One slash in front, none behind; what could not be a path is none."""
    if not isinstance(value, str) or _ROOT.fullmatch(value) is None:
        return ""
    parts = [part for part in value.split("/") if part]
    return "/" + "/".join(parts) if parts else ""
