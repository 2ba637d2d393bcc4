"""httpx without the command line it brings along.

httpx loads rich, pygments and click for its own command where these are installed, and does without where they are
not. That is a third of its time to load, so it is told that they are not. Import httpx from here.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is how Python spells "not there"
import httpx as httpx  # noqa: E402
