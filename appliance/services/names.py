"""What an instance may be called. Pure."""

from __future__ import annotations

import re

from appliance.errors import Conflict, Invalid

# One label of a host name (RFC 1035): in the access mode `host` the name becomes one.
LONGEST = 63

BANNED = frozenset(
    (
        *("app", "www", "node-red", "nodered", "forge", "support", "help", "accounts", "account"),
        *("status", "billing", "mqtt", "broker", "egress", "npm", "registry"),
    )
)

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*", re.ASCII)


def safe_name(name: str) -> str:
    """The spelling that must be unique on the whole box."""
    return name.lower()


def check_name(name: str) -> str:
    """`name` without surrounding blanks, if an instance may have it.

    Raises Invalid `invalid_name` when there is none, Conflict `invalid_project_name` when it is malformed or reserved.
    """
    name = name.strip()
    if not name:
        raise Invalid("The instance has no name.", code="invalid_name", hint="Give one, for example: line-1.")
    if _NAME.fullmatch(name) is None:
        raise _refused(
            f"'{name[:80]}' is not a name for an instance: it starts with a letter, then letters, digits, '-'."
        )
    if len(name) > LONGEST:
        raise _refused(f"The name has {len(name)} characters; at most {LONGEST} fit in a host name.")
    if safe_name(name) in BANNED:
        raise _refused(f"'{name}' is reserved for the platform.")
    return name


def taken(name: str) -> Conflict:
    """The error for a name that another instance has."""
    return _refused(f"There is already an instance '{name}'; upper and lower case count as the same.")


def _refused(why: str) -> Conflict:
    return Conflict(why, code="invalid_project_name", hint="Choose another name, for example: line-1.")
