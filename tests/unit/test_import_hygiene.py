"""The walls of the house, seen from a fresh process: what a part must not load, it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

# part imported -> top-level or dotted modules that must not be there afterwards
FORBIDDEN = {
    "launcher.__main__": [
        "appliance",
        "tui",
        "aiohttp",
        "httpx",
        "sqlalchemy",
        "jinja2",
        "docker",
        "kubernetes",
        "ssl",
        "typing_extensions",
    ],
    "tui.cli.main": [
        "textual",
        "appliance.store",
        "appliance.services",
        "appliance.web",
        "launcher",
        "aiohttp",
        "rich",
    ],
    "appliance.main": [
        "docker",
        "kubernetes",
        "textual",
        "sqlalchemy.orm",
        "sqlalchemy.ext.asyncio",
        "sqlalchemy.dialects.postgresql",
        "alembic",
        "paho",
        "tui",
    ],
    "appliance.reconcile.decide": ["asyncio", "aiohttp", "sqlalchemy", "psutil"],
    "appliance.schema.instances": ["aiohttp", "sqlalchemy", "asyncio"],
}


@pytest.mark.parametrize("part", sorted(FORBIDDEN))
def test_loads_nothing_it_must_not(part: str) -> None:
    code = f"import sys, {part}; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    modules = set(loaded.stdout.split())
    found = [name for name in FORBIDDEN[part] if name in modules or any(m.startswith(name + ".") for m in modules)]
    assert found == []
