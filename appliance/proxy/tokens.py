"""Text that is right for nginx's syntax. Pure."""

from __future__ import annotations

import re

from appliance.errors import Invalid

_WORD = re.compile(r"[A-Za-z0-9_.:\[\]-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Token(str):
    """Text that is already right for nginx's syntax."""

    __slots__ = ()


def quote(text: str) -> Token:
    """A quoted parameter. `$` would start a variable and cannot be escaped in nginx, so it is refused."""
    if "$" in text or _CONTROL.search(text):
        raise Invalid(
            f"nginx cannot take {text!r}: it holds a '$' or a control character",
            code="invalid_path",
            hint="Choose another folder: --home DIR, or WEIR_HOME.",
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return Token(f'"{escaped}"')


def word(text: str, *, also: str = "") -> Token:
    """A parameter of letters, digits and `_.:[]-`, and of what is `also` allowed; raises Invalid for anything else."""
    bare = text
    for character in also:
        bare = bare.replace(character, "")
    if not _WORD.fullmatch(bare):
        raise Invalid(f"{text!r} is not a plain word", code="invalid_name", hint="Use letters, digits, '.' and '-'.")
    return Token(text)


def host(name: str) -> Token:
    """A name or address, quoted: as a key of a map a bare word such as `default` would mean something else."""
    return Token(f'"{word(name)}"')


def remark(text: str) -> Token:
    """Text in a comment: one line of printable ASCII, whatever it was."""
    return Token(ascii(text[:80])[1:-1])
