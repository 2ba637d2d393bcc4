"""A user directory and a registry to install modules from, for tests of the launcher."""

from __future__ import annotations

import json
from pathlib import Path

from launcher.npm import Modules
from tests.npm_registry import Registry
from tests.support import built_stack


class Bench:
    """A user directory, its modules, and the registry they come from."""

    def __init__(self, directory: Path, shop: Registry) -> None:
        stack = built_stack()
        self.directory = directory
        self.shop = shop
        self.said: list[str] = []
        self.progress: list[str] = []
        self.modules = Modules(directory, stack.node, stack.node_red, self.said.append)
        self.env = {
            "PATH": f"{Path(stack.node).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(directory),
            "DB_PASSWORD": "swordfish",
        }
        directory.mkdir(parents=True)
        (directory / ".npmrc").write_text(shop.npmrc)
        self.modules.ensure_package("i1")

    async def install(self, timeout_s: float = 60, **wanted: str) -> None:
        listed = {name.replace("_", "-"): version for name, version in wanted.items()}
        await self.modules.install(listed, self.env, self.progress.append, timeout_s)

    def version(self, name: str) -> str:
        try:
            return str(json.loads((self.directory / "node_modules" / name / "package.json").read_text())["version"])
        except OSError:
            return ""

    def listed(self) -> dict[str, str]:
        return dict(json.loads((self.directory / "package.json").read_text()).get("dependencies", {}))

    def picture(self) -> dict[str, str]:
        """Every file below the user directory that an install may touch, with what it says."""
        paths = [self.directory / "package.json", self.directory / "package-lock.json"]
        paths += [path for path in (self.directory / "node_modules").rglob("*") if path.is_file()]
        return {str(path.relative_to(self.directory)): path.read_text() for path in paths if path.exists()}

    def stages(self) -> list[str]:
        return [path.name for path in (self.directory / "launcher" / "modules").glob("stage-*")]

    def npm(self) -> int:
        """The npm that runs now."""
        return int(json.loads((self.directory / "launcher" / "modules" / "npm.json").read_text())[0]["pid"])

    def command(self, *arguments: str, timeout_s: float = 8) -> list[str]:
        """The shim's command line, with a short time limit."""
        program = self.modules._program(timeout_s)
        return [*program, *arguments]
