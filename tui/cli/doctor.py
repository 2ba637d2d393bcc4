"""`weir doctor`: what the box says of itself and what can be seen from outside, each finding with the next step."""

from __future__ import annotations

import shutil
import socket
import ssl
import sys
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec

from appliance.schema.box import BoxStatus, Finding, Problem
from appliance.schema.instances import Stacks
from tui.cli.box import Box
from tui.cli.local import local_findings
from tui.cli.session import Session, print_json, print_object
from tui.errors import BoxError
from tui.signs import BAD
from tui.text import percent, plural, size, visible, wrapped
from tui.wire import decode

FULL_SHARE = 0.95
CERTIFICATE_DAYS = 14
PROBE_S = 5.0
INDENT = 15
NOT_RUNNING = frozenset({"not_running", "no_box"})


def examine(session: Session, *, as_json: bool) -> bool:
    """Print every finding; answers whether all is well."""
    findings, problems = _findings(session)
    if as_json:
        print_json(msgspec.json.encode({"findings": findings, "problems": problems}))
    else:
        for finding in findings:
            print_finding(finding)
        for problem in problems:
            _print_problem(problem)
        bad = sum(not each.ok for each in findings) + len(problems)
        print(f"\n{plural(bad, 'problem')} found" if bad else "\nNo problem found")
    return all(each.ok for each in findings) and not problems


def show_problems(session: Session, *, as_json: bool) -> None:
    """Print what the box itself knows to be wrong. Raises BoxError."""
    with session.box() as box:
        problems = decode(box.get("/box/status"), BoxStatus).problems
    if as_json:
        print_object(problems)
        return
    for problem in problems:
        _print_problem(problem)
    if not problems:
        print("No problem is known")


def _findings(session: Session) -> tuple[list[Finding], list[Problem]]:
    """What the box says of itself, and what its directory says; what both say is told once."""
    local = local_findings(session)
    started = time.monotonic()
    try:
        with session.box() as box:
            status = decode(box.get("/box/status"), BoxStatus)
            answer_ms = (time.monotonic() - started) * 1000
            found = [
                Finding("appliance", True, f"answers at {session.address.label} in {answer_ms:.0f} ms"),
                _readiness(status),
                *([] if session.over_ssh else [_front_door(box, status)]),  # the box itself looks at it too
                *(_untold(local, status) or [_memory(status), _disk(status), _stacks(box)]),
                *_instances(status),
            ]
    except BoxError as error:
        rest = [each for each in local if each.key != "not_running"]
        return [Finding("appliance", False, error.message, error.hint), *rest], []
    return found, status.problems


def _untold(local: list[Finding], status: BoxStatus) -> list[Finding]:
    """It answers, so it runs, whatever the directory looks like; and its web server was asked already."""
    told = {problem.key for problem in status.problems} | NOT_RUNNING
    return [each for each in local if each.key not in told and not (each.ok and each.name in ("process", "nginx"))]


def _readiness(status: BoxStatus) -> Finding:
    if status.appliance.ready:
        return Finding("ready", True, f"version {status.appliance.version}, pid {status.appliance.pid}")
    return Finding("ready", False, "the appliance is still starting", "Wait a moment and run weir doctor again.")


def _memory(status: BoxStatus) -> Finding:
    used, total = status.host.memory_used_bytes, status.host.memory_total_bytes
    detail = f"{percent(used, total)} of {size(total)} used"
    full = total > 0 and used / total > FULL_SHARE
    return Finding("memory", not full, detail, "Stop an instance, or give the box more memory." if full else "")


def _disk(status: BoxStatus) -> Finding:
    used, total = status.host.disk_used_bytes, status.host.disk_total_bytes
    detail = f"{percent(used, total)} of {size(total)} used"
    full = total > 0 and used / total > FULL_SHARE
    return Finding("disk", not full, detail, "Free space: deploys fail when the disk is full." if full else "")


def _stacks(box: Box) -> Finding:
    stacks = decode(box.get("/stacks"), Stacks).stacks
    built = [each.name for each in stacks if each.built]
    if built:
        return Finding("stack", True, f"built: {', '.join(built)}")
    return Finding("stack", False, "no Node-RED stack is built on this box", "Type: weir stack build")


def _instances(status: BoxStatus) -> list[Finding]:
    """Instances that failed, unless the reason is told already: by the box's problems, or by the stack's finding."""
    told = {problem.about for problem in status.problems}
    return [
        Finding(
            each.name, False, f"{each.state}: {each.message or each.reason}", f"Type: weir instance logs {each.name}"
        )
        for each in status.instances
        if each.state in BAD and each.id not in told and each.reason != "stack_missing"
    ]


def _front_door(box: Box, status: BoxStatus) -> Finding:
    """Does nginx serve the platform, with a certificate that the box's own CA vouches for?"""
    parts = urlsplit(status.appliance.url)
    host = parts.hostname or "localhost"
    if parts.scheme != "https":
        return Finding("nginx", True, f"{status.appliance.url}: not https, not checked")
    # On the box itself the name may be one that only the network's DNS knows.
    address = "127.0.0.1" if box.address.socket is not None else host
    try:
        days = _days_left(address, parts.port or 443, host, _authority(box))
    except ssl.SSLCertVerificationError as error:
        return Finding("nginx", False, f"{host}: {error.verify_message}", "Restart the box: it renews its certificate.")
    except BoxError as error:
        return Finding("nginx", False, f"the box does not give its CA: {error}", "Restart the box: it makes a new one.")
    except (OSError, ValueError) as error:
        step = f"Is nginx running? See {status.appliance.home}/logs and the problems below."
        return Finding("nginx", False, f"{status.appliance.url} does not answer: {error}", step)
    detail = f"serves {status.appliance.url}, certificate good for {days} days"
    step = "Restart the box: it renews its certificate." if days < CERTIFICATE_DAYS else ""
    return Finding("nginx", not step, detail, step)


def _authority(box: Box) -> str | None:
    """The box's own CA, over the socket that cannot be forged; None leaves a remote box to this machine's CAs."""
    return box.page("/ca.crt").decode("ascii", "replace") if box.address.socket is not None else None


def _days_left(address: str, port: int, name: str, authority: str | None) -> int:
    context = ssl.create_default_context(cadata=authority)
    with (
        socket.create_connection((address, port), timeout=PROBE_S) as raw,
        context.wrap_socket(raw, server_hostname=name) as secured,
    ):
        certificate = secured.getpeercert() or {}
    until = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return int((until - datetime.now(UTC).timestamp()) // 86400)


def print_finding(finding: Finding) -> None:
    """A line or more: whether it is well, what it is about, what was found, and the next step."""
    _print_lines(f"{'ok' if finding.ok else '!!'}  {visible(finding.name):<10} ", finding.detail)
    if finding.next_step:
        _print_lines(" " * INDENT, f"-> {finding.next_step}")


def _print_problem(problem: Problem) -> None:
    _print_lines("!!  ", f"{problem.title}: {problem.cause}")
    if problem.evidence:
        _print_lines(" " * INDENT, problem.evidence)
    if problem.next_step:
        _print_lines(" " * INDENT, f"-> {problem.next_step}")


def _print_lines(head: str, text: str) -> None:
    """Wrapped for people at a terminal; whole lines for programs and files."""
    if not sys.stdout.isatty():
        print(head + visible(text))
        return
    cells = max(60, shutil.get_terminal_size().columns) - INDENT
    for line in wrapped(visible(text), cells):
        print(head.ljust(INDENT) + line if head.strip() else " " * INDENT + line)
        head = ""
