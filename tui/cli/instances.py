"""`weir instance …`: what is asked of the box, and how its answers are told."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from appliance.schema.instances import Instance, Instances
from appliance.schema.operations import WearReport
from appliance.schema.users import Application, Applications, UserTeams
from tui import figures
from tui.cli.box import Box
from tui.cli.session import Session, instance_path, print_json, print_table, say
from tui.cli.supervision import spoken
from tui.cli.wait import Goal, wait_for
from tui.errors import BoxError, Refused, Usage
from tui.signs import signed
from tui.text import age, size, visible
from tui.wire import decode

UP = Goal(states=frozenset({"running", "safe"}), verb="run")
ACTIONS = {
    "start": UP,
    "restart": UP,
    "restartSafe": Goal(states=frozenset({"safe"}), verb="open in safe mode"),
    "kill": UP,
    "stop": Goal(states=frozenset({"stopped"}), verb="stop"),
    "suspend": Goal(states=frozenset({"suspended"}), verb="suspend"),
}
DONE = {"start": "starts", "restart": "restarts", "stop": "stops", "suspend": "is being suspended"}
DONE |= {"restartSafe": "restarts in safe mode", "kill": "is ended at once, and starts again"}


def resolve(box: Box, name_or_id: str) -> Instance:
    """The instance of that name or id. Raises Refused when there is none to be seen."""
    if name_or_id in ("", ".", ".."):
        raise Refused(f"there is no instance '{name_or_id}'", status=404, hint="weir instance list shows them.")
    return decode(box.get(instance_path(name_or_id)), Instance)


def list_instances(session: Session, *, as_json: bool) -> None:
    """Print all that the caller may see."""
    with session.box() as box:
        answer = box.get("/instances")
    if as_json:
        print_json(answer)
        return
    instances = decode(answer, Instances).instances
    if not instances:
        print("No instances yet. Make one with: weir instance create NAME")
        return
    now = datetime.now(UTC)
    rows = [_row(each, now) for each in instances]
    print_table(["STATE", "NAME", "TEAM", "CPU", "MEM", "RST", "AGE", "ADDRESS"], rows, right=frozenset({3, 4, 5, 6}))


def _row(each: Instance, now: datetime) -> list[str]:
    team, took = str(each.team.get("name", "")), each.resources
    first = [signed(each.meta.state), each.name, team, figures.cpu(took), figures.memory(took)]
    return [*first, str(each.meta.restarts), age(each.created_at, now), each.url]


def show_instance(session: Session, name: str, *, as_json: bool) -> None:
    """Print one instance: its state, why, and where it is."""
    with session.box() as box:
        answer = box.get(instance_path(resolve(box, name).id))
        worn = None if as_json else _wear(box)
    if as_json:
        print_json(answer)
        return
    each = decode(answer, Instance)
    for label, value in [*_facts(each), ("written", _written(each.id, worn))]:
        if value:
            print(f"{label:<13} {visible(value)}")


def _wear(box: Box) -> WearReport | None:
    """None of a box that is older than the meter."""
    try:
        return decode(box.get("/box/wear"), WearReport)
    except Refused:
        return None


def _written(instance_id: str, report: WearReport | None) -> str:
    found = next((wear for wear in report.instances if wear.id == instance_id), None) if report else None
    if found is None:
        return ""
    return f"{size(found.per_day_bytes)} a day to the disk, {size(found.today_bytes)} today"


def _facts(each: Instance) -> list[tuple[str, str]]:
    meta, now = each.meta, datetime.now(UTC)
    since = f", for {age(meta.since, now)}" if meta.since else ""
    return [
        ("name", each.name),
        ("id", each.id),
        ("state", f"{signed(meta.state)}{since} (wanted: {each.desired})"),
        ("why", meta.message or meta.reason),
        ("next try", meta.next_try_at or ""),
        ("address", each.url),
        ("team", str(each.team.get("name", ""))),
        ("application", each.application.name),
        ("stack", each.stack.label or each.stack.name),
        ("versions", "  ".join(f"{name} {version}" for name, version in sorted(meta.versions.items()))),
        ("restarts", str(meta.restarts)),
        ("after crashes", spoken(each.launcher_settings)),
        ("processes", _processes(each)),
        *figures.facts(each.resources),
        ("ports", "  ".join(f"{name} {port}" for name, port in each.ports.items())),
        ("created", f"{each.created_at} ({age(each.created_at, now)} ago)"),
        ("flows of", each.flow_last_updated_at or "never deployed"),
    ]


def _processes(each: Instance) -> str:
    pids = (("launcher", each.meta.launcher_pid), ("Node-RED", each.meta.node_red_pid))
    return "  ".join(f"{name} {pid}" for name, pid in pids if pid)


def create_instance(
    session: Session,
    name: str,
    *,
    flows: str,
    application: str,
    of: Mapping[str, str],
    wait: bool,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Make an instance with the box's defaults for all that is left out, and start it."""
    body: dict[str, Any] = {"name": name, **{key: wanted for key, wanted in of.items() if wanted}}
    if flows:
        body["flows"] = read_flows(flows)
    with session.box() as box:
        if application:
            body["applicationId"] = application_id(box, application)
        answer = box.post("/projects", body)
        made = decode(answer, Instance)
        if wait:
            wait_for(session.address, made.id, made.name, UP, timeout_s)
            answer = box.get(instance_path(made.id))
    if as_json:
        print_json(answer)
    elif wait:
        print(f"{visible(name)} runs: {visible(made.url)}")
    else:
        print(f"{visible(name)} is made and starts: {visible(made.url)}")


