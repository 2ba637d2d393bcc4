"""Passwords among an instance's settings: Node-RED is given their bcrypt hashes, and nobody reads them again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from appliance.services import setting_rules

ROUNDS = 10
SET = "(set)"
_HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}", re.ASCII)
_PATHS = frozenset((*(".".join(path) for path in setting_rules.PASSWORDS), "palette.npmrc"))


def hashed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with passwords hashed; a bcrypt hash is taken as it is. Takes a tenth of a second each: blocks.

    Raises Invalid `settings_validation` for a password that bcrypt can't take whole.
    """
    after = dict(settings)
    for group, key in setting_rules.PASSWORDS:
        values = after.get(group)
        if isinstance(values, dict) and isinstance(password := values.get(key), str) and password:
            rule = setting_rules.RULES[group][key]
            after[group] = {**values, key: _hash(rule(f"{group}.{key}", password))}
    return after


def told(path: str, value: Any) -> Any:
    """A setting as the audit log may tell it."""
    return (SET if value else "") if path in _PATHS else value


def _hash(password: str) -> str:
    if _HASH.fullmatch(password):
        return password
    import bcrypt  # half a megabyte that most boxes never need

    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()
