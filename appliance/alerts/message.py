"""What is told: problems that were raised and that are over since the last message. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from appliance.schema.box import Problem

MOST = 40  # named in one message; the others are counted
PARTLY = "alert_partly_refused"  # code of an error: some have the message, and would have it twice


class Change(Struct, frozen=True):
    """A problem that came, or that is over."""

    over: bool
    problem: Problem
    at: str  # ISO 8601


class Digest(Struct, frozen=True):
    """All that is told in one message. `dropped`: changes that were too many to remember."""

    box: str  # the address of the box
    changes: tuple[Change, ...]
    dropped: int = 0
    test: bool = False


def subject(digest: Digest) -> str:
    """One line."""
    where = digest.box.removeprefix("https://")
    if digest.test:
        return f"[Weir {where}] a test: alerts arrive"
    if len(digest.changes) == 1 and not digest.dropped:
        (change,) = digest.changes
        return f"[Weir {where}] {'over: ' if change.over else ''}{change.problem.title}"
    raised = sum(not change.over for change in digest.changes)
    return f"[Weir {where}] {raised} problems, {len(digest.changes) - raised} over"


def text(digest: Digest) -> str:
    """For people: what, why, what to do."""
    if digest.test:
        return f"This is a test. Problems of {digest.box} are told here when they come and when they are over.\n"
    parts = [_part(change) for change in digest.changes[:MOST]]
    left = len(digest.changes) - MOST + digest.dropped if len(digest.changes) > MOST else digest.dropped
    if left:
        parts.append(f"… and {left} more changes; weir problems on the box shows what is wrong now.\n")
    return "\n".join(parts) + f"\n{digest.box}\n"


def document(digest: Digest) -> bytes:
    """The same for programs, as JSON: `{box, test, dropped, text, changes: [{event, at, problem}]}`."""
    changes = [
        {
            "event": "cleared" if change.over else "raised",
            "at": change.at,
            "problem": msgspec.to_builtins(change.problem),
        }
        for change in digest.changes
    ]
    told = {"box": digest.box, "test": digest.test, "dropped": digest.dropped, "subject": subject(digest)}
    return msgspec.json.encode({**told, "text": text(digest), "changes": changes})


def merged(changes: Sequence[Change]) -> list[Change]:
    """Without what came and went in between: people would read of a problem that they were never told of."""
    last: dict[str, Change] = {}
    for change in changes:
        earlier = last.pop(change.problem.key, None)
        if earlier is not None and change.over and not earlier.over:
            continue
        last[change.problem.key] = change
    return list(last.values())


def _part(change: Change) -> str:
    told = change.problem
    if change.over:
        return f"OVER: {told.title} (since {told.since}, over at {change.at})\n"
    lines = [f"PROBLEM: {told.title}", f"  why: {told.cause}", f"  seen: {told.evidence}" if told.evidence else ""]
    lines += [f"  what to do: {told.next_step}" if told.next_step else "", f"  since {told.since}"]
    return "\n".join(line for line in lines if line) + "\n"
