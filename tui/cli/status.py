"""`weir status`: the box at a glance."""

from __future__ import annotations

from datetime import UTC, datetime

from appliance.schema.box import BoxStatus, Problem, StatusInstance
from appliance.schema.operations import Room
from tui.cli.maintenance import said
from tui.cli.session import Session, print_json, print_table
from tui.signs import signed
from tui.text import age, percent, plural, size, visible
from tui.wire import decode


def show_status(session: Session, *, as_json: bool) -> None:
    """Print what the box says of itself. Raises BoxError."""
    with session.box() as box:
        answer = box.get("/box/status")
    if as_json:
        print_json(answer)
        return
    status = decode(answer, BoxStatus)
    if status.maintenance is not None and status.maintenance.on:
        print(said(status.maintenance, datetime.now(UTC)))
    _print_box(status, datetime.now(UTC))
    print()
    _print_instances(status.instances)
    if status.problems:
        print()
        _print_problems(status.problems)


def _print_box(status: BoxStatus, now: datetime) -> None:
    box, host = status.appliance, status.host
    ready = "" if box.ready else ", still starting"
    print(f"Weir {box.version}  {visible(box.url)}")
    print(f"running for {age(box.started_at, now)}, pid {box.pid}{ready}")
    print(
        f"CPU {host.cpu_percent:.0f}%"
        f"  memory {percent(host.memory_used_bytes, host.memory_total_bytes)} of {size(host.memory_total_bytes)}"
        f"  disk {percent(host.disk_used_bytes, host.disk_total_bytes)} of {size(host.disk_total_bytes)}"
    )
    if status.room:
        print(f"room for {', '.join(_room(each) for each in status.room)}")
    if status.broker is not None:
        print(f"message broker {'runs' if status.broker.running else 'does not run'}")
    if box.ca_fingerprint:
        print(f"CA SHA-256 {visible(box.ca_fingerprint)}")


def _room(room: Room) -> str:
    needs = f"{size(room.need_bytes)} each{'' if room.measured else ', as a first one does'}"
    return f"{room.more} more of type {visible(room.type)} ({needs})"


def _print_instances(instances: list[StatusInstance]) -> None:
    if not instances:
        print("No instances yet. Make one with: weir instance create NAME")
        return
    print_table(["STATE", "NAME", "ADDRESS"], [_instance_row(each) for each in instances])
    measured = [each for each in instances if each.memory_bytes is not None]
    if measured:
        cpu = sum(each.cpu_percent or 0 for each in measured)
        memory = sum(each.memory_bytes or 0 for each in measured)
        print(f"{plural(len(measured), 'running instance')} together: CPU {cpu:.0f}% of a core, memory {size(memory)}")


def _instance_row(each: StatusInstance) -> list[str]:
    well = each.state in ("running", "safe")
    return [signed(each.state), each.name, each.url if well else each.message or each.reason or each.url]


def _print_problems(problems: list[Problem]) -> None:
    print(f"{plural(len(problems), 'problem')}; weir doctor says what to do:")
    for problem in problems:
        print(f"! {visible(problem.title)}: {visible(problem.cause)}")
