"""The published launcher, installed once on the box: `launchers/nr-launcher-<version>/`, read-only.

Its packages are pinned by their hashes. The directory appears under its name when it is whole, not before.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from appliance.config import Home
from appliance.system import nodejs
from appliance.system.stacks import NPM_CI, Report, make_read_only, npm_error, patience, remove_tree

DEFINITION = Path(__file__).resolve().parent.parent / "published"
PACKAGE = "@flowfuse/nr-launcher"
_INSTALL_DEADLINE_S = 1500
_NEEDED_BYTES = 500 * 2**20


def version() -> str:
    """The version that this Weir installs."""
    return str(json.loads((DEFINITION / "package.json").read_bytes())["dependencies"][PACKAGE])


def command(home: Home) -> list[str]:
    """What `[launcher] command` says to use it."""
    return ["node", str(_directory(home) / "node_modules" / PACKAGE / "index.js")]


def installed(home: Home) -> bool:
    """Whether it is there. Looks at files."""
    return Path(command(home)[1]).is_file()


def install(home: Home, report: Report = lambda _step, _fraction: None) -> None:
    """Install it unless it is there. Blocks, a minute or more. After a failure nothing is left of it.

    Raises Unavailable (network, disk), Internal.
    """
    with nodejs.no_space_named(home.launchers):
        home.launchers.mkdir(mode=0o755, parents=True, exist_ok=True)
        with nodejs.locked(home.launchers / ".lock", waiting=lambda: report("waiting for another install", 0.0)):
            if not installed(home):
                _install(home, report)


def _install(home: Home, report: Report) -> None:
    for left_over in home.launchers.glob(".install-*"):
        remove_tree(left_over)
    if shutil.disk_usage(home.launchers).free < _NEEDED_BYTES:
        raise nodejs.no_space(home.launchers)
    report("placing Node.js", 0.01)
    runtime = nodejs.ensure_runtime(home)
    building = Path(tempfile.mkdtemp(prefix=".install-", dir=home.launchers))
    try:
        for file in ("package.json", "package-lock.json"):
            shutil.copyfile(DEFINITION / file, building / file)
        report("installing the launcher", 0.05)
        finished = nodejs.run(
            [runtime.node, runtime.npm, *NPM_CI],
            cwd=building,
            env=nodejs.environment(home, runtime, patience()),
            deadline_s=_INSTALL_DEADLINE_S,
        )
        if finished.code != 0:
            raise npm_error(finished, building)
        report("writing to disk", 0.9)
        make_read_only(building)
        nodejs.flush_to_disk()
        building.chmod(0o755)  # a directory is renamed by whoever may write in it
        building.rename(_directory(home))
        _directory(home).chmod(0o555)
    except BaseException:
        remove_tree(building)
        raise
    report("ready", 1.0)


def _directory(home: Home) -> Path:
    return home.launchers / f"nr-launcher-{version()}"
