"""Environment variables of templates and instances; hidden ones are sealed, and never come out again but to launchers.

A variable is kept as `{name, value}`, or hidden as `{name, hidden: true, sealed}`; those of templates may say
`policy: false`: an instance can't give another value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from appliance.auth.secrets import BoxSecrets
from appliance.errors import Invalid

PURPOSE = "environment"
MOST_VARIABLES = 500
LONGEST_NAME = 256
LONGEST_VALUE = 32 * 1024
LARGEST = 128 * 1024  # of all names and values: far below what a process may be started with
HIDDEN = "(hidden)"
Variable = dict[str, Any]
Copied = Literal["all", "keys", False]

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_RESERVED = "FF_"


class Vault:
    """Seals the hidden values of one owner, a template or an instance: they open nowhere else."""

    def __init__(self, box: BoxSecrets, owner_id: str) -> None:
        self._box = box
        self._owner_id = owner_id

    def seal(self, name: str, value: str) -> str:
        return self._box.seal(PURPOSE, f"{self._owner_id} {name}", value)

    def unseal(self, name: str, sealed: str) -> str:
        """Raises Internal when it is another owner's or another box's."""
        return self._box.unseal(PURPOSE, f"{self._owner_id} {name}", sealed)

    def value(self, variable: Variable) -> str:
        """The value in clear."""
        sealed = variable.get("sealed")
        return self.unseal(variable["name"], sealed) if sealed else str(variable.get("value") or "")


def checked(given: object, kept: object, vault: Vault, *, policies: bool = False) -> list[Variable]:
    """The list to keep after `given` was sent; `kept` is what there was.

    `FF_*` is left out. A hidden variable without a value keeps the one it had; where there is none it is left out.
    Raises Invalid `settings_validation`.
    """
    if not isinstance(given, list) or len(given) > MOST_VARIABLES:
        raise _refused(f"env is no list of at most {MOST_VARIABLES} variables.")
    before = by_name(kept)
    after: dict[str, Variable] = {}
    size = 0
    for entry in given:
        name, value = _parts(entry)
        if name.startswith(_RESERVED):
            continue
        if name in after:
            raise _refused(f"The variable {name} is there twice.")
        size += len(name) + len(value.encode())
        variable = _kept(name, value, bool(entry.get("hidden")), before.get(name), vault)
        if variable is not None:
            after[name] = variable | (_policy(entry) if policies else {})
    if size > LARGEST:
        raise _refused(f"The variables have {size} bytes together; at most {LARGEST} are taken.")
    return list(after.values())


def by_name(listed: object) -> dict[str, Variable]:
    """A stored list by name; what is no variable is left out."""
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    named = {entry["name"]: entry for entry in entries if _allowed(entry.get("name"))}
    return {name: entry for name, entry in named.items() if not name.startswith(_RESERVED)}


def shown(listed: object) -> list[Variable]:
    """As people may read it: hidden variables without a value."""
    return [_shown(variable) for variable in by_name(listed).values()]


def of_platform(values: Mapping[str, str]) -> list[Variable]:
    """The platform's own variables as they are listed beside the others; `FF_PROJECT_*` are old names."""
    return [
        {"name": name, "value": value, "platform": True}
        | ({"deprecated": True} if name.startswith("FF_PROJECT_") else {})
        for name, value in values.items()
    ]


def delivered(fixed: object, own: object, of_template: Vault, of_instance: Vault) -> dict[str, str]:
    """What Node-RED gets, hidden values in clear: template < instance, unless the template locks the variable."""
    below = by_name(fixed)
    values = {name: of_template.value(variable) for name, variable in below.items()}
    for name, variable in by_name(own).items():
        empty = variable.get("hidden") and not (variable.get("sealed") or variable.get("value"))
        # A hidden variable without a value of its own leaves the template's in place.
        if not empty and below.get(name, {}).get("policy") is not False:
            values[name] = of_instance.value(variable)
    return values


