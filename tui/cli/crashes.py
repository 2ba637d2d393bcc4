"""`weir instance crashes`: when Node-RED ended unasked, why, and what it said last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from appliance.schema.audit import AuditEntry, AuditPage
from tui.cli.box import Box
from tui.cli.instances import resolve
from tui.cli.logs import FORM
from tui.cli.session import Session, print_json
from tui.loglines import entry, lines
from tui.text import visible
from tui.wire import decode

PAGE = 200
MOST_PAGES = 60  # more than all that a Node-RED can have reported
# One whose flows share its token ("published") is believed as far as it goes: nobody else could know.
OF_LAUNCHERS = ("launcher", "published")


def show_crashes(session: Session, name: str, *, count: int, as_json: bool) -> None:
    """Print the newest `count` crashes, oldest first. The last lines are kept for the newest twenty of an instance."""
    with session.box() as box:
        path = f"/projects/{resolve(box, name).id}/audit-log"
        if as_json:
            print_json(box.get(path, {"event": "crashed", "limit": str(max(count, 1))}))
            return
        found = _seen(box, path, max(count, 1))
    if not found:
        print("No crash is recorded.")
    for each in reversed(found):
        for line in crash(each):
            print(line)


def _seen(box: Box, path: str, count: int) -> list[AuditEntry]:
    """The newest crashes that the launcher saw. A flow can report what it likes, too, and as often as it likes: that is
    passed over, however much of it there is."""
    found: list[AuditEntry] = []
    query = {"event": "crashed", "limit": str(count)}
    for _ in range(MOST_PAGES):
        page = decode(box.get(path, query), AuditPage)
        found += [each for each in page.log if each.source in OF_LAUNCHERS]
        if len(found) >= count or page.meta.next_cursor is None:
            break
        query |= {"cursor": page.meta.next_cursor, "limit": str(PAGE)}
    return found[:count]


def crash(each: AuditEntry) -> list[str]:
    """One crash as lines of text."""
    info = each.body.get("info")
    info = info if isinstance(info, dict) else {}
    ended = " ".join(f"{key} {visible(str(info[key]))}" for key in ("code", "signal") if info.get(key) is not None)
    at = datetime.fromisoformat(each.created_at).astimezone().strftime(FORM)
    head = f"{at} crashed ({ended})" if ended else f"{at} crashed"
    return [head, f"  {visible(str(info.get('info') or 'no reason is known'))}", *_last_lines(each.body), ""]


def _last_lines(body: dict[str, Any]) -> list[str]:
    log = body.get("log")
    if not isinstance(log, list) or not log:
        return ["  its last lines are no longer kept"]
    return [f"  | {line}" for one in log for line in lines(entry(msgspec.json.encode(one)), form=FORM, most=20)]
