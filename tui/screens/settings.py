"""Settings of an instance: those of Node-RED, and how its launcher treats it."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from appliance.schema.instances import ChangedInstance
from tui import keytable
from tui.cli import node_red_settings, supervision
from tui.errors import BoxError
from tui.render import Column
from tui.screens.lists import ListScreen
from tui.screens.page import SCOPES, Page
from tui.screens.prompt import Question
from tui.text import visible
from tui.widgets.table import Rows
from tui.wire import decode

CHOICES = {"crash-policy": (*supervision.POLICIES,), "safe-mode": ("on", "off"), "hot-spare": ("on", "off")}
CHOICES |= dict.fromkeys(node_red_settings.FLAGS, ("on", "off"))
OF_LAUNCHER = {
    "crash-policy": "crashPolicy",
    "hot-spare": "hotSpare",
    "health-interval": "healthCheckInterval",
    "install-timeout": "installTimeout",
}


class SettingsScreen(Page, ListScreen):
    """One line each; Enter changes it, with the words of `weir instance set`."""

    word = "settings"
    scopes: ClassVar[tuple[str, ...]] = (keytable.SETTINGS, *SCOPES)
    columns: ClassVar[tuple[Column, ...]] = (Column("SETTING", 22), Column("VALUE", 0), Column("", 8))

    def rows(self) -> Rows:
        flat = self.profile.ascii
        return {
            key: [
                (key, "name"),
                (visible(text, ascii_only=flat) if text else "default", "plain" if text else "dim"),
                ("locked" if self._locked(key) else "", "dim"),
            ]
            for key, text in self._values().items()
        }

    def _values(self) -> dict[str, str]:
        each, launcher = self.instance, self.instance.launcher_settings
        told = {"name": each.name, "stack": each.stack.label or each.stack.name, "type": each.project_type.name}
        told |= {key: _text(launcher.get(field)) for key, field in OF_LAUNCHER.items()}
        if (interval := launcher.get("healthCheckInterval")) is not None:
            told["health-interval"] = f"{interval / 1000:g}s"
        off = launcher.get("disableAutoSafeMode")
        told["safe-mode"] = "" if off is None else _text(not off)
        given = _flat(each.settings)
        return told | {key: _text(given.get(key)) for key in node_red_settings.KEYS}

    def _locked(self, key: str) -> bool:
        return _flat(self.instance.template.policy).get(key) is False

    def do_set(self) -> None:
        key = self.table.key
        if key is None:
            return
        secret = key in node_red_settings.SECRETS
        words = (*CHOICES.get(key, ()), "default")
        known = "" if secret else self._values()[key]
        told = f" ({', '.join(words)})" if key in CHOICES else ""
        question = Question(
            f"{key}{told}=",
            lambda typed: self._set(key, typed),
            offers=lambda typed: [word for word in words if word.startswith(typed)],
            secret=secret,
        )
        self.ask(question, known if key not in CHOICES else "")

    def _set(self, key: str, typed: str) -> None:
        try:
            body = _body(key, typed)
        except BoxError as error:
            self.refused(error)
            return
        self.run_worker(self._write(key, body), exit_on_error=False, name="write setting")

    async def _write(self, key: str, body: dict[str, Any]) -> None:
        try:
            changed = decode(await self.owner.client.put(f"/projects/{self.instance.id}", body), ChangedInstance)
        except BoxError as error:
            self.refused(error)
            return
        later = ", in force from the next start (r)" if "next start" in changed.note else f". {changed.note}"
        self.say(f"{key} is changed{later}".rstrip(". "))


def _body(key: str, typed: str) -> dict[str, Any]:
    """The request. A secret is what was typed: it names no file, which the one who types might not be let read."""
    if key in node_red_settings.SECRETS:
        value = None if typed == "default" else typed
        return {"settings": node_red_settings.nested({key: value})}
    return supervision.wanted([f"{key}={typed}"])


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        path = f"{prefix}{name}"
        deeper = isinstance(value, dict) and path not in node_red_settings.DOCUMENTS
        found |= _flat(value, f"{path}.") if deeper else {path: value}
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
