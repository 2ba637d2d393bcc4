"""`./dev bench [NAME …]`: medians of interleaved runs, beside a plain Node-RED. Exit 1 when a bar is missed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.api import api
from bench.footprint import footprint
from bench.report import Figure, table
from bench.restarts import restarts
from bench.start import appliance_start, instance_start
from bench.survival import appliance_kill, launcher_kill
from bench.together import ten_at_once
from bench.tui import tui

BENCHES: dict[str, Callable[[], list[Figure]]] = {
    "instance-start": instance_start,
    "appliance-start": appliance_start,
    "footprint": footprint,
    "api": api,
    "restarts": restarts,
    "launcher-kill": launcher_kill,
    "appliance-kill": appliance_kill,
    "ten-at-once": ten_at_once,
    "tui": tui,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    names = parser.parse_args().names or list(BENCHES)
    if unknown := set(names) - set(BENCHES):
        parser.error(f"no benchmark called {', '.join(sorted(unknown))}; there are: {', '.join(BENCHES)}")
    # A box has its bytecode on disk after its first start; compiling it would cost time and memory in every run.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    figures: list[Figure] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += BENCHES[name]()
    print(table(figures))
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    (results / f"{stamp}.json").write_bytes(msgspec.json.encode(figures))
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
