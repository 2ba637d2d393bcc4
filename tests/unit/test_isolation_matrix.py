"""Every route × every kind of credential × one's own and a foreign team: who gets in, and what the others are told.

The table is written by hand, see `tests/isolation_table.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from msgspec import Struct
from msgspec.structs import replace

from appliance.auth.secrets import new_token, token_hash
from appliance.model import Role, Subject
from appliance.schema.instances import CreateInstance
from appliance.schema.snapshots import CreateSnapshot
from appliance.schema.users import CreateApplication, User
from appliance.store import teams, tokens
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.tokens import Kind, TokenRow
from appliance.web.routes import API, ROUTES
from tests.isolation_backups import BACKUPS, BY_PEOPLE_ONLY
from tests.isolation_backups import INSIDE as INSIDE_BACKUPS
from tests.isolation_backups import ONLY_ON_THE_SOCKET as OF_BACKUPS_ON_THE_SOCKET
from tests.isolation_catalogue import CATALOGUE
from tests.isolation_library import INSIDE as INSIDE_LIBRARY
from tests.isolation_library import LIBRARY
from tests.isolation_operations import INSIDE as INSIDE_OPERATIONS
from tests.isolation_operations import OPERATIONS
from tests.isolation_people import INSIDE as INSIDE_PEOPLE
from tests.isolation_people import LEAVES, PEOPLE
from tests.isolation_people import ONLY_ON_THE_SOCKET as OF_PEOPLE_ON_THE_SOCKET
from tests.isolation_snapshots import INSIDE as INSIDE_SNAPSHOTS
from tests.isolation_snapshots import SNAPSHOTS
from tests.isolation_ssh import INSIDE as INSIDE_SSH
from tests.isolation_ssh import ONLY_ON_THE_SOCKET as OF_SSH_ON_THE_SOCKET
from tests.isolation_ssh import SSH
from tests.isolation_table import TABLE as INSTANCES
from tests.isolation_table import A, D, M, O, Row, V
from tests.web_box import HOST, WebBox, web_box

# Those about instances last: some of what they do stays.
TABLE = {**PEOPLE, **SSH, **SNAPSHOTS, **CATALOGUE, **LIBRARY, **OPERATIONS, **BACKUPS, **INSTANCES}
INSIDE = (*INSIDE_PEOPLE, *INSIDE_SNAPSHOTS, *INSIDE_LIBRARY, *INSIDE_SSH, *INSIDE_OPERATIONS, *INSIDE_BACKUPS)
ONLY_ON_THE_SOCKET = {**OF_PEOPLE_ON_THE_SOCKET, **OF_SSH_ON_THE_SOCKET, **OF_BACKUPS_ON_THE_SOCKET}
ABSENT = "nowhere123"
REFUSED = (401, 403, 404)
ABOUT_A_TEAM = ("team", "search", "slug", "application", "instance", "name", "snapshot")
# No credential counts here but the session's cookie, or none at all.
OPEN = {"public", "anyone", "browser"}


class Who(Struct, frozen=True):
    """A credential, and what it is worth: a role in the own team and in the foreign one."""

    name: str
    token: str | None
    kind: str = "user"
    own: Role = Role.NONE
    foreign: Role = Role.NONE
    admin: bool = False
    read_only: bool = False
    narrowed: bool = False
    cookie: str = ""


class Place(Struct, frozen=True):
    """A team and what is in it."""

    team: str
    slug: str
    application: str
    instance: str
    name: str
    snapshot: str


class World:
    """Two teams, one instance in each, and somebody of every kind."""

    def __init__(self, box: WebBox, own: Place, foreign: Place, people: list[Who]) -> None:
        self.box = box
        self.own = own
        self.foreign = foreign
        self.people = people
        self._clients: dict[str, aiohttp.ClientSession] = {}
        self._count = 0

    async def ask(self, who: Who, key: str, place: Place, catalogue: dict[str, str]) -> tuple[int, str]:
        """Status and text; of a stream only the status."""
        method, _, path = key.partition(" ")
        self._count += 1
        values = {**_values(place), **catalogue, "n": str(self._count)}
        row = TABLE.get(key, Row())
        path = _filled(path, row, values)
        if path.endswith("/library/functions") and method == "GET":
            path += "?name=/"
        if row.of == "search":
            path += f"?team={values['team']}&query=the"
        if "/library" in path and "library/functions" not in path and method != "POST":
            path += "?name=nothing"
        body = None if row.body is None else json.dumps(row.body)
        for name, value in values.items():
            body = body and body.replace("{" + name + "}", value)
        client = self._client(who)
        headers = {"Content-Type": "application/json"} if body else {}
        async with client.request(method, path, data=body, headers=headers, allow_redirects=False) as answer:
            stream = answer.content_type == "text/event-stream"
            return answer.status, "" if stream else await answer.text()

    def _client(self, who: Who) -> aiohttp.ClientSession:
        if who.name not in self._clients:
            extra = {"Cookie": who.cookie} if who.cookie else {}
            self._clients[who.name] = self.box.client("web", who.token, **extra)
        return self._clients[who.name]


def _values(place: Place) -> dict[str, str]:
    return {field: getattr(place, field) for field in Place.__struct_fields__}


def _filled(path: str, row: Row, values: dict[str, str]) -> str:
    thing = values.get(row.of, ABSENT)
    named = {"id": thing, "slug": values["slug"], "type": "functions", "kind": "project", "owner": values["instance"]}
    named |= {"name": "none.example", "kept": "none", "user": ABSENT, "invitation": ABSENT}
    named |= {"snapshot": values["snapshot"], "token": ABSENT, "key": ABSENT, "backup": ABSENT}
    named |= {"path": "some/where"}
    return re.sub(r"{(\w+)(?::[^}]*)?}", lambda match: named[match[1]], path)


@pytest.fixture
async def world(home: Path) -> AsyncIterator[World]:
    async with web_box(home) as box:
        yield await _furnish(box)


async def _furnish(box: WebBox) -> World:
    admin = await box.services.accounts.root()
    first = (await box.services.teams.teams(_all())).teams[0]
    own = await _place(box, admin, first.id, first.slug, "mine")
    other = new_id()
    await box.context.store.write(lambda tx: teams.add(tx, team_id=other, name="Other", slug="other", at=1))
    foreign = await _place(box, admin, other, "other", "theirs")
    return World(box, own, foreign, [who async for who in _people(box, own, foreign)])


async def _place(box: WebBox, admin: Subject, team_id: str, slug: str, name: str) -> Place:
    made = await box.services.teams.create_application(admin, CreateApplication(name=name, team_id=team_id))
    instance = await box.services.instances.create(admin, CreateInstance(name=name, application_id=made.id))
    snapshot = await box.services.snapshots.create(admin, instance.id, CreateSnapshot(name=name))
    return Place(team_id, slug, made.id, instance.id, name, snapshot.id)


async def _people(box: WebBox, own: Place, foreign: Place) -> AsyncIterator[Who]:
    yield Who("nobody", None, kind="none")
    yield Who("made up", "ffpat_" + "x" * 43, kind="none")
    browser = box.browser()
    await browser.login()
    session = browser.cookies["__Host-weir_sid"]
    yield Who("session", None, kind="none", cookie=f"__Host-weir_sid={session}")
    yield Who("session id as token", session, kind="none")
    for role in (Role.NONE, D, V, M, O):
        person = await box.person(f"p{int(role)}", role)
        yield Who(role.name, await box.token(person), own=role)
    owner = await _owner(box, "both", own.team, foreign.team)
    yield Who("owner of both", await box.token(owner), own=O, foreign=O)
    yield Who("read only", await box.token(owner, read_only=True), own=O, foreign=O, read_only=True)
    yield Who("narrowed", await box.token(owner, team_ids=[foreign.team]), own=Role.NONE, foreign=O, narrowed=True)
    chief = await box.person("chief", Role.NONE, admin=True)
    yield Who("admin", await box.token(chief, admin_opt_in=True), own=A, foreign=A, admin=True)
    reads = await box.token(chief, admin_opt_in=True, read_only=True)
    yield Who("admin, reads", reads, own=A, foreign=A, admin=True, read_only=True)
    yield Who("admin, not opted in", await box.token(chief))
    narrow = await box.token(chief, admin_opt_in=True, team_ids=[own.team])
    yield Who("admin, narrowed", narrow, own=A, foreign=Role.NONE, narrowed=True)
    instance = await box.services.instances.get(own.instance)
    grant = await box.boot(instance)
    yield Who("launcher", grant.token, kind="launcher")
    yield Who("node_red", grant.node_red_token, kind="node_red")
    yield Who("published", await _published(box, own.instance), kind="published")
    # The most powerful person there is: what his editor holds is worth no more for it.
    editor = await _editor(box, grant, instance.ports["public"], await _owner(box, "boss", own.team, admin=True))
    yield Who("editor", editor.access_token, kind="editor", own=O)
    yield Who("refresh", editor.refresh_token, kind="none")


async def _owner(box: WebBox, name: str, *team_ids: str, admin: bool = False) -> User:
    person = await box.person(name, Role.NONE, admin=admin)
    for team_id in team_ids:
        await _give(box, team_id, person.id, O)
    return person


async def _give(box: WebBox, team_id: str, user_id: str, role: Role) -> None:
    def work(tx: Tx) -> None:
        teams.set_role(tx, team_id, user_id, role)

    await box.context.store.write(work)


async def _published(box: WebBox, instance_id: str) -> str:
    """As `Tokens.mint_run` makes it, without ending what the others here hold."""
    secret = new_token("fft")
    row = TokenRow(
        id=new_id(),
        kind=Kind.PUBLISHED,
        hash=token_hash(secret),
        created_at=1,
        instance_id=instance_id,
        generation=1,
    )
    await box.context.store.write(lambda tx: tokens.add(tx, row))
    return secret


async def _editor(box: WebBox, grant: Any, port: int, user: User) -> Any:
    verifier = "v" * 43
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    redirect = f"https://{HOST.partition(':')[0]}:{port}/auth/strategy/callback"
    query = {"response_type": "code", "client_id": grant.client_id, "redirect_uri": redirect, "scope": "editor-1.0"}
    query |= {"state": "s", "code_challenge": digest, "code_challenge_method": "S256"}
    request = await box.services.oauth.begin(query, box.services.names())
    location = await box.services.oauth.complete(request.id, user)
    code = parse_qs(urlsplit(location).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
    return await box.services.oauth.exchange(
        {**form, "client_id": grant.client_id, "client_secret": grant.client_secret}
    )


def _all() -> Any:
    from appliance.schema.common import Page

    return Page()


def expected(row: Row, who: Who, *, own: bool) -> int:
    """0 for "let in", else the status of the refusal."""
    if row.kinds:
        if who.kind not in row.kinds:
            return 401
        return 0 if own else 404
    if who.kind in row.also:
        return row.also[who.kind] if own else 404
    if who.kind in ("none", "launcher", "node_red", "published"):
        return 401
    if who.kind == "editor" and not row.editor:
        return 403
    return _for_user(row, who, own=own)


def _for_user(row: Row, who: Who, *, own: bool) -> int:
    role = who.own if own else who.foreign
    about_a_team = row.of in ABOUT_A_TEAM
    if about_a_team and role is Role.NONE:
        return 404
    if (who.read_only and not row.read) or (who.narrowed and row.account):
        return 403
    if row.role is A:
        return 0 if who.admin or (about_a_team and role is A) else 403
    assert row.role is not None
    return 403 if about_a_team and role < row.role else 0


def _cases(world: World) -> Iterator[tuple[str, Row, Who, bool]]:
    for key, row in TABLE.items():
        for who in world.people:
            yield key, row, who, False
            yield key, row, who, True


async def _catalogue(box: WebBox) -> dict[str, str]:
    stacks = (await box.services.stacks.list(_all())).stacks
    templates = (await box.services.stacks.templates(_all())).templates
    types = (await box.services.stacks.types(_all())).types
    return {"stack": stacks[0].id, "template": templates[0].id, "type": types[0].id}


def test_the_table_is_whole() -> None:
    served = {f"{r.method} {r.path}" for r in ROUTES if r.auth not in OPEN}
    assert served == {*TABLE, LEAVES, *ONLY_ON_THE_SOCKET}


@pytest.mark.timeout(300)
async def test_everybody_gets_what_is_his_and_nothing_else(world: World) -> None:
    catalogue = await _catalogue(world.box)
    wrong = []
    for key, row, who, own in _cases(world):
        status, text = await world.ask(who, key, world.own if own else world.foreign, catalogue)
        wanted = expected(row, who, own=own)
        if key == "GET /account/check/{kind}/{owner}" and wanted == 404:
            wanted = 401  # this one says 401 to whoever is not that owner
        let_in = status not in REFUSED or (key.startswith("DELETE") and "box/names" in key and status == 404)
        let_in = let_in or "There is no such kept deploy." in text or any(words in text for words in INSIDE)
        if (not let_in if wanted == 0 else status != wanted) or (wanted == 0 and status >= 500 and status != 503):
            wrong.append(f"{who.name}: {key} ({'own' if own else 'foreign'}): {status}, not {wanted}: {text[:80]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(300)
async def test_what_may_not_be_seen_is_answered_like_what_is_not_there(world: World) -> None:
    """Word for word: otherwise ids, names and slugs of other teams could be tried out."""
    nothing = Place(*([ABSENT] * 6))
    catalogue = await _catalogue(world.box)
    told = []
    for key, row in TABLE.items():
        for who in world.people:
            if row.of not in ABOUT_A_TEAM or row.kinds:
                continue
            if expected(row, who, own=False) != 404:
                continue
            foreign = await world.ask(who, key, world.foreign, catalogue)
            absent = await world.ask(who, key, nothing, catalogue)
            if _without_names(foreign, world.foreign) != _without_names(absent, nothing):
                told.append(f"{who.name}: {key}: {foreign} {absent}")
    assert not told, "\n".join(told)


def _without_names(answer: tuple[int, str], place: Place) -> tuple[int, str]:
    text = re.sub(r'"instance":"[0-9a-f]{16}"', "", answer[1])  # the number of the request
    for value in sorted(_values(place).values(), key=len, reverse=True):
        text = text.replace(f"'{value}'", "''")
    return answer[0], text


async def test_lists_hold_only_what_the_credential_may_see(world: World) -> None:
    """Routes that name nothing: the answers themselves are looked through for the other team."""
    lists = [f"{API}/instances", f"{API}/box/status", f"{API}/user/teams", f"{API}/teams"]
    seen = []
    for who in world.people:
        for path in lists:
            status, text = await world.ask(who, f"GET {path}", world.own, {})
            for role, place in ((who.own, world.own), (who.foreign, world.foreign)):
                if status == 200 and role is Role.NONE and (place.instance in text or place.team in text):
                    seen.append(f"{who.name}: {path} tells of {place.name}")
    assert not seen, "\n".join(seen)


async def test_pages_look_at_the_cookie_alone(world: World) -> None:
    """A bearer token opens no page, and no page answers with somebody's instances but the session's own."""
    for who in world.people:
        status, text = await world.ask(who, "GET /", world.own, {})
        assert status == (200 if who.cookie else 303), who.name
        assert ("theirs" in text) is bool(who.cookie), who.name


async def test_some_things_are_done_on_the_socket_only(world: World) -> None:
    me = (await world.box.services.accounts.root()).user_id
    alone = [(key, body, 404 if key.startswith("PUT") else 200) for key, body in ONLY_ON_THE_SOCKET.items()]
    for key, body, wanted in (*alone, *BY_PEOPLE_ONLY):
        method, _, path = key.replace("{id}", str(me)).partition(" ")
        for who in world.people:
            async with world.box.client("web", who.token).request(method, path, json=body) as answer:
                assert answer.status in (401, 403), (who.name, key, body)
        async with world.box.client("api").request(method, path, json=body) as answer:
            assert answer.status == wanted, key


async def test_whoever_deletes_his_account_has_none(world: World) -> None:
    for who in world.people:
        row = Row(role=Role.NONE, account=True)
        status, text = await world.ask(who, LEAVES, world.own, {})
        wanted = expected(row, who, own=True)
        stays = "is the only owner of" in text
        assert status == (wanted or (400 if stays else 200)), (who.name, status, text)
        if wanted == 0 and not stays:
            assert (await world.ask(who, f"GET {API}/user", world.own, {}))[0] == 401, who.name
        if who.name == "read only":
            break  # the tokens after it belong to people who are gone by now


async def test_settings_are_shown_to_everybody_as_far_as_he_may(world: World) -> None:
    for who in world.people:
        status, text = await world.ask(who, f"GET {API}/settings", world.own, {})
        bad = who.kind == "none" and who.token is not None
        assert status == (401 if bad else 200), (who.name, text)
        if not bad:
            user = who.kind == "user"
            seen = json.loads(text)
            assert "user:signup" in seen and ("team:create" in seen) is user, who.name
            assert ("platform:stats:token" in seen) is (who.admin and not who.narrowed), who.name


async def test_a_new_kind_of_credential_is_worth_nothing_by_itself(world: World) -> None:
    """Boot tickets and client secrets look like tokens; they open no route."""
    ticket = await world.box.services.tokens.mint_ticket(world.own.instance, 2)
    for secret in (ticket, world.box.services.tokens.api_secret(world.own.instance, 1)):
        who = replace(world.people[1], name=secret[:4], token=secret)
        for key in TABLE:
            assert (await world.ask(who, key, world.own, {}))[0] == 401, key
