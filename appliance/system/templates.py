"""Configurations of other programs, made from our templates: where these are, how they are read, how a text is known
again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from msgspec import Struct


class Rendered(Struct, frozen=True):
    """A whole configuration; `version` is what the program says that runs with it, once it uses it."""

    text: str
    version: str


def versioned(text: Callable[[str], str]) -> Rendered:
    """The text with its version in it: `text` makes it from a version, and the same apart from that."""
    version = hashlib.sha256(text("0").encode()).hexdigest()[:16]
    return Rendered(text(version), version)


def load(
    program: str, name: str, *, html: bool = False, finalize: Callable[[Any], Any] | None = None
) -> jinja2.Template:
    """A template of what lies there for `program`: one that knows no missing value, and escapes only in HTML. What is
    put into others has to be checked before, or by `finalize`."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_data" / program
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(installed if installed.is_dir() else package.parent / program),
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=html,  # noqa: S701 - what is no HTML says how it is kept whole
    )
    return environment.get_template(name)
