"""The launcher's arguments. None of them is a secret: those come through `--boot-fd`, or over `--boot-socket`."""

from __future__ import annotations

import getopt
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

PLUGINS = Path(__file__).resolve().parent / "plugins"


class Options(Struct, frozen=True):
    """What the placer says. `generation` labels this placement; it never changes while the process lives. `pace`: what
    is done every so often, or after a while, comes after so many times its usual time (tests have no time)."""

    instance: str
    dir: Path
    appliance: str
    port: int
    node_red_port: int
    node: str
    node_red: str  # directory that holds node_modules/node-red
    compile_cache: str = ""
    memory_mb: int | None = None
    generation: int = 0
    boot_fd: int = -1
    boot_socket: str = ""  # where the ticket is asked for, in a unit of systemd
    logs: str = ""  # a directory in memory for the console log; empty: it lies on the disk
    pace: float = 1.0
    plugins: Path = PLUGINS

    @property
    def own(self) -> Path:
        """The launcher's own state: log segments, cached settings."""
        return self.dir / "launcher"

    @property
    def last_words(self) -> Path:
        """The end of a console log that lies in memory."""
        return self.own / "last-log.ndjson"

    @property
    def away(self) -> Path:
        """What is kept for the time without the appliance, by us and by Node-RED's storage plugin."""
        return self.own / "away"

    @property
    def last_settings(self) -> Path:
        """The settings document that the appliance gave last."""
        return self.own / "settings.json"

    @property
    def node_red_note(self) -> Path:
        """Names the Node-RED that was started last: `{pid, startTime}`."""
        return self.own / "node_red.json"

    @property
    def storage(self) -> Path:
        """Working directory of Node-RED."""
        return self.dir / "storage"

    @property
    def script(self) -> Path:
        return Path(self.node_red) / "node_modules" / "node-red" / "red.js"


def parse(argv: Sequence[str]) -> Options:
    """Read the command line; wrong usage ends the process with status 2 and a sentence on stderr."""
    names = {name.replace("_", "-"): name for name in _GIVEN}
    try:
        # Not argparse, which takes half a megabyte of every launcher for as long as it lives.
        pairs, rest = getopt.getopt(list(argv), "", [f"{name}=" for name in names])
        if rest:
            raise getopt.GetoptError(f"{rest[0]} is no option")
        given = {names[word.removeprefix("--")]: text for word, text in pairs}
        return msgspec.convert(given, Options, strict=False, dec_hook=lambda kind, text: kind(text))
    except (getopt.GetoptError, msgspec.ValidationError) as error:
        sys.stderr.write(f"launcher: {error}. Options: {', '.join(f'--{name} …' for name in names)}\n")
        raise SystemExit(2) from error


_GIVEN = [name for name in Options.__struct_fields__ if name != "plugins"]
