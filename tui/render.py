"""Objects as rows and lines: pure, tested here and not through pixels. Styles are names; the theme gives them looks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from appliance.schema.box import Problem
from appliance.schema.instances import Instance
from tui import figures
from tui.profile import Profile
from tui.signs import Kind, kind, signed
from tui.state import Known, Point
from tui.text import age, duration, fit, parse_time, percent, plural, visible, width

Piece = tuple[str, str]  # text and the name of its style
WHY = frozenset({Kind.BAD, Kind.CHANGING, Kind.ODD})


class Column(Struct, frozen=True):
    """`cells` is the width; 0 shares what is left with the other columns of 0. `spare` ones go when it is narrow, the
    lowest first; 0 always stays."""

    title: str
    cells: int
    right: bool = False
    spare: int = 0


PICTURE_CELLS = 10
INSTANCE_COLUMNS = (
    Column("STATE", 12),
    Column("NAME", 18),
    Column("TEAM", 8, spare=3),
    Column("CPU", 4, right=True, spare=4),
    Column("", PICTURE_CELLS, spare=2),
    Column("MEM", 4, right=True, spare=5),
    Column("", PICTURE_CELLS, spare=1),
    Column("RST", 3, right=True),
    Column("AGE", 4, right=True),
    Column("ADDRESS", 0),
)
PROBLEM_COLUMNS = (Column("PROBLEM", 0), Column("FOR", 4, right=True))
HELP_COLUMNS = (Column("KEY", 12), Column("COMMAND", 10), Column("DOES", 0))
FACT_COLUMNS = (Column("", 13), Column("", 0))
LIVELY_FROM_CELLS = 107  # where there is room for pictures in the list


def layout(columns: tuple[Column, ...], cells: int, gap: int = 2) -> list[int]:
    """The width of each column on a line of `cells`; 0 hides a spare column that does not fit."""
    shown = list(columns)
    while sum(each.cells or 12 for each in shown) + gap * len(shown) > cells and any(each.spare for each in shown):
        shown.remove(min((each for each in shown if each.spare), key=lambda each: each.spare))
    left = cells - sum(each.cells for each in shown) - gap * (len(shown) - 1)
    shares = [each for each in shown if not each.cells]
    flexible = max(4, left // len(shares)) if shares else 0
    return [(each.cells or flexible) if any(each is one for one in shown) else 0 for each in columns]


def instance_cells(
    each: Instance, now: datetime, profile: Profile, points: Sequence[Point] | None = None
) -> list[Piece]:
    """One row of the instance list; `points` are its last figures."""
    what = kind(each.meta.state)
    cpu, memory = pictures(points or (), PICTURE_CELLS, profile)
    return [
        (signed(each.meta.state), what),
        (visible(each.name, ascii_only=profile.ascii), "name"),
        (visible(str(each.team.get("name", "")), ascii_only=profile.ascii), "plain"),
        (figures.cpu(each.resources, none=profile.dash), "plain"),
        (cpu, Kind.UP),
        (figures.memory(each.resources, none=profile.dash), "plain"),
        (memory, Kind.UP),
        (str(each.meta.restarts), Kind.ODD if each.meta.restarts else "plain"),
        (age(each.created_at, now, none=profile.dash), "plain"),
        (note(each, now, profile), what if what in WHY else "dim"),
    ]


def pictures(points: Sequence[Point], cells: int, profile: Profile) -> tuple[str, str]:
    """CPU (full height: a core) and memory of the last minutes as rows of blocks."""
    blocks = figures.ASCII_BLOCKS if profile.ascii else figures.BLOCKS
    cpu = figures.sparkline([each.cpu_percent for each in points], cells, top=100.0, blocks=blocks)
    known = [each.memory_bytes for each in points]
    return cpu, figures.sparkline(known, cells, blocks=blocks)


def note(each: Instance, now: datetime, profile: Profile) -> str:
    """What the last column says: when the box tries again, why it is so, or the address."""
    again = parse_time(each.meta.next_try_at)
    if again is not None and again > now:
        return f"retry in {duration((again - now).total_seconds())}"
    if kind(each.meta.state) in WHY:
        return visible(each.meta.message or each.meta.reason, ascii_only=profile.ascii)
    return visible(each.url.removeprefix("https://").rstrip("/"), ascii_only=profile.ascii)


def why(each: Instance, profile: Profile, points: Sequence[Point] | None = None) -> list[Piece]:
    """The line under the list about the row of the cursor: why it is so, or what it took in the last minutes."""
    said = each.meta.message or each.meta.reason
    if not said:
        name = visible(f"{each.name}  ", ascii_only=profile.ascii)
        url: Piece = (visible(each.url, ascii_only=profile.ascii), "dim")
        if each.resources is None or not points:
            return [(name, "dim"), url]
        cpu, memory = pictures(points, PICTURE_CELLS, profile)
        return [
            (name, "dim"),
            ("cpu ", "dim"),
            (cpu, Kind.UP),
            ("  mem ", "dim"),
            (memory, Kind.UP),
            ("  ", "dim"),
            url,
        ]
    style = kind(each.meta.state) if kind(each.meta.state) in WHY else "plain"
    return [(visible(f"{each.name}: {said}", ascii_only=profile.ascii), style)]


def header(known: Known, profile: Profile) -> list[Piece]:
    """The first line: the box, its instances by state, memory, disk, problems."""
    dot: Piece = (f" {profile.dot} ", "dim")
    status, counts = known.status, known.counts()
    name = status.appliance.names[0] if status and status.appliance.names else "box"
    pieces: list[Piece] = [("weir", "title"), dot, (visible(name, ascii_only=profile.ascii), "name"), dot]
    pieces += [(f"{counts.up} run ", Kind.UP if counts.up else "plain")]
    pieces += [(f"{counts.bad} crash ", Kind.BAD if counts.bad else "plain"), (f"{counts.down} stop", "plain")]
    if counts.other:
        pieces.append((f" {counts.other} other", Kind.CHANGING))
    if status is not None:
        host = status.host
        memory = percent(host.memory_used_bytes, host.memory_total_bytes)
        disk = percent(host.disk_used_bytes, host.disk_total_bytes)
        pieces += [dot, (f"mem {memory} disk {disk}", "plain")]
        if status.problems:
            pieces += [dot, (f"!{plural(len(status.problems), 'problem')}", Kind.BAD)]
    return pieces


def problem_cells(each: Problem, now: datetime, profile: Profile) -> list[Piece]:
    """One row of the problems."""
    title = visible(each.title, ascii_only=profile.ascii)
    return [(title, Kind.BAD), (age(each.since, now, none=profile.dash), "plain")]


def problem_words(each: Problem, profile: Profile) -> list[tuple[str, str, str]]:
    """Why it is so, what was seen, what to do: label, text, style."""
    told = (("why", each.cause, "plain"), ("seen", each.evidence, "dim"), ("do", each.next_step, "name"))
    return [(label, visible(text, ascii_only=profile.ascii), style) for label, text, style in told]


def row(cells: list[Piece], columns: tuple[Column, ...], widths: list[int], more: str) -> list[Piece]:
    """Cells padded or cut to the widths, two blanks between."""
    pieces: list[Piece] = []
    for (text, style), column, cell in zip(cells, columns, widths, strict=True):
        if cell:
            pieces += [(fit(visible(text), cell, right=column.right, mark=more), style), ("  ", "plain")]
    return pieces[:-1]


def cut(pieces: list[Piece], cells: int, more: str) -> list[Piece]:
    """Pieces on one line of exactly `cells` cells."""
    shown: list[Piece] = []
    pieces = [(visible(text), style) for text, style in pieces]  # whoever wrote it: the terminal obeys no text
    for index, (text, style) in enumerate(pieces):
        rest = sum(width(later) for later, _ in pieces[index:])
        if rest > cells and width(text) >= cells:
            return [*shown, (fit(text, cells, mark=more), style)]
        shown.append((text, style))
        cells -= width(text)
    return [*shown, (" " * cells, "plain")] if cells > 0 else shown
