"""`weir instance set`: what people type, as the API's settings and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.schema.instances import ChangedInstance
from tui.cli import node_red_settings
from tui.cli.session import Session, print_json
from tui.errors import Usage
from tui.text import plural, visible
from tui.wire import decode

SWITCH = {"on": True, "off": False}
POLICIES = {
    "retry": "tries again for ever",
    "safe": "opens in safe mode after five crashes in a row",
    "stop": "stops after five crashes in a row",
}
OF_INSTANCE = {"name": "name", "stack": "stack", "type": "projectType"}
KEYS = (*OF_INSTANCE, "crash-policy", "safe-mode", "hot-spare", "health-interval", "install-timeout", "start-after")


def set_instance(session: Session, name: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Change an instance and say when that takes effect. Raises Usage for what makes no sense."""
    from tui.cli.instances import resolve  # it shows what is set here

    body = wanted(settings)
    with session.box() as box:
        answer = box.put(f"/projects/{resolve(box, name).id}", body)
    if as_json:
        print_json(answer)
        return
    changed = decode(answer, ChangedInstance)
    print(f"{visible(changed.name)}: {spoken(changed.launcher_settings)}")
    if changed.note:
        later = f" Now: weir instance restart {visible(changed.name)}" if "next start" in changed.note else ""
        print(visible(changed.note) + later)


def wanted(settings: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` words as the body of the request. Raises Usage naming what is allowed."""
    body: dict[str, Any] = {}
    launcher: dict[str, Any] = {}
    node_red: dict[str, Any] = {}
    for word in settings:
        key, equals, value = word.partition("=")
        if key not in (*KEYS, *node_red_settings.KEYS) or not equals:
            known = ", ".join((*KEYS, *node_red_settings.KEYS))
            raise Usage(f"'{word}' is no setting", hint=f"Write KEY=VALUE; keys: {known}.")
        if key in OF_INSTANCE:
            body[OF_INSTANCE[key]] = value
        elif key in KEYS:
            launcher |= _setting(key, value)
        else:
            node_red[key] = node_red_settings.setting(key, value)
    if node_red:
        body["settings"] = node_red_settings.nested(node_red)
    return {**body, "launcherSettings": launcher} if launcher else body


def spoken(settings: Mapping[str, Any]) -> str:
    """How an instance is supervised, in a line."""
    policy = str(settings.get("crashPolicy", "safe"))
    if policy == "safe" and settings.get("disableAutoSafeMode"):
        told = "safe mode is off"
    else:
        told = POLICIES.get(policy, policy)
    interval = settings.get("healthCheckInterval")
    looked = f", looked at every {interval / 1000:g} s" if isinstance(interval, int | float) else ""
    spare = ", hot spare" if settings.get("hotSpare") else ""
    others = settings.get("startAfter") or []
    after = f", starts after {plural(len(others), 'other')}" if others else ""
    return f"{told}{looked}{spare}{after}"


def _setting(key: str, value: str) -> dict[str, Any]:
    if key == "crash-policy":
        return {"crashPolicy": None if value == "default" else _one_of(key, value, POLICIES)}
    if key == "health-interval":
        return {"healthCheckInterval": None if value == "default" else round(_number(key, value, 5, 3600) * 1000)}
    if key == "install-timeout":
        return {"installTimeout": None if value == "default" else _number(key, value, 60, 7200)}
    if key == "start-after":
        return {
            "startAfter": None if value == "default" else [each.strip() for each in value.split(",") if each.strip()]
        }
    field = "disableAutoSafeMode" if key == "safe-mode" else "hotSpare"
    if value == "default":
        return {field: None}
    switched = SWITCH[_one_of(key, value, SWITCH)]
    return {field: not switched if key == "safe-mode" else switched}


def _one_of(key: str, value: str, allowed: Mapping[str, object]) -> str:
    if value not in allowed:
        raise Usage(f"{key} can't be '{value}'", hint=f"It is one of: {', '.join(allowed)}, default.")
    return value


def _number(key: str, value: str, least: int, most: int) -> float:
    refused = Usage(f"{key} can't be '{value}'", hint=f"It is a number of seconds from {least} to {most}.")
    try:
        found = float(value.removesuffix("s"))
    except ValueError as error:
        raise refused from error
    if not least <= found <= most:
        raise refused
    return found
