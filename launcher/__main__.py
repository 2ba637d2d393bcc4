"""`python -m launcher`: see `launcher.config` for the arguments."""

from __future__ import annotations

import sys

# Others import these where they are there, which takes memory in every launcher: asyncio's ssl (OpenSSL, 2 MB) is of no
# use on plain HTTP, and msgspec's typing_extensions (0.6 MB) of none since Python 3.11.
_absent = ["typing_extensions", *([] if any("https:" in argument for argument in sys.argv) else ["ssl"])]
sys.modules.update(dict.fromkeys(_absent))  # type: ignore[arg-type]

from launcher.main import main  # noqa: E402 - after the line above, or they are loaded
from launcher.unit import arguments  # noqa: E402

for _name in _absent:
    del sys.modules[_name]

if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:])))
