"""Is this the JSON that Node-RED stores? Fast: a deploy waits for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from appliance.errors import Invalid

ARRAY = msgspec.json.Decoder(list[Raw])
OBJECT = msgspec.json.Decoder(dict[str, Raw])
Decoder = msgspec.json.Decoder[Any]
T = TypeVar("T")

# JSON.stringify writes half of a cut emoji like this, which is JSON, but no text that Python would take.
_SURROGATE = re.compile(rb"\\u[dD][89abcdefABCDEF][0-9a-fA-F]{2}")


# Above this, looking at a document would hold up the event loop noticeably.
INLINE_BYTES = 512 * 1024


async def off_loop(size: int, work: Callable[..., T], *args: Any) -> T:
    """`work(*args)`, in a thread when the document it looks at is large."""
    return await asyncio.to_thread(work, *args) if size > INLINE_BYTES else work(*args)


def check(body: bytes, decoder: Decoder, what: str) -> Any:
    """The outer shape of `body`, its elements left as bytes.

    Raises Invalid, saying where, when it is not JSON, not UTF-8, nested too deeply, or not an array or object as
    `decoder` asks.
    """
    try:
        body.decode("utf-8")  # what is inside strings is only looked at here
    except UnicodeDecodeError as error:
        raise _refused(what, f"not UTF-8 (byte {error.start})") from error
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise _refused(what, "nested too deeply") from error
    except msgspec.MsgspecError as error:
        if _SURROGATE.search(body):
            return _without_surrogates(body, decoder, what)
        raise _refused(what, str(error)) from error


def _without_surrogates(body: bytes, decoder: Decoder, what: str) -> Any:
    try:
        return decoder.decode(_SURROGATE.sub(rb"\\u0041", body))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _refused(what, str(error)) from error


def _refused(what: str, why: str) -> Invalid:
    return Invalid(
        f"The {what} can't be stored: {why}.", hint="Nothing was changed; what was stored before is still there."
    )