def read_flows(file: str) -> Raw:
    """The flows in a file, `-` for standard input, as they are. Raises Usage, or BoxError when they are not JSON."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Usage(f"cannot read the flows from {file}: {error.strerror or error}") from error
    hint = "Export the flows in the Node-RED editor (Menu, Export, JSON) and give that file."
    try:
        document = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BoxError(f"{file} is not JSON: {error}", hint=hint) from error
    if not isinstance(document, list | dict):
        raise BoxError(f"{file} holds no flows: neither a list of nodes nor an object with flows", hint=hint)
    return Raw(content)


def application_id(box: Box, wanted: str) -> str:
    """The id of an application given by name or id. Raises Refused when there is none, or more than one."""
    teams = decode(box.get("/user/teams"), UserTeams).teams
    known: list[Application] = []
    for team in teams:
        known += decode(box.get(f"/teams/{team.id}/applications"), Applications).applications
    found = [each.id for each in known if wanted in (each.id, each.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted({each.name for each in known})) or "none"
    why = f"{len(found)} applications are" if found else "no application is"
    raise Refused(f"{why} called '{wanted}'", status=404, hint=f"There are: {names}. An id is never ambiguous.")


def act(session: Session, name: str, action: str, *, wait: bool, timeout_s: float, as_json: bool) -> None:
    """Start, stop, restart or suspend; with `wait` return only when it is so."""
    with session.box() as box:
        found = resolve(box, name)
        answer = box.post(f"/projects/{found.id}/actions/{action}")
    if wait:
        state = wait_for(session.address, found.id, found.name, ACTIONS[action], timeout_s)
        said = f"{visible(found.name)} is {state}"
    else:
        said = f"{visible(found.name)} {DONE[action]}"
    if as_json:
        print_json(answer)
    else:
        print(said)


def delete_instance(
    session: Session, name: str, *, yes: bool, wait: bool, timeout_s: float, as_json: bool = False
) -> None:
    """Delete an instance with all its flows, after its name was typed."""
    with session.box() as box:
        found = resolve(box, name)
        if not yes:
            confirm(session, found.name)
        answer = box.delete(f"/projects/{found.id}")
    if wait:
        wait_for(session.address, found.id, found.name, Goal(states=frozenset(), verb="go", gone=True), timeout_s)
    if as_json and answer:
        print_json(answer)
    elif not as_json:
        print(f"{visible(found.name)} is {'deleted' if wait else 'being deleted'}")


def confirm(session: Session, name: str) -> None:
    """Ask for the name. Raises Usage when nobody can be asked, BoxError when something else is typed."""
    if not session.on_terminal:
        raise Usage(f"deleting '{name}' needs a person to type its name, or --yes in a script")
    sys.stderr.write(f"This deletes {visible(name)} with its flows and files for good.\nType its name to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise BoxError("nothing was deleted: the name was not typed")


def open_instance(session: Session, name: str) -> None:
    """Print the address of the editor, and open it where there is a graphical browser."""
    with session.box() as box:
        found = resolve(box, name)
    print(visible(found.url))
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if display and sys.stdout.isatty() and found.url.startswith(("http://", "https://")):
        say("opening it in the browser")
        webbrowser.open(found.url)
