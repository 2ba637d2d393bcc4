"""What a subject must be for things that only people do. Pure."""

from __future__ import annotations

from appliance.errors import Forbidden
from appliance.model import Subject


def user_of(subject: Subject) -> str:
    """The id of the person who asks. Raises Forbidden for instances, and for the box before it has an account."""
    if subject.kind != "user" or subject.user_id is None:
        raise Forbidden("Only people can do this.", hint="Ask as a user.")
    return subject.user_id


def refuse_tokens(subject: Subject, *, code: str = "unauthorized") -> None:
    """Raises Forbidden unless the person is there himself: what a token does must end with it."""
    if subject.source == "api" or subject.scopes is not None:
        raise Forbidden("A token may not do this.", code=code, hint="Do it on the box: run weir there as root.")
