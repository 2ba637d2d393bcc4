"""What `/` lets through: a text, its absence, columns with a value. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Filter(Struct, frozen=True):
    """`text` is looked for in the whole line, `!` in front inverts; `fields`: column, value, inverted."""

    text: str = ""
    fields: tuple[tuple[str, str, bool], ...] = ()

    def lets(self, line: str, columns: Mapping[str, str]) -> bool:
        """Does a line of these columns (by lower-case title) pass? Case is ignored."""
        for name, value, inverted in self.fields:
            if (value in columns.get(name, "").lower()) is inverted:
                return False
        return wanted(self.text, line)


def parse(pattern: str, columns: frozenset[str]) -> Filter:
    """Words `column=value`, `column!=value`, `!column=value` of these columns are fields, all else is the text."""
    words, fields = [], []
    for word in pattern.split(" "):
        name, equals, value = word.partition("=")
        inverted = name.startswith("!") or name.endswith("!")
        if equals and name.strip("!").lower() in columns:
            fields.append((name.strip("!").lower(), value.lower(), inverted))
        else:
            words.append(word)
    return Filter(" ".join(words).strip() if fields else pattern, tuple(fields))


def wanted(pattern: str, text: str) -> bool:
    """Does a plain filter let `text` through? Case is ignored; a leading `!` inverts; empty lets all through."""
    if not pattern or pattern == "!":
        return True
    if pattern.startswith("!"):
        return pattern[1:].lower() not in text.lower()
    return pattern.lower() in text.lower()
