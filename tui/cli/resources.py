"""`weir instance resources`: what an instance took in the last hours."""

from __future__ import annotations

import shutil
import sys

from appliance.schema.resources import ResourceHistory
from tui.cli.instances import resolve
from tui.cli.session import Session, print_json
from tui.figures import covered, facts, series, summary
from tui.text import visible
from tui.wire import decode

BESIDE = 62  # cells of a line that are not the picture
LEAST, MOST = 10, 120


def show_resources(session: Session, name: str, *, as_json: bool) -> None:
    """Print processor, memory, event loop and messages, now and as a picture of the time that is kept."""
    with session.box() as box:
        found = resolve(box, name)
        answer = box.get(f"/projects/{found.id}/resources")
    if as_json:
        print_json(answer)
        return
    samples = decode(answer, ResourceHistory).resources
    print(f"{visible(found.name)} is {visible(found.meta.state)}")
    for label, value in facts(found.resources):
        print(f"  {label:<11} {visible(value)}")
    if not samples:
        print("No samples: they are taken every 10 s while it runs, and kept as long as its launcher.")
        return
    print(f"The last {covered(samples)}, {len(samples)} samples:")
    cells = max(LEAST, min(MOST, shutil.get_terminal_size().columns - BESIDE))
    for each in series(samples):
        if line := summary(each, cells, ascii_only=not _draws_blocks()):
            print(f"  {line}")


def _draws_blocks() -> bool:
    try:
        "▁█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
