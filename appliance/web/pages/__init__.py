"""The few pages that browsers see, rendered here: no framework, no script."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

HTML = "text/html; charset=utf-8"


def render(name: str, **values: Any) -> bytes:
    """The page as bytes; every value is escaped."""
    return _environment().get_template(name).render(**values).encode()


@functools.cache
def style() -> bytes:
    """The style sheet of all pages."""
    return resources.files(__name__).joinpath("weir.css").read_bytes()


@functools.cache
def _environment() -> Environment:
    # Loaded with the first page: an appliance that only serves the API never pays for it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(__name__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