def copied(listed: object, source: Vault, target: Vault, how: Copied) -> list[Variable]:
    """Another instance's variables for this one; by `keys` without their values."""
    if not how:
        return []
    made = []
    for name, variable in by_name(listed).items():
        value = source.value(variable) if how == "all" else ""
        new = _kept(name, value, bool(variable.get("hidden")), None, target)
        made.append(new or {"name": name, "value": "", "hidden": True})
    return made


def opened(settings: Mapping[str, Any], vault: Vault) -> dict[str, Any]:
    """Settings with hidden values in clear: for snapshots, which encrypt them anew, and for nothing that is shown."""
    return _turned(settings, lambda entry: {**_bare(entry), "value": vault.value(entry)})


def closed(settings: Mapping[str, Any], vault: Vault) -> dict[str, Any]:
    """The inverse of `opened`: as they are stored."""

    def close(entry: Variable) -> Variable:
        value = str(entry.get("value") or "")
        if not entry.get("hidden") or not value:
            return entry
        return {**{key: entry[key] for key in entry if key != "value"}, "sealed": vault.seal(entry["name"], value)}

    return _turned(settings, close)


def _turned(settings: Mapping[str, Any], turn: Callable[[Variable], Variable]) -> dict[str, Any]:
    if "env" not in settings:
        return dict(settings)
    return {**settings, "env": [turn(entry) for entry in by_name(settings["env"]).values()]}


def _bare(entry: Variable) -> Variable:
    return {key: value for key, value in entry.items() if key != "sealed"}


def differences(before: object, after: object) -> list[dict[str, Any]]:
    """What changed, for the audit log; values of hidden variables are not told."""
    old, new = by_name(before), by_name(after)
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [
        {"key": f"env.{name}", "old": _told(old.get(name)), "new": _told(new.get(name)), "dif": _dif(name, old, new)}
        for name in changed
    ]


def _shown(variable: Variable) -> Variable:
    return _bare(variable) | {"value": "" if variable.get("hidden") else str(variable.get("value") or "")}


def _dif(name: str, old: Mapping[str, Variable], new: Mapping[str, Variable]) -> str:
    return "created" if name not in old else "deleted" if name not in new else "updated"


def _told(variable: Variable | None) -> str | None:
    if variable is None:
        return None
    return HIDDEN if variable.get("hidden") else str(variable.get("value") or "")


def _kept(name: str, value: str, hidden: bool, before: Variable | None, vault: Vault) -> Variable | None:
    if not hidden:
        return {"name": name, "value": value}
    if value:
        return {"name": name, "hidden": True, "sealed": vault.seal(name, value)}
    if before is None:
        return None
    if before.get("sealed"):
        return {"name": name, "hidden": True, "sealed": before["sealed"]}
    # It was in the open so far, and is hidden from now on.
    known = str(before.get("value") or "")
    return {"name": name, "hidden": True, "sealed": vault.seal(name, known)} if known else None


def _parts(entry: object) -> tuple[str, str]:
    if not isinstance(entry, dict):
        raise _refused("A variable of env is an object with a name and a value.")
    name, value = entry.get("name"), entry.get("value")
    if not _allowed(name):
        raise _refused(f"{str(name)[:80]!r} is no name of a variable: letters, digits and _, no digit first.")
    value = "" if value is None else value
    if not isinstance(value, str) or len(value) > LONGEST_VALUE or "\0" in value:
        raise _refused(f"The value of {name} is not a text of at most {LONGEST_VALUE} characters without NUL.")
    return str(name), value


def _policy(entry: Variable) -> Variable:
    return {"policy": entry["policy"]} if isinstance(entry.get("policy"), bool) else {}


def _allowed(name: object) -> bool:
    return isinstance(name, str) and len(name) <= LONGEST_NAME and _NAME.fullmatch(name) is not None


def _refused(why: str) -> Invalid:
    return Invalid(why, code="settings_validation", hint="Nothing was changed.")
