"""Who looks at a page: what all of them know of the browser that asks."""

from __future__ import annotations

from typing import Any

from appliance.web.browser import Browser
from appliance.web.route import Ask

BrowserAsk = Ask[Any, Any]


def browser_of(ask: BrowserAsk) -> Browser:
    """The browser behind a request of a `browser` route."""
    assert ask.browser is not None, "a route of kind `browser`"
    return ask.browser
