"""`weir type|template|stack …`: what instances are made of."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import msgspec
from msgspec import Struct

from tui.cli import node_red_settings
from tui.cli.box import Box
from tui.cli.deletion import confirm
from tui.cli.session import Session, print_json, print_table, tell
from tui.errors import Refused, Usage

Thing = dict[str, Any]


class _Kind(Struct, frozen=True):
    """One kind of things: where it is in the API, and its columns."""

    path: str
    key: str
    words: str
    columns: tuple[tuple[str, str], ...]


KINDS = {
    "type": _Kind(
        "/project-types",
        "types",
        "type of instances",
        (("NAME", "name"), ("INSTANCES", "instanceCount"), ("STACKS", "stackCount"), ("", "description")),
    ),
    "template": _Kind(
        "/templates",
        "templates",
        "template",
        (("NAME", "name"), ("INSTANCES", "instanceCount"), ("", "description")),
    ),
    "stack": _Kind(
        "/stacks",
        "stacks",
        "stack",
        (("NAME", "name"), ("LABEL", "label"), ("ON THIS BOX", "built"), ("INSTANCES", "instanceCount")),
    ),
}


def list_things(session: Session, args: Namespace, what: str) -> None:
    """Print them all, also those that are not offered."""
    kind = KINDS[what]
    with session.box() as box:
        answer = box.get(f"{kind.path}?filter=all")
    if args.json:
        print_json(answer)
        return
    rows = [
        [*(_cell(key, each.get(key)) for _, key in kind.columns), "" if each["active"] else "not offered"]
        for each in msgspec.json.decode(answer)[kind.key]
    ]
    right = frozenset(place for place, (_, key) in enumerate(kind.columns) if key.endswith("Count"))
    if rows:
        print_table([*(head for head, _ in kind.columns), ""], rows, right=right)
    else:
        print(f"No {kind.words} yet. Make one with: weir {what} create NAME")


def find(box: Box, what: str, wanted: str) -> Thing:
    """By name or id. Raises Refused naming what there is."""
    kind = KINDS[what]
    things: list[Thing] = msgspec.json.decode(box.get(f"{kind.path}?filter=all"))[kind.key]
    for each in things:
        if wanted in (each["id"], each["name"]):
            return each
    names = ", ".join(each["name"] for each in things[:20]) or "none"
    raise Refused(f"there is no {kind.words} '{wanted}'", status=404, hint=f"There are: {names}.")


def show_things(session: Session, args: Namespace, what: str) -> None:
    """Print a template: every setting, and whether instances may change it."""
    with session.box() as box:
        answer = box.get(f"{KINDS[what].path}/{find(box, what, args.name)['id']}")
    if args.json:
        print_json(answer)
        return
    found = msgspec.json.decode(answer)
    policy = _flat(found["policy"])
    rows = [
        [path, _cell(path, value), "locked" if policy.get(path) is False else ""]
        for path, value in sorted(_flat(found["settings"]).items())
        if path != "env"
    ]
    print_table(["SETTING", "VALUE", ""], rows)


def create_things(session: Session, args: Namespace, what: str) -> None:
    """Make one."""
    with session.box() as box:
        answer = box.post(KINDS[what].path, _new(box, args, what))
    _tell(args, answer, "is made")


def edit_things(session: Session, args: Namespace, what: str) -> None:
    """Change what is named. Raises Usage when nothing is."""
    with session.box() as box:
        found = find(box, what, args.name)
        body = _changes(args, what, found)
        if not body:
            raise Usage("nothing to change is named", hint=f"weir {what} edit --help lists what can be.")
        answer = box.put(f"{KINDS[what].path}/{found['id']}", body)
    _tell(args, answer, "is changed")


def delete_things(session: Session, args: Namespace, what: str) -> None:
    """Delete one, after its name was typed."""
    kind = KINDS[what]
    with session.box() as box:
        found = find(box, what, args.name)
        if not args.yes:
            confirm(session, found["name"], f"This deletes the {kind.words}.")
        answer = box.delete(f"{kind.path}/{found['id']}")
    tell(answer, f"{found['name']} is deleted", as_json=args.json)


def _new(box: Box, args: Namespace, what: str) -> Thing:
    body: Thing = {"name": args.name}
    if what == "stack":
        types = msgspec.json.decode(box.get("/project-types"))["types"]
        kind = find(box, "type", args.type)["id"] if args.type else (types[0]["id"] if types else None)
        properties = {"nodered": args.node_red, "memory": args.memory}
        body |= {"label": args.label, "projectType": kind, "properties": properties}
        return body | ({"replaces": find(box, "stack", args.replaces)["id"]} if args.replaces else {})
    body |= _plain(args, ("description", "active", "order"))
    return body | (_of_template(args, {"settings": {}, "policy": {}}) if what == "template" else {})


def _changes(args: Namespace, what: str, found: Thing) -> Thing:
    body = _plain(args, ("description", "active", "order", "label"))
    if args.new_name is not None:
        body["name"] = args.new_name
    if getattr(args, "default_stack", None) is not None:
        body["defaultStack"] = None if args.default_stack == "none" else args.default_stack
    if what == "template" and (args.settings or args.lock or args.unlock):
        body |= _of_template(args, found)
    return body


def _of_template(args: Namespace, found: Thing) -> Thing:
    """Settings and policy as they are to be; hidden values and passwords go back as they were shown: they stay."""
    settings = _flat(found["settings"]) | node_red_settings.pairs(args.settings)
    settings = {path: value for path, value in settings.items() if value is not None}
    policy = _flat(found["policy"]) | dict.fromkeys(args.lock, False) | dict.fromkeys(args.unlock, True)
    for path in (*args.lock, *args.unlock):
        if path not in node_red_settings.KEYS:
            raise Usage(f"'{path}' is no setting", hint=f"Known: {', '.join(node_red_settings.KEYS)}.")
    return {"settings": node_red_settings.nested(settings), "policy": node_red_settings.nested(policy)}


def _plain(args: Namespace, names: tuple[str, ...]) -> Thing:
    given = {name: getattr(args, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _flat(settings: Thing, prefix: str = "") -> Thing:
    found: Thing = {}
    for key, value in settings.items():
        whole = f"{prefix}{key}" in node_red_settings.DOCUMENTS
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and not whole else {f"{prefix}{key}": value}
    return found


def _cell(key: str, value: Any) -> str:
    if key == "built":
        return "built" if value else "not built"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return "" if value is None else str(value)


def _tell(args: Namespace, answer: bytes, what: str) -> None:
    tell(answer, f"{msgspec.json.decode(answer)['name']} {what}", as_json=args.json)
