"""`weir env …`: environment variables; hidden ones are written and never read again."""

from __future__ import annotations

import getpass
import sys
from argparse import Namespace
from typing import Any

from tui.cli.box import Box
from tui.cli.catalogue import find
from tui.cli.instances import resolve
from tui.cli.session import Session, print_object, print_table
from tui.errors import Usage
from tui.text import visible

Variable = dict[str, Any]
# Never in a message: what was meant as a name may be a value.
_HINT = "Letters, digits and _, no digit first: weir env set NAME KEY=VALUE"


def list_variables(session: Session, args: Namespace) -> None:
    """Print them; the platform's own too."""
    with session.box() as box:
        _, settings = _read(box, args)
    variables: list[Variable] = settings.get("env") or []
    if args.json:
        print_object({"count": len(variables), "env": variables})
        return
    if variables:
        print_table(["NAME", "VALUE", ""], [[each["name"], str(each["value"]), _mark(each)] for each in variables])
    else:
        print("No variables. Set one with: weir env set NAME KEY=VALUE")


def set_variables(session: Session, args: Namespace) -> None:
    """Set some, leave the others. Raises Usage for what is no name."""
    given = [_given(word, args) for word in args.variables]
    with session.box() as box:
        path, settings = _read(box, args)
        kept = {each["name"]: each for each in settings.get("env") or []}
        for each in given:
            kept[each["name"]] = each
        _write(box, args, path, settings, list(kept.values()))
    _tell(args, "set", [each["name"] for each in given])


def unset_variables(session: Session, args: Namespace) -> None:
    """Take some away. Raises Usage for one that is not there."""
    with session.box() as box:
        path, settings = _read(box, args)
        listed: list[Variable] = [each for each in settings.get("env") or [] if not each.get("platform")]
        names = {each["name"] for each in listed}
        for name in args.variables:
            if name not in names:
                raise Usage(f"there is no variable '{name}' to take away", hint="weir env list NAME shows them.")
        _write(box, args, path, settings, [each for each in listed if each["name"] not in args.variables])
    _tell(args, "gone", args.variables)


def _read(box: Box, args: Namespace) -> tuple[str, dict[str, Any]]:
    """Where it is changed, and its settings."""
    if args.template:
        found = find(box, "template", args.name)
        return f"/templates/{found['id']}", found["settings"]
    instance = resolve(box, args.name)
    return f"/projects/{instance.id}", instance.settings


def _write(box: Box, args: Namespace, path: str, settings: dict[str, Any], env: list[Variable]) -> None:
    box.put(path, {"settings": {**(settings if args.template else {}), "env": env}})


def _given(word: str, args: Namespace) -> Variable:
    name, equals, value = word.partition("=")
    if not name.isidentifier() or not name.isascii():
        raise Usage("that is no name of a variable", hint=_HINT)
    if not equals:
        value = _asked(name)
    hidden: Variable = {"hidden": True} if args.hidden else {}
    locked: Variable = {"policy": False} if args.lock else {}
    return {"name": name, "value": value, **hidden, **locked}


def _asked(name: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"Value of {name}: ")
    return sys.stdin.readline().rstrip("\n")


def _tell(args: Namespace, what: str, names: list[str]) -> None:
    if args.json:
        print_object({"status": "okay", what: names})
    else:
        print(f"{visible(', '.join(names))} {'is' if len(names) == 1 else 'are'} {what}")
        if not args.template:
            print(f"In force from the next start: weir instance restart {visible(args.name)}")


def _mark(each: Variable) -> str:
    words = {"hidden": "hidden", "platform": "by the platform", "deprecated": "old name"}
    marks = [word for key, word in words.items() if each.get(key)]
    return ", ".join([*marks, *(["locked"] if each.get("policy") is False else [])])
