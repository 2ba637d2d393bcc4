"""What both clients share of httpx: TLS, time limits, and its errors told in our words."""

from __future__ import annotations

import ssl

from tui.address import Address
from tui.errors import BoxError, Lost
from tui.lean import httpx
from tui.wire import ANSWER_S, CONNECT_S

LIMITS = httpx.Timeout(ANSWER_S, connect=CONNECT_S)


def tls(address: Address) -> ssl.SSLContext:
    """TLS as the address wants it. Raises BoxError when its CA file cannot be used."""
    try:
        return ssl.create_default_context(cafile=address.ca or None)
    except OSError as error:
        raise BoxError(f"cannot use the CA file {address.ca}: {error}", hint="Name a PEM file with --ca.") from error


def failure(address: Address, error: Exception) -> BoxError:
    """An error of httpx, or a deadline that passed, as one of ours."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return address.not_running(why_not(error))
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return Lost(f"{address.label} fell silent", hint="Is the appliance overloaded? Its log says more.")
    return Lost(f"the connection to {address.label} broke: {error or type(error).__name__}")


def why_not(error: Exception) -> str:
    """The cause of a failed connection in the system's words; empty when it only says that nobody is there."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError | FileNotFoundError):
            return ""
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)
