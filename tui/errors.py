"""What can go wrong for a client of the box, in one tree.

BoxError             `message` says what and why, `hint` what to do next
 ├ Usage             the command line cannot be carried out as written (exit 2)
 ├ NotRunning        nobody answers at the address
 ├ Lost              a connection broke or fell silent; the same request may succeed later
 └ Refused           the box answered, and said no: `status` and `code` are its words
"""

from __future__ import annotations


class BoxError(Exception):
    """Root of the tree. `str(error)` is one sentence for people, without a trailing newline."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Usage(BoxError):
    """The command line cannot be carried out as written; nothing was asked of the box."""

    exit_code = 2


class NotRunning(BoxError):
    """Nobody answers at the address."""


class Lost(BoxError):
    """A connection broke or fell silent; the same request may succeed later."""


class Refused(BoxError):
    """The box answered, and said no. `status` is the HTTP status, `code` the machine word."""

    def __init__(self, message: str, *, status: int, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code

    @property
    def passing(self) -> bool:
        """True when the box itself is unwell or busy, so that asking again later makes sense."""
        return self.status >= 500 or self.status == 429
