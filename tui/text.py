"""Text for people: durations, sizes, and strangers' text made harmless. Pure, without a terminal library."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

WIDE = frozenset("WF")
# Bidirectional controls can make one text look like another (CVE-2021-42574).
HIDDEN = frozenset(map(chr, (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF)))


def visible(text: str, *, ascii_only: bool = False) -> str:
    """`text` on one line with every control character shown as an escape; a tab becomes two spaces."""
    if text.isprintable() and (not ascii_only or text.isascii()):
        return text
    return "".join(_shown(char, ascii_only) for char in text)


def json_visible(text: str) -> str:
    """JSON that says the same with no character in it that a terminal could obey (JSON leaves C1 codes as they are)."""
    if text.isascii():
        return text.replace("\x7f", "\\u007f")
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _shown(char: str, ascii_only: bool) -> str:
    if char == "\t":
        return "  "
    if char.isprintable() and char not in HIDDEN and (char.isascii() or not ascii_only):
        return char
    if ascii_only and char.isprintable():
        return "?" * char_width(char)
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def char_width(char: str) -> int:
    """Cells that `char` takes on a terminal: 0, 1 or 2."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in WIDE else 1


def width(text: str) -> int:
    """Cells that `text` takes on a terminal."""
    return len(text) if text.isascii() else sum(map(char_width, text))


def fit(text: str, cells: int, *, right: bool = False, mark: str = "…") -> str:
    """`text` in exactly `cells` cells: padded, or cut with `mark` at the end."""
    if width(text) > cells:
        text = _cut(text, max(0, cells - width(mark))) + mark[:cells]
    pad = " " * (cells - width(text))
    return pad + text if right else text + pad


def wrapped(text: str, cells: int) -> list[str]:
    """`text` in lines of at most `cells` cells, broken between words; a word that is longer is cut into pieces."""
    lines = [""]
    for word in text.split():
        while width(word) > cells:
            piece = _cut(word, cells) or word[0]
            lines += [piece, ""]
            word = word[len(piece) :]
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if width(joined) <= cells:
            lines[-1] = joined
        else:
            lines.append(word)
    return [line for line in lines if line]


def _cut(text: str, cells: int) -> str:
    if text.isascii():
        return text[:cells]
    used = 0
    for index, char in enumerate(text):
        used += char_width(char)
        if used > cells:
            return text[:index]
    return text


def parse_time(text: str | None) -> datetime | None:
    """An aware time of the wire; None when there is none or it is not understood."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def duration(seconds: float) -> str:
    """A duration in at most four cells: `41s`, `3m`, `12h`, `90d`."""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= size * (2 if unit == "h" else 1):
            return f"{whole // size}{unit}"
    return f"{whole}s"


def age(since: str | None, now: datetime, *, none: str = "-") -> str:
    """How long ago a time of the wire is."""
    found = parse_time(since)
    return none if found is None else duration((now - found).total_seconds())


def size(count_bytes: int) -> str:
    """A size with a unit: `131 MB`, `3.9 GB`."""
    value = float(count_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.1f} {unit}" if unit in ("GB", "TB") and value < 100 else f"{value:.0f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def percent(used: float, total: float) -> str:
    """A share as whole percent: `43%`; `-` when the total is not known."""
    return f"{100 * used / total:.0f}%" if total > 0 else "-"


def plural(count: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
