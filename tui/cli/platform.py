"""`weir settings …`: what the platform allows."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import msgspec

from tui.cli.session import Session, print_json, print_table
from tui.errors import Usage
from tui.text import visible

WORDS = {
    "on": True,
    "true": True,
    "yes": True,
    "off": False,
    "false": False,
    "no": False,
    "default": None,
    "null": None,
}


def show_settings(session: Session, args: Namespace) -> None:
    """Print the settings that the caller may see."""
    with session.box() as box:
        answer = box.get("/settings")
    if args.json:
        print_json(answer)
        return
    found = msgspec.json.decode(answer)
    rows = [[key, _shown(value)] for key, value in sorted(found.items()) if ":" in key]
    print_table(["SETTING", "VALUE"], rows)


def set_settings(session: Session, args: Namespace) -> None:
    """Change settings, all or nothing. Raises Usage for what is not KEY=VALUE."""
    body = dict(_pair(text) for text in args.settings)
    with session.box() as box:
        answer = box.put("/settings", body)
    if args.json:
        print_json(answer)
    else:
        for key, value in body.items():
            print(f"{visible(key)} is {visible(_shown(value))}")


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Usage(f"'{text}' is not KEY=VALUE", hint="Example: weir settings set team:create=on")
    return key, WORDS.get(value.lower(), value)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
