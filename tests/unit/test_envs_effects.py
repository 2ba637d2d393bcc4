"""Every setting that people may set reaches Node-RED: its settings.js, environment, .npmrc or modules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.schema.instances import ChangeInstance
from appliance.services import setting_rules
from appliance.store import teams
from launcher.config import Options
from launcher.schema import Settings
from launcher.settings import Rendered, render
from tests.service_rig import Rig, service_rig
from tests.unit.test_launcher_settings import options
from tui.cli import node_red_settings

# Another value than the default, for every setting with an effect inside Node-RED.
VALUES: dict[str, Any] = {
    "disableEditor": True,
    "disableTours": True,
    "httpAdminRoot": "/admin",
    "dashboardUI": "/pages",
    "dashboardIFrame": True,
    "codeEditor": "ace",
    "page.title": "Another",
    "page.favicon": "/f.ico",
    "header.title": "Another",
    "timeZone": "Europe/Oslo",
    "palette.allowInstall": False,
    "palette.nodesExcludes": "90-exec.js",
    "palette.denyList": "evil@1.x",
    "palette.modules": [{"name": "node-red-node-random", "version": "~0.4.0"}],
    "palette.catalogue": ["https://plant.example/catalogue.json"],
    "palette.npmrc": "registry=https://plant.example/",
    "modules.allowInstall": False,
    "modules.denyList": "evil",
    "httpNodeAuth": {"type": "basic", "user": "u", "pass": "p"},
    "debugMaxLength": 77,
    "apiMaxLength": "9mb",
    "httpNodeCORS": {**dict.fromkeys(("enabled", *setting_rules.METHODS), True), "origin": "https://plant.example"},
}
# The stock theme whatever is asked for, and no address in the header: see launcher/settings.py. `localAuth` is of
# devices, `emailAlerts` are the platform's own.
NO_EFFECT = {"theme", "header.url"}
ELSEWHERE = ("localAuth", "emailAlerts")


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


def paths(rules: Mapping[str, Any] = setting_rules.RULES, prefix: str = "") -> Iterator[str]:
    for key, rule in rules.items():
        if isinstance(rule, dict):
            yield from paths(rule, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


async def rendered(rig: Rig, instance_id: str, chosen: Options) -> Rendered:
    """What the real launcher makes of the real document."""
    document = await rig.instances.settings_document(instance_id, "launcher")
    return render(msgspec.convert(document, Settings), chosen)


async def test_every_setting_has_its_effect(rig: Rig, tmp_path: Path) -> None:
    # Its editors may not set all of it; and a registry of its own is a feature of the team.
    made = await rig.create()
    await _free(rig)
    chosen = options(tmp_path)
    before = await rendered(rig, made.id, chosen)
    silent = []
    for path, value in VALUES.items():
        settings = node_red_settings.nested({path: value})
        await rig.instances.change(rig.admin, made.id, ChangeInstance(settings=settings))
        after = await rendered(rig, made.id, chosen)
        if after == before:
            silent.append(path)
        before = after
    assert not silent


async def _free(rig: Rig) -> None:
    """A template that locks nothing, and a team with every feature."""
    from sqlalchemy import update

    from appliance.store.tables import templates

    def work(tx: Any) -> None:
        tx.run(update(templates).values(policy="{}"))
        team = teams.get(tx, rig.made.team_id)
        assert team is not None
        teams.change(tx, msgspec.structs.replace(team, properties={"features": {"customCatalogs": True}}), 1)

    await rig.context.store.write(work)


def test_no_setting_is_forgotten() -> None:
    known = {path for path in paths() if not path.startswith(ELSEWHERE)}
    covered = {path for path in VALUES if path != "httpNodeAuth"} | {
        f"httpNodeAuth.{key}" for key in ("type", "user", "pass")
    }
    assert known == covered | NO_EFFECT
    assert set(node_red_settings.KEYS) == known
