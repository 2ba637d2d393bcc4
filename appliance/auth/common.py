"""Passwords that attackers try first. Pure.

A list of all that most leaks agree on would be longer than useful: these are their stems. What is put around a stem
(digits, signs, capitals, digits for letters) is what everybody puts around it, so it does not count.
"""

from __future__ import annotations

import re

DIGITS_ENOUGH = 16  # a password of digits and signs alone
_STEMS = frozenset(
    """
    abc abcabc abcd abcdef access account admin administrator alexander amanda andrea andrew angel anthony apple
    asdf asdfgh asdfghjkl ashley austin azerty babygirl bailey banana barcelona baseball basketball batman beach
    benjamin blink bonjour buster butterfly changeme charlie cheese chelsea chicken chocolate computer cookie
    daniel default dolphin donald dragon elizabeth eminem facebook ferrari flower flowers flowfuse football
    freedom friends gateway george ginger google guest hannah harley hello hunter iloveyou internet
    jasmine jennifer jessica jesus jordan joshua justin killer letmein linkedin liverpool login lovely loveme
    maggie manager martin master matrix matthew merlin michael michelle monkey mustang nicole ninja node nodered
    nothing orange packer pass passw passwd password passwort peanut pepper pikachu please pokemon princess
    purple qazwsx qwer qwert qwerty qwertyuiop qwertz raspberry raspberrypi robert rockyou samantha samsung
    secret server service shadow snoopy soccer starwars summer sunshine superman support swordfish system taylor
    tequiero test testing thomas thunder tigger trustno user username welcome whatever whoami william winter
    yellow zaq zxcvbn zxcvbnm
    """.split()  # noqa: SIM905 - words are easier to keep as a text
)
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm")
_LETTERS = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_REPEATED = re.compile(r"^(.{3,}?)\1+$")
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")


def is_common(password: str) -> bool:
    """Whether somebody who tries the usual ones finds this one: stems, decorated or not, or a run of keys."""
    plain = password.lower()
    bare = _AROUND.sub("", plain)
    read = _AROUND.sub("", plain.translate(_LETTERS))
    if {plain, bare, read, bare.translate(_LETTERS)} & _STEMS:
        return True
    words = [_REPEATED.sub(r"\1", word) for word in re.findall(r"[a-z]+", bare)]
    return (bool(words) and _STEMS.issuperset(words)) or _is_run(plain) or (not bare and len(plain) < DIGITS_ENOUGH)


def _is_run(text: str) -> bool:
    """Made of steps along the alphabet, the digits or a row of keys, or of one short piece over and over."""
    steps = sum(_adjacent(one, other) for one, other in zip(text, text[1:], strict=False))
    if len(text) > 1 and steps >= (len(text) - 1) * 3 / 4:
        return True
    return any(text == (text[:size] * len(text))[: len(text)] for size in range(1, min(4, len(text) // 2) + 1))


def _adjacent(one: str, other: str) -> bool:
    return one == other or any(one + other in row or other + one in row for row in _ROWS)
