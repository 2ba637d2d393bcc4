"""Password hashing: argon2id in one thread, so that a burst of logins can take neither the loop nor the memory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

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
        raise _refused("password_change_failed_too_weak", f"A password has at least {SHORTEST} characters.")
    if len(password.encode()) > LONGEST_BYTES:
        raise _refused("password_change_failed", f"A password has at most {LONGEST_BYTES} bytes.")
    if password.lower() in (username.lower(), email.lower()):
        raise _refused("password_change_failed", "A password must differ from the user name and the e-mail address.")
    if len(set(password)) < 4:
        raise _refused("password_change_failed_too_weak", "This password repeats too few characters.")


def _refused(code: str, message: str) -> Invalid:
    return Invalid(message, code=code, hint="Choose another password.")
