"""The launcher's arguments. None of them is a secret: those come through `--boot-fd`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

PLUGINS = Path(__file__).resolve().parent / "plugins"


class Options(Struct, frozen=True):
    """What the placer says. `generation` labels this placement; it never changes while the process lives."""

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
    plugins: Path = PLUGINS

    @property
    def own(self) -> Path:
        """The launcher's own state: log segments, cached settings."""
        return self.dir / "launcher"

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
    import argparse  # seldom used afterwards: not kept at module level

    parser = argparse.ArgumentParser(prog="launcher", description="Runs and watches one Node-RED.")
    parser.add_argument("--instance", required=True)
    parser.add_argument("--dir", required=True, type=Path)
    parser.add_argument("--appliance", required=True, metavar="URL")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--node-red-port", required=True, type=int)
    parser.add_argument("--node", required=True, metavar="PROGRAM")
    parser.add_argument("--node-red", required=True, metavar="DIR")
    parser.add_argument("--compile-cache", default="", metavar="DIR")
    parser.add_argument("--memory-mb", type=int)
    parser.add_argument("--generation", type=int, default=0)
    parser.add_argument("--boot-fd", type=int, default=-1)
    return Options(**vars(parser.parse_args(argv)))
