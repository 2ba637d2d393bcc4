"""Every error that Weir answers with, in one tree.

An error carries the HTTP status, the machine word `code` that clients of the platform API know
(platform reference §1), a sentence that names the cause, and `hint`: what to do next.

    WeirError
     ├ Invalid          400   the request cannot be carried out as written
     │  ├ TooLarge      413
     │  ├ WrongType     415   the body is of a kind this route does not take
     │  └ Unprocessable 422   what there is stands against it
     ├ Unauthorized     401   no credential, or one that is not known
     ├ Forbidden        403   known, but not allowed
     ├ NotFound         404   not there, or not to be seen by this subject
     ├ WrongMethod      405   the path is served, but not by this method; `allow` says by which
     ├ Conflict         409
     ├ TooMany          429   rate limited; `retry_after_s` says how long
     ├ Unavailable      503   something this answer needs is away; may be tried again
     └ Internal         500
"""

from __future__ import annotations

from collections.abc import Iterable


class WeirError(Exception):
    """Root of the tree. `str(error)` is the sentence shown to people."""

    status = 500
    code = "unexpected_error"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class Invalid(WeirError):
    """The request cannot be carried out as written; nothing was changed."""

    status = 400
    code = "invalid_request"


class TooLarge(Invalid):
    """The body is larger than this route takes; nothing was changed."""

    status = 413


class WrongType(Invalid):
    """The body is of a kind that this route does not take; nothing was changed."""

    status = 415


class Unprocessable(Invalid):
    """Well written, but what there is stands against it; nothing was changed."""

    status = 422


class Unauthorized(WeirError):
    """No credential, or one that is unknown, expired or of the wrong kind."""

    status = 401
    code = "unauthorized"


class Forbidden(WeirError):
    """The subject is known but may not do this."""

    status = 403
    code = "unauthorized"


class NotFound(WeirError):
    """Not there, or not to be seen by this subject: the two are told apart by nobody."""

    status = 404
    code = "not_found"


class WrongMethod(WeirError):
    """The path is there, but not for this method; `allow` names those it is there for.

    The reference tells it from an unknown path by neither status nor code; programs that look for its code find it.
    """

    status = 405
    code = "not_found"

    def __init__(self, method: str, allow: Iterable[str]) -> None:
        listed = ", ".join(sorted(allow))
        super().__init__(f"this path takes no {method[:20]}", hint=f"It takes {listed}.")
        self.allow = listed


class Conflict(WeirError):
    """Clashes with something that exists."""

    status = 409
    code = "conflict"


class TooMany(WeirError):
    """Rate limited."""

    status = 429
    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after_s: int, code: str | None = None, hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.retry_after_s = retry_after_s


class Unavailable(WeirError):
    """Something this answer needs is away or full; the same request may succeed later."""

    status = 503
    code = "unavailable"


NOT_ASKED = "no_descriptors"  # the code of an Unavailable that says nothing about what was to be asked


class Internal(WeirError):
    """Our fault."""
