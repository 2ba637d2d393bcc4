"""Makes an instance, field by field; then follows its start."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from textual.worker import WorkType

from appliance.schema.instances import Instance, InstanceTypes, Stacks, Templates
from appliance.schema.snapshots import Snapshots
from appliance.schema.users import Applications, UserTeams
from tui import standalone
from tui.errors import BoxError
from tui.render import Piece
from tui.screens.forms import Field, FormScreen
from tui.screens.progress import ProgressScreen, Work
from tui.signs import Kind
from tui.wire import decode

if TYPE_CHECKING:
    from tui.app import WeirApp

NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
RETRY_S = 3.0
PAUSE_S = 0.25  # in typing, before the box is asked about a name
Choices = tuple[tuple[str, str], ...]
STARTS: Choices = (
    ("empty", "empty flows"),
    ("snapshot", "a snapshot"),
    ("file", "a file of flows"),
    ("directory", "an existing Node-RED"),
)


class WizardScreen(FormScreen):
    """What can be chosen comes from the box; a name is checked there while it is typed."""

    word = "create"
    go_label = "make it and start it"

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._applications: Choices = ()
        self._types: Choices = ()
        self._stacks: list[tuple[str | None, str, str]] = []  # type, id, label
        self._templates: Choices = ()
        self._snapshots: Choices = ()
        self._taken: dict[str, str] = {}  # what the box says of a name
        self._made = ""
        self._trouble = ""

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._load(), exit_on_error=False, name="choices")

    # -- fields -------------------------------------------------------------------------------------
    def fields(self) -> list[Field]:
        start = self.values.get("start", "empty")
        found = [
            Field("name", "Name", "letters, digits and -, a letter first"),
            Field("application", "Application", choices=self._applications, chosen=True),
            Field("type", "Type", choices=self._types, chosen=True),
            Field("stack", "Stack", "the version of Node-RED", choices=self._of_type(), chosen=True),
            Field("template", "Template", "settings to begin with", choices=self._templates, chosen=True),
            Field("start", "Start from", choices=self._starts()),
        ]
        if start == "snapshot":
            instances = tuple((each.id, each.name) for each in self.known.instances.values())
            found.append(Field("instance", "of instance", choices=instances, chosen=True))
            found.append(Field("snapshot", "snapshot", "newest first", choices=self._snapshots, chosen=True))
        elif start == "file":
            found.append(Field("file", "File", "flows as the editor exports them, on this machine"))
        elif start == "directory":
            found.append(Field("directory", "Directory", "such as ~/.node-red, on this machine"))
            found.append(
                Field("secret", "Its secret", "credentialSecret of its settings.js, if it has one", secret=True)
            )
        return found

    def _starts(self) -> Choices:
        return STARTS if self.profile.files else STARTS[:2]

    def _of_type(self) -> Choices:
        wanted = self.value(Field("type", "", choices=self._types))
        return tuple((ident, label) for kind, ident, label in self._stacks if kind in (None, wanted))

    def check(self, field: Field, value: str) -> str:
        if field.id == "name":
            return wrong_name(value) or self._taken.get(value, "")
        if field.id in ("snapshot", "application") and not field.choices:
            return "there is none to choose"
        if field.id in ("file", "directory"):
            return _unreadable(field.id, value)
        return ""

    def typing(self, field: Field, value: str) -> None:
        if field.id in ("file", "directory"):
            return
        super().typing(field, value)
        if field.id == "name" and not wrong_name(value):
            self._alone("name", partial(self._ask_about, field, value))

    def given(self, field: Field) -> None:
        if field.id in ("start", "instance") and self.values.get("start") == "snapshot":
            self._alone("snapshots", self._load_snapshots)
        elif field.id == "name" and not wrong_name(self.values["name"]):
            self._alone("name", partial(self._ask_about, field, self.values["name"]))

    def _alone(self, group: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do this instead of what is under way in its group. The coroutine is made when it begins: one that is ended
        before that would never be awaited."""

        async def begin() -> None:
            await work()

        begun: WorkType[None] = begin
        self.run_worker(begun, exclusive=True, group=group, exit_on_error=False)

    async def _ask_about(self, field: Field, name: str) -> None:
        """Whether the box takes a name; said where it is typed, or beside the field."""
        await asyncio.sleep(PAUSE_S)
        try:
            await self.owner.client.post("/projects/check-name", {"name": name})
            self._taken.pop(name, None)
        except BoxError as error:
            self._taken[name] = error.message
        if self.prompt.open and self.prompt.value == name:
            FormScreen.typing(self, field, name)
        elif self.values.get("name") == name:
            self.mark_wrong("name", self._taken.get(name, ""))

    # -- what there is ------------------------------------------------------------------------------
    async def _load(self) -> None:
        """What can be chosen; asked for again until the box says."""
        while True:
            try:
                await self._ask_choices()
                self._trouble = ""
                self.repaint()
                return
            except BoxError as error:
                self._trouble = f"{error.message} {error.hint}".strip()
                self.repaint()
                await asyncio.sleep(RETRY_S)

    async def _ask_choices(self) -> None:
        client = self.owner.client
        teams = (await client.get("/user/teams", UserTeams)).teams
        applications: list[tuple[str, str]] = []
        for team in teams:
            if self.known.rights.may("project:create", team.id):
                found = await client.get(f"/teams/{team.id}/applications", Applications)
                applications += [(each.id, f"{team.name} / {each.name}") for each in found.applications]
        self._applications = tuple(applications)
        types = (await client.get("/project-types", InstanceTypes)).types
        self._types = tuple((each.id, each.name) for each in types if each.active)
        stacks = (await client.get("/stacks", Stacks)).stacks
        self._stacks = [
            (each.project_type, each.id, f"{each.label or each.name}{'' if each.built else ' (is built first)'}")
            for each in stacks
            if each.active
        ]
        templates = (await client.get("/templates", Templates)).templates
        self._templates = tuple((each.id, each.name) for each in templates if each.active)

    def subject(self) -> list[Piece]:
        return [(f"{self._trouble}; asking again", Kind.BAD)] if self._trouble else []

    async def _load_snapshots(self) -> None:
        self._snapshots = ()
        fields = {each.id: each for each in self.fields()}
        ident = self.value(fields["instance"]) if "instance" in fields else ""
        if ident:
            try:
                found = await self.owner.client.get(f"/projects/{ident}/snapshots", Snapshots)
                self._snapshots = tuple((each.id, each.name) for each in found.snapshots)
            except BoxError as error:
                self.refused(error)
        self.repaint()

    # -- doing --------------------------------------------------------------------------------------
    def submit(self) -> None:
        chosen = {each.id: self.value(each) for each in self.fields()}
        try:
            first = self._work(chosen)
        except BoxError as error:
            self.refused(error)
            return
        self.owner.back()
        self.owner.push_screen(ProgressScreen(self.owner, chosen["name"], first, lambda: self._made))

    def _work(self, chosen: dict[str, str]) -> list[Work]:
        """The requests, one after the other. Raises BoxError for files that cannot be read."""
        start = chosen["start"]
        body: dict[str, Any] = {"name": chosen["name"], "applicationId": chosen["application"]}
        wanted = {"projectType": "type", "stack": "stack", "template": "template"}
        body |= {key: chosen[field] for key, field in wanted.items() if chosen.get(field)}
        if start == "file":
            body["flows"] = standalone.read_flows(chosen["file"])
        work: list[Work] = [("instance is made", self._make(body))]
        if start == "directory":
            found = standalone.read_directory(chosen["directory"])
            work.append(("flows and credentials are taken over", self._take_over(found, chosen.get("secret", ""))))
        elif start == "snapshot":
            work.append(("snapshot is put into it", self._put_snapshot(chosen["snapshot"])))
        return work

    def _make(self, body: dict[str, Any]) -> Callable[[], Awaitable[None]]:
        async def make() -> None:
            answer = await self.owner.client.post("/projects", body)
            made = decode(answer, Instance)
            self._made = made.id
            self.known.put(made)

        return make

    def _take_over(self, found: standalone.Found, secret: str) -> Callable[[], Awaitable[None]]:
        async def take_over() -> None:
            body = {"flows": found.flows}
            if found.credentials:
                body |= {"credentials": found.credentials, "credsSecret": secret or found.secret}
            await self.owner.client.post(f"/projects/{self._made}/import", body)

        return take_over

    def _put_snapshot(self, snapshot: str) -> Callable[[], Awaitable[None]]:
        async def put() -> None:
            client = self.owner.client
            # Credentials travel encrypted; the secret lives as long as these three requests.
            secret = secrets.token_urlsafe(32)
            path = f"/snapshots/{quote(snapshot, safe='')}/export"
            file = msgspec.json.decode(await client.post(path, {"credentialSecret": secret}))
            taken = {"ownerId": self._made, "ownerType": "instance", "snapshot": file, "credentialSecret": secret}
            kept = msgspec.json.decode(await client.post("/snapshots/import", taken))
            await client.post(f"/projects/{self._made}/actions/rollback", {"snapshot": kept["id"]})

        return put


def wrong_name(value: str) -> str:
    """What can be said of a name without asking the box."""
    if not value:
        return "an instance needs a name"
    return "" if NAME.fullmatch(value) else "letters, digits and -, a letter first"


def _unreadable(kind: str, value: str) -> str:
    if not value:
        return "name one on this machine"
    try:
        standalone.read_flows(value) if kind == "file" else standalone.read_directory(value)
    except BoxError as error:
        return error.message
    return ""
