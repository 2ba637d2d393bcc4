"""Password hashing: argon2id in one thread, so that a burst of logins can take neither the loop nor the memory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from appliance.auth.common import is_common
from appliance.errors import Invalid, TooMany

T = TypeVar("T")

# 19 MiB and two passes: the smallest setting that OWASP's password storage cheat sheet accepts.
MEMORY_KIB = 19 * 1024
PASSES = 2
SHORTEST = 8
LONGEST_BYTES = 1024
WAITING_LIMIT = 32
# Read from a terminal and typed on a phone: no look-alikes, groups of four; 80 bits.
_WORD_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


class Passwords:
    """Hashes and checks passwords, one at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")
        self._waiting = 0
        self._decoy = ""

    async def hash(self, password: str) -> str:
        """The argon2id hash to keep. Raises TooMany when too much waits for the one thread."""
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether `password` belongs to `kept`; takes as long when there is nothing to compare with.

        Raises TooMany when more checks wait than can be answered soon.
        """
        return await self._run(lambda: self._verify(password, kept))

    def close(self) -> None:
        """End the thread; what runs is finished first."""
        self._thread.shutdown(wait=True)

    def _verify(self, password: str, kept: str | None) -> bool:
        # Made before it is known whether it will be needed, so that its making tells nothing.
        self._decoy = self._decoy or self._hasher.hash(secrets.token_urlsafe(16))
        if len(password.encode()) > LONGEST_BYTES:
            password, kept = "", None
        try:
            self._hasher.verify(kept or self._decoy, password)
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_LIMIT:
            raise TooMany("Too many logins at once.", retry_after_s=5, hint="Wait a few seconds and try again.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1


def new_password() -> str:
    """A password for people to type: four groups of four."""
    groups = ("".join(secrets.choice(_WORD_ALPHABET) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def check_new(password: str, *, username: str, email: str) -> None:
    """Raises Invalid, saying which rule, unless `password` may be set for this account."""
    if len(password) < SHORTEST:
        raise _weak(f"A password has at least {SHORTEST} characters; this one has {len(password)}.")
    if len(password.encode()) > LONGEST_BYTES:
        raise Invalid(
            f"A password has at most {LONGEST_BYTES} bytes.", code="password_change_failed", hint="Shorten it."
        )
    if _names(password, username, email):
        raise _refused("A password must differ from the user name and the e-mail address.")
    if len(set(password)) < 4:
        raise _weak("This password repeats too few characters.")
    if is_common(password):
        raise _weak("This password is one of those that are tried first, or a variation of one.")


def _names(password: str, username: str, email: str) -> bool:
    """Whether it is what everybody knows of the account, with digits or signs around it at most."""
    words = {username.lower(), email.lower(), email.lower().partition("@")[0]} - {""}
    plain = password.lower()
    return plain in words or plain.strip("0123456789!?.,-_#$*+ ") in words


def _weak(message: str) -> Invalid:
    return Invalid(message, code="password_change_failed_too_weak", hint="Take four or more words of your own.")


def _refused(message: str) -> Invalid:
    return Invalid(message, code="password_change_failed", hint="Choose another password.")
