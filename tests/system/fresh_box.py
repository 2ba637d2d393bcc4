"""A stock Debian machine with an own disk, for tests that pull its plug. Needs root and the tool that
`WEIR_FRESH_BOX` names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class FreshBox:
    """One machine. Every method has a deadline and raises AssertionError with what the machine printed."""

    def __init__(self, name: str) -> None:
        tool = os.environ.get("WEIR_FRESH_BOX", "")
        if not tool or os.geteuid() != 0:
            pytest.skip("needs root and WEIR_FRESH_BOX, a tool that boots a fresh machine")
        self._command = [tool, "-n", name]

    def tool(self, *arguments: str, timeout_s: float = 300, check: bool = True) -> str:
        done = subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
        )
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def run(self, script: str, *, timeout_s: float = 300, check: bool = True) -> str:
        """A shell script in the machine, as root."""
        return self.tool("run", "sh", "-c", script, timeout_s=timeout_s, check=check)

    def push_checkout(self, target: str) -> None:
        """The committed and the uncommitted tree, without what is ignored: a bare checkout."""
        archive = Path("/var/tmp") / f"weir-checkout-{os.getpid()}.tar"
        files = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        present = b"\0".join(name for name in files.split(b"\0") if name and (ROOT / os.fsdecode(name)).exists())
        subprocess.run(["tar", "--null", "-T", "-", "-cf", str(archive)], cwd=ROOT, input=present, check=True)
        try:
            self.run(f"mkdir -p {target}")
            self.tool("push", str(archive), "/root/checkout.tar")
            self.run(f"tar -xf /root/checkout.tar -C {target} && rm /root/checkout.tar")
        finally:
            archive.unlink()

    @property
    def address(self) -> str:
        return self.tool("ip").strip()
