"""Templates: the settings and variables that instances begin with, and what they may not change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from appliance.schema.instances import Template, Templates
from tui import keytable, platformkeys
from tui.cli import node_red_settings
from tui.errors import BoxError
from tui.render import Column, Piece
from tui.screens.asking import Asked, AskScreen, Done, Values, needed
from tui.screens.catalogue import CatalogueScreen
from tui.screens.editor import EditorScreen
from tui.screens.forms import Field
from tui.screens.objects import ObjectsScreen
from tui.screens.prompt import Question
from tui.signs import Kind
from tui.wire import decode

if TYPE_CHECKING:
    from tui.app import WeirApp

Settings = dict[str, Any]
LONG = frozenset({*node_red_settings.DOCUMENTS, "palette.npmrc"})  # edited as a text of several lines


class TemplatesScreen(CatalogueScreen[Template]):
    """Enter shows a template's settings, where they are changed."""

    word = "templates"
    path = "/templates"
    noun = "template"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("NAME", 22),
        Column("DESCRIPTION", 0),
        Column("INST", 4, right=True),
        Column("", 9),
    )
    empty = "no templates; c makes one"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.TEMPLATES, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    async def found(self) -> Iterable[tuple[str, Template]]:
        return [(each.id, each) for each in (await self.owner.client.get(self.path, Templates)).templates]

    def cells(self, each: Template) -> list[Piece]:
        return [
            (self.shown(each.name), "name"),
            (self.shown(each.description), "dim"),
            (str(each.instance_count), "plain"),
            self.offered(each),
        ]

    def do_show(self) -> None:
        if (each := self.picked()) is not None:
            self.owner.push_screen(TemplateScreen(self.owner, each))

    def do_create(self) -> None:
        async def send(given: Values) -> Done:
            body = {**given, "settings": {}, "policy": {}}
            made = decode(await self.owner.client.post(self.path, body), Template)
            return Done(f"{made.name} is made, with the platform's usual settings")

        self.owner.push_screen(AskScreen(self.owner, "new template", _fields(), send))

    def do_edit(self) -> None:
        if (each := self.picked()) is None:
            return

        async def send(given: Values) -> Done:
            changed = decode(await self.owner.client.put(f"{self.path}/{each.id}", given), Template)
            return Done(f"{changed.name} is changed")

        before = {"name": each.name, "description": each.description}
        self.owner.push_screen(AskScreen(self.owner, f"template {each.name}", _fields(), send, values=before))


class TemplateScreen(ObjectsScreen[str]):
    """Every setting of one template. A change is in force from the next start of its instances."""

    columns: ClassVar[tuple[Column, ...]] = (Column("SETTING", 22), Column("VALUE", 0), Column("INSTANCES", 12))
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.TEMPLATE, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    def __init__(self, owner: WeirApp, template: Template) -> None:
        super().__init__(owner)
        self.template = template

    def label(self) -> str:
        return self.template.name

    async def found(self) -> Iterable[tuple[str, str]]:
        self.template = await self.owner.client.get(f"/templates/{self.template.id}", Template)
        told = flat(self.template.settings)
        return [(key, _seen(key, told.get(key))) for key in (*node_red_settings.KEYS, "env")]

    def rows(self) -> dict[str, list[Piece]]:
        policy = flat(self.template.policy)
        rows: dict[str, list[Piece]] = {}
        for key, value in self.items.items():
            locked = policy.get(key) is False
            rows[key] = [
                (key, "name"),
                (self.shown(value), "plain") if value else ("default", "dim"),
                ("may not" if locked else "may change", Kind.CHANGING if locked else "dim"),
            ]
        return rows

    def details(self) -> list[tuple[str, str]]:
        key = self.table.key or ""
        return [("setting", key), ("value", self.items.get(key, ""))]

    def do_set(self) -> None:
        key = self.table.key
        if key is None:
            self.nobody()
        elif key == "env":
            self.say("variables of a template are changed with: weir env set --template")
        elif key in LONG:
            before = "" if key in node_red_settings.SECRETS else self.items[key]
            screen = EditorScreen(
                self.owner, before, f"{key} of {self.template.name}", lambda typed: self._set(key, typed)
            )
            self.owner.push_screen(screen)
        else:
            secret = key in node_red_settings.SECRETS
            words = ("on", "off", "default") if key in node_red_settings.FLAGS else ("default",)
            question = Question(
                f"{key}{' (on, off, default)' if len(words) > 1 else ''}=",
                lambda typed: self._set(key, typed),
                offers=lambda typed: [word for word in words if word.startswith(typed)],
                secret=secret,
            )
            self.ask(question, "" if secret or len(words) > 1 else self.items[key])

    def _set(self, key: str, typed: str) -> None:
        try:
            if not typed.strip() or typed.strip() == "default":
                value: Any = None
            else:
                secret = key in node_red_settings.SECRETS
                value = typed if secret else node_red_settings.setting(key, typed)
        except BoxError as error:
            self.refused(error)
            return
        self._write({key: value}, {}, f"{key} is changed, from the next start of its instances")

    def do_lock(self) -> None:
        key = self.table.key
        if key is None or key == "env":
            self.say("variables of a template are locked with: weir env set --template --lock")
            return
        locked = flat(self.template.policy).get(key) is False
        said = f"instances may change {key}" if locked else f"instances may not change {key}"
        self._write({}, {key: locked}, said)

    def _write(self, settings: Settings, policy: dict[str, bool], said: str) -> None:
        """Both go whole, as the API wants them; hidden values and passwords go back as they were shown, and stay."""
        wanted = {key: value for key, value in (flat(self.template.settings) | settings).items() if value is not None}
        body = {
            "settings": node_red_settings.nested(wanted),
            "policy": node_red_settings.nested(flat(self.template.policy) | policy),
        }
        self.change(self.owner.client.put(f"/templates/{self.template.id}", body), said)


def flat(settings: Settings, prefix: str = "") -> Settings:
    """Nested settings by their dotted names; documents stay whole."""
    found: Settings = {}
    for name, value in settings.items():
        path = f"{prefix}{name}"
        deeper = isinstance(value, dict) and path not in node_red_settings.DOCUMENTS
        found |= flat(value, f"{path}.") if deeper else {path: value}
    return found


def text(value: Any) -> str:
    """A setting as people type it; empty for none."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return "" if value is None else str(value)


def _seen(key: str, value: Any) -> str:
    """What the list shows; of a secret only that there is one."""
    return ("(set)" if value else "") if key in node_red_settings.SECRETS else text(value)


def _fields() -> list[Asked]:
    return [
        Asked(Field("name", "Name", "as people call it"), needed("a name")),
        Asked(Field("description", "Description", "in words")),
    ]
