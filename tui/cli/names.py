"""`weir name …`: the names under which browsers reach the box."""

from __future__ import annotations

from urllib.parse import quote

from appliance.schema.box import BoxName, BoxNames
from tui.cli.session import Session, print_json, print_table, tell
from tui.errors import Refused
from tui.text import visible
from tui.wire import decode

OWNERS = {"box": "the box itself", "config": "config.toml", "added": "weir name add"}


def list_names(session: Session, *, as_json: bool) -> None:
    """Print every accepted name and where it comes from. Raises BoxError."""
    with session.box() as box:
        answer = box.get("/box/names")
    if as_json:
        print_json(answer)
        return
    rows = [[written(each), OWNERS.get(each.source, each.source)] for each in decode(answer, BoxNames).names]
    print_table(["NAME", "NAMED BY"], rows)


def add_name(session: Session, name: str, *, as_json: bool) -> None:
    """Let browsers reach the box under `name`; it is kept over restarts. Raises BoxError."""
    with session.box() as box:
        answer = box.post("/box/names", {"name": name})
    if as_json:
        print_json(answer)
        return
    made = decode(answer, BoxName)
    if made.source == "added":
        print(f"{visible(written(made))} is accepted; the web server knows it in a moment")
    else:
        print(f"{visible(written(made))} was accepted already, by {OWNERS.get(made.source, visible(made.source))}")


def remove_name(session: Session, name: str, *, as_json: bool) -> None:
    """Take back a name that was added. Raises BoxError."""
    if name in ("", ".", ".."):  # as a path these would mean something else
        raise Refused(f"'{name}' is not a name of the box", status=404, hint="weir name list shows them.")
    with session.box() as box:
        answer = box.delete(f"/box/names/{quote(name, safe='')}")
    tell(answer, f"{name} is accepted no longer", as_json=as_json)


def written(each: BoxName) -> str:
    """As it is typed: `plant.example:8443`, `[2001:db8::7]`."""
    host = f"[{each.name}]" if ":" in each.name else each.name
    return host if each.port is None else f"{host}:{each.port}"
