"""`weir snapshot …`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from appliance.schema.instances import Instance
from appliance.schema.snapshots import Snapshot, Snapshots
from tui.cli.box import Box
from tui.cli.deletion import confirm
from tui.cli.instances import resolve
from tui.cli.session import Session, print_json, print_object, print_table, say
from tui.errors import BoxError, Refused, Usage
from tui.flowdiff import Change, Side, diff
from tui.sides import of_instance, of_snapshot
from tui.text import age, visible
from tui.wire import decode

SECRET = "WEIR_SNAPSHOT_SECRET"  # noqa: S105 - the name of a variable
_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": "."}


def create(session: Session, args: Namespace) -> None:
    """Keep what an instance is now."""
    with session.box() as box:
        found = resolve(box, args.instance)
        answer = box.post(f"/projects/{found.id}/snapshots", {"name": args.name, "description": args.description or ""})
    made = decode(answer, Snapshot)
    _done(answer, args, f"{made.id}  {made.name}")


def list_all(session: Session, args: Namespace) -> None:
    """Print the snapshots of an instance, newest first."""
    with session.box() as box:
        answer = box.get(f"/projects/{resolve(box, args.instance).id}/snapshots")
    if args.json:
        print_json(answer)
        return
    now = datetime.now(UTC)
    rows = [
        [
            each.id,
            each.name,
            f"{age(each.created_at, now)} ago",
            each.user.username if each.user else "-",
            "automatic" if each.automatic else "",
            each.description,
        ]
        for each in decode(answer, Snapshots).snapshots
    ]
    if rows:
        print_table(["ID", "NAME", "MADE", "BY", "", "DESCRIPTION"], rows)
    else:
        print(f"No snapshots yet. Make one with: weir snapshot create {visible(args.instance)}")


def show(session: Session, args: Namespace) -> None:
    """Print what a snapshot holds; with --json all of it but the secrets."""
    with session.box() as box:
        found = _find(box, resolve(box, args.instance), args.snapshot)
        answer = box.get(f"/snapshots/{_quoted(found)}/full")
    if args.json:
        print_json(answer)
        return
    whole = msgspec.json.decode(answer)
    side = of_snapshot(whole)
    lines = [
        ("Name", found.name),
        ("Id", found.id),
        ("Description", found.description),
        ("Made", f"{found.created_at} by {found.user.username if found.user else 'nobody known'}"),
        ("Flows", f"{sum(node.get('type') == 'tab' for node in side.flows)} tabs, {len(side.flows)} nodes"),
        ("Modules", ", ".join(f"{name} {version}" for name, version in side.modules.items()) or "-"),
        ("Variables", ", ".join(side.env) or "-"),
    ]
    for title, text in lines:
        print(f"{title:<12} {visible(text)}")


def edit(session: Session, args: Namespace) -> None:
    """Give a snapshot another name or description."""
    body = {key: text for key in ("name", "description") if (text := getattr(args, key)) is not None}
    if not body:
        raise Usage("nothing to change", hint="Give --name, --description or both.")
    with session.box() as box:
        found = _find(box, resolve(box, args.instance), args.snapshot)
        answer = box.put(f"/snapshots/{_quoted(found)}", body)
    _done(answer, args, f"{decode(answer, Snapshot).name} is changed")


def export(session: Session, args: Namespace) -> None:
    """Write a snapshot as a file that Weir and FlowFuse import."""
    secret = _secret(session, args)
    if not secret and not args.without_credentials:
        raise Usage(
            "credentials travel encrypted: the secret to encrypt them with is missing",
            hint=f"Give --secret-file FILE, set {SECRET}, or leave them out: --without-credentials.",
        )
    parts = {
        "flows": True,
        "credentials": not args.without_credentials,
        "envVars": {"all": "all", "keys": "keys", "none": False}[args.env],
    }
    with session.box() as box:
        found = _find(box, resolve(box, args.instance), args.snapshot)
        answer = box.post(
            f"/snapshots/{_quoted(found)}/export", {"credentialSecret": secret or None, "components": parts}
        )
    if args.out in ("", "-"):
        print_json(answer)
        return
    _write(args.out, answer)
    say(f"{found.name} is in {args.out}")


def take(session: Session, args: Namespace) -> None:
    """Keep a file as a snapshot of an instance; the instance itself does not change."""
    given = _read(args.file)
    snapshot = _snapshot_of(given, "flows" if args.file == "-" else Path(args.file).stem)
    if args.name:
        snapshot["name"] = msgspec.Raw(msgspec.json.encode(args.name))
    with session.box() as box:
        found = resolve(box, args.instance)
        body: dict[str, Any] = {"ownerId": found.id, "ownerType": "instance", "snapshot": snapshot}
        if secret := _secret(session, args):
            body["credentialSecret"] = secret
        if args.without_credentials:
            body["components"] = {"flows": True, "credentials": False, "envVars": "keys"}
        answer = box.post("/snapshots/import", body)
    made = decode(answer, Snapshot)
    hint = f"weir snapshot restore {found.name} {made.id} makes it what the instance is"
    _done(answer, args, f"{made.id}  {made.name}\n{hint}")


def restore(session: Session, args: Namespace) -> None:
    """Make a snapshot what the instance is, and restart it."""
    with session.box() as box:
        instance = resolve(box, args.instance)
        found = _find(box, instance, args.snapshot)
        answer = box.post(f"/projects/{instance.id}/actions/rollback", {"snapshot": found.id})
    if args.wait:
        from tui.cli.instances import ACTIONS
        from tui.cli.wait import wait_for

        if instance.desired == "running":
            wait_for(session.address, instance.id, instance.name, ACTIONS["restart"], args.timeout)
    text = f"{instance.name} is what it was in {found.name}; what it was until now is kept as an automatic snapshot"
    _done(answer, args, text)


def delete(session: Session, args: Namespace) -> None:
    """Forget a snapshot for good."""
    with session.box() as box:
        instance = resolve(box, args.instance)
        found = _find(box, instance, args.snapshot)
        if not args.yes:
            confirm(session, found.name, f"The snapshot '{visible(found.name)}' of {visible(instance.name)} goes.")
        answer = box.delete(f"/snapshots/{_quoted(found)}")
    _done(answer, args, f"{found.name} is deleted")


def compare(session: Session, args: Namespace) -> None:
    """Print what changed from a snapshot to another one, or to what the instance is now."""
    with session.box() as box:
        instance = resolve(box, args.instance)
        old = _whole(box, instance, args.snapshot)
        new = _whole(box, instance, args.other) if args.other else _present(box, instance)
    changes = diff(old, new)
    if args.json:
        print_object({"count": len(changes), "changes": changes})
        return
    for change in changes:
        print(visible(_line(change)))
        if change.how == "changed" and change.kind != "variable":
            for name, was, now in change.properties:
                print(visible(f"      {name}: {was} → {now}"))
    if not changes:
        print("Nothing changed.")


def _line(change: Change) -> str:
    where = f"  in {change.where}" if change.where else ""
    how = f"  ({change.how})" if change.how == "moved" else ""
    value = ""
    if change.kind == "variable":
        ((_, was, now),) = change.properties
        value = f": {was} → {now}"
    return f"{_SIGNS[change.how]} {change.kind} {change.name}{where}{how}{value}"


def _whole(box: Box, instance: Instance, wanted: str) -> Side:
    found = _find(box, instance, wanted)
    return of_snapshot(msgspec.json.decode(box.get(f"/snapshots/{_quoted(found)}/full")))


def _present(box: Box, instance: Instance) -> Side:
    """What the instance is now, in the shape of a snapshot."""
    flows = msgspec.json.decode(box.get(f"/instances/{instance.id}/flows"))["flows"]
    return of_instance(flows, instance.settings)


def _find(box: Box, instance: Instance, wanted: str) -> Snapshot:
    rows = decode(box.get(f"/projects/{instance.id}/snapshots"), Snapshots).snapshots
    by_id = [each for each in rows if each.id == wanted]
    by_name = [each for each in rows if each.name == wanted]
    if found := by_id or by_name[:1]:
        return found[0]
    hint = f"weir snapshot list {instance.name} shows them."
    raise Refused(f"there is no snapshot '{wanted}' of {instance.name}", status=404, hint=hint)


def _quoted(found: Snapshot) -> str:
    return quote(found.id, safe="")


def _secret(session: Session, args: Namespace) -> str:
    """The secret, of a file or the environment: never an argument, which everybody on the machine could read."""
    if not args.secret_file:
        return session.environ.get(SECRET, "")
    if (args.secret_file, getattr(args, "file", "")) == ("-", "-"):
        raise Usage("only one of the two can come from standard input")
    return _read(args.secret_file).decode("utf-8", "replace").strip()


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise BoxError(f"cannot read {name}: {error.strerror or error}", hint="Give another file.") from error


def _write(name: str, answer: bytes) -> None:
    try:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "wb") as stream:  # noqa: PTH123 - a descriptor, so that only its owner can read it
            stream.write(msgspec.json.format(answer, indent=2) + b"\n")
    except OSError as error:
        raise BoxError(f"cannot write {name}: {error.strerror or error}", hint="Give another file.") from error


def _snapshot_of(given: bytes, name: str) -> dict[str, msgspec.Raw]:
    """The file's members; plain flows, as Node-RED exports them, become a snapshot of nothing else."""
    try:
        if given.lstrip()[:1] == b"[":
            wrapped = {"name": name, "flows": {"flows": msgspec.Raw(given)}, "settings": {}}
            given = msgspec.json.encode(wrapped)
        return msgspec.json.decode(given, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BoxError(f"this is no snapshot: {error}", hint="Give a file that was exported as one.") from error


def _done(answer: bytes, args: Namespace, said: str) -> None:
    if args.json:
        print_json(answer)
    else:
        for line in said.splitlines():
            print(visible(line))
