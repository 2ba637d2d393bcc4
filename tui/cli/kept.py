"""`weir instance kept`: deploys that were made while Weir was away and could not be stored afterwards."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from appliance.schema.deploys import KeptDeploy, KeptDeploys
from appliance.schema.instances import Instance
from tui.cli.box import Box
from tui.cli.instances import resolve
from tui.cli.session import Session, print_json, print_table, say, tell
from tui.errors import BoxError, Refused, Usage
from tui.text import age, visible
from tui.wire import decode


def kept_deploys(
    session: Session, name: str, kept: str, *, out: str, restore: bool, discard: bool, as_json: bool
) -> None:
    """List what is kept of an instance; or write, restore or discard one, given by its id or name."""
    if [bool(out), restore, discard].count(True) > 1:
        raise Usage("one of --out, --restore and --discard at a time")
    if not kept and (out or restore or discard):
        raise Usage("which one? Give the id or the name of a kept deploy")
    with session.box() as box:
        instance = resolve(box, name)
        if not kept:
            _list(instance, box.get(f"/projects/{instance.id}/kept"), as_json=as_json)
            return
        found = _find(box, instance, kept)
        path = f"/projects/{instance.id}/kept/{quote(found.id, safe='')}"
        if restore:
            _say_done(box.post(f"{path}/restore"), f"{instance.name} gets the flows of {found.name}", as_json)
        elif discard:
            _say_done(box.delete(path), f"{found.name} is gone", as_json)
        else:
            _write(box.get(path), found, out, as_json=as_json)


def _list(instance: Instance, answer: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    rows = decode(answer, KeptDeploys).kept
    if not rows:
        print(f"Nothing is kept of {visible(instance.name)}: every deploy is stored.")
        return
    now = datetime.now(UTC)
    table = [[each.id, each.name, f"{age(each.made_at, now)} ago", each.username or "-", each.message] for each in rows]
    print_table(["ID", "NAME", "MADE", "BY", "WHY"], table)


def _find(box: Box, instance: Instance, wanted: str) -> KeptDeploy:
    rows = decode(box.get(f"/projects/{instance.id}/kept"), KeptDeploys).kept
    for each in rows:
        if wanted in (each.id, each.name):
            return each
    names = ", ".join(each.name for each in rows) or "none"
    raise Refused(f"no kept deploy of {instance.name} is called '{wanted}'", status=404, hint=f"There are: {names}.")


def _write(answer: bytes, found: KeptDeploy, out: str, *, as_json: bool) -> None:
    """The flows as Node-RED imports them; with --json the API's object around them."""
    if not as_json:
        answer = msgspec.json.encode(msgspec.json.decode(answer)["flows"])
    if out in ("", "-"):
        print_json(answer)
        return
    try:
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "wb") as stream:  # noqa: PTH123 - a descriptor, so that only its owner can read it
            stream.write(msgspec.json.format(answer, indent=2) + b"\n")
    except OSError as error:
        raise BoxError(f"cannot write {out}: {error.strerror or error}", hint="Give another file.") from error
    say(f"the flows of {found.name} are in {out}")


def _say_done(answer: bytes, text: str, as_json: bool) -> None:
    tell(answer, text, as_json=as_json)
    sys.stdout.flush()
