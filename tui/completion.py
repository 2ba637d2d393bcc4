"""What may come after `:`, and what Tab makes of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os.path import commonprefix


def matches(typed: str, words: Sequence[str], names: Iterable[str], *, takes_name: frozenset[str]) -> list[str]:
    """Whole commands that `typed` may become, best first: those that begin so, then those that hold the letters. Of
    several names behind the word the last is still being typed."""
    word, blank, rest = typed.lstrip().partition(" ")
    if blank:
        before, _, last = rest.lstrip().rpartition(" ")
        head = f"{word} {before} " if before else f"{word} "
        return [f"{head}{name}" for name in _ranked(last, names)] if word in takes_name else []
    return _ranked(word, words)


def _ranked(typed: str, words: Iterable[str]) -> list[str]:
    low = typed.lower()
    known = list(dict.fromkeys(words))
    first = [word for word in known if word.lower().startswith(low)]
    return first + [word for word in known if word not in first and _fuzzy(low, word.lower())]


def _fuzzy(typed: str, word: str) -> bool:
    letters = iter(word)
    return all(letter in letters for letter in typed)


def completed(typed: str, found: Sequence[str]) -> str:
    """What Tab turns `typed` into: as much as all matches share, or the first of them where that is nothing new."""
    if not found:
        return typed
    if len(found) == 1:
        return found[0]
    begins = [word for word in found if word.lower().startswith(typed.lower())]
    shared = commonprefix(begins)
    return shared if len(shared) > len(typed) else found[0]
