"""`weir stack`, `weir token`, and the verbs that are the appliance itself."""

from __future__ import annotations

import os
import sys

from appliance.schema.instances import Stacks
from appliance.schema.users import TokenCreated
from tui.cli.session import Session, print_json, print_table, say
from tui.errors import Usage
from tui.text import visible
from tui.wire import decode


def list_stacks(session: Session, *, as_json: bool) -> None:
    """Print the stacks that instances can run on."""
    with session.box() as box:
        answer = box.get("/stacks")
    if as_json:
        print_json(answer)
        return
    rows = [
        [each.name, each.label, "built" if each.built else "not built", str(each.instance_count)]
        for each in decode(answer, Stacks).stacks
    ]
    if rows:
        print_table(["NAME", "LABEL", "ON THIS BOX", "INSTANCES"], rows, right=frozenset({3}))
    else:
        print("No stacks yet. Make one with: weir stack build")


def create_token(session: Session, name: str, *, as_json: bool) -> None:
    """Make a personal access token; it is shown this once."""
    with session.box() as box:
        answer = box.post("/user/tokens", {"name": name, "scope": ""})
    if as_json:
        print_json(answer)
        return
    made = decode(answer, TokenCreated)
    say("The token is shown this once; keep it in a file that only you can read:")
    print(visible(made.token))


def become_appliance(session: Session, verb: list[str], arguments: list[str]) -> None:
    """Go on as `python -m appliance VERB …` for the box meant; does not return.

    Raises Usage for a remote box: its processes are not ours to start.
    """
    if session.wanted.url:
        raise Usage(f"weir {' '.join(verb)} works on this machine's own box", hint="Leave out --url.")
    sys.stdout.flush()
    # -P: a directory called "appliance" where the user happens to stand must not be run instead.
    command = [sys.executable, "-P", "-m", "appliance", *verb, "--home", str(session.home), *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell
