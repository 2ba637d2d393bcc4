"""`python -m tui` is `weir`; here the screens are opened, with textual told about the terminal before it is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from tui.address import Address
from tui.errors import BoxError, Usage
from tui.profile import choose, textual_switches


def open_screens(
    address: Address, environ: Mapping[str, str], *, rich: bool = False, low: bool = False, files: bool = True
) -> None:
    """Show the screens until the user quits; the box keeps running. Without `files`, none of this machine is offered.

    Raises Usage without a terminal, NotRunning when the box does not answer, BoxError when the screens fail.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Usage("the screens need a terminal", hint="weir status prints the same as text.")
    if environ.get("TERM", "dumb") == "dumb":
        raise Usage("the screens need more than a dumb terminal", hint="Set TERM, or use weir status.")
    _check(address)
    profile = choose(environ, rich=rich, low=low, encoding=sys.stdout.encoding or "ascii", files=files)
    if not sys.stderr.isatty():
        os.dup2(sys.stdout.fileno(), 2)  # textual paints on stderr
    os.environ.update(textual_switches(profile, environ))
    from tui.app import run

    run(address, profile)


def _check(address: Address) -> None:
    """A box that is not there is said on the shell, not on a screen that has nothing to show."""
    from tui.cli.box import Box

    with Box(address) as box:
        try:
            box.get("/box/status")
        except BoxError as error:
            if getattr(error, "passing", False):
                return  # it is unwell, which is when the screens are wanted
            raise


if __name__ == "__main__":
    from tui.cli.main import main

    main()
