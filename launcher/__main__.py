"""`python -m launcher`: see `launcher.config` for the arguments."""

from __future__ import annotations

import sys

_plain = not any("https:" in argument for argument in sys.argv)
if _plain:
    # asyncio imports ssl where it can, and with it OpenSSL: 2 MB in every launcher, unused on plain HTTP.
    sys.modules["ssl"] = None  # type: ignore[assignment]

from launcher.main import main  # noqa: E402 - after the line above, or asyncio has loaded ssl

if _plain:
    del sys.modules["ssl"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
