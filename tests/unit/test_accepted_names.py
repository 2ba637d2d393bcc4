"""Accepted names: what can be added, by whom, what is kept, and who hears of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from appliance.auth.permissions import PERMISSIONS
from appliance.config import Config, Ingress, Listen
from appliance.errors import Conflict, Invalid, NotFound, WeirError
from appliance.model import Role
from appliance.schema.audit import AuditEntry
from appliance.schema.box import BoxName
from appliance.schema.common import AuditQuery
from appliance.services import accepted
from appliance.services.accepted import Accepted, AcceptedNames
from appliance.services.redirects import allowed
from appliance.store import box
from appliance.system.access import access_of
from tests.service_rig import Rig, service_rig
from tests.web_box import API, WebBox, web_box

CONFIG = Config(listen=Listen(https=8443), ingress=Ingress(names=["plant.example:9443"]))
OWN = ["plant.example:9443", "pi4:8443", "pi4.local:8443", "10.0.0.7:8443", "localhost:8443", "127.0.0.1:8443"]
OWN += ["[::1]:8443"]
PORTS = access_of(CONFIG)


class Desk(Struct):
    """The service, the names it keeps, and the box around them."""

    rig: Rig
    names: AcceptedNames
    service: Accepted

    async def add(self, text: str) -> BoxName:
        return await self.service.add(self.rig.admin, text)

    async def remove(self, text: str) -> None:
        await self.service.remove(self.rig.admin, text)

    def added(self) -> list[str]:
        return list(self.names.authorities())[len(OWN) :]

    async def entries(self) -> list[AuditEntry]:
        query = AuditQuery(event=["platform.settings.updated"])
        return (await self.rig.audit.page("platform", None, query)).log

    def again(self) -> Desk:
        """As after a restart of the appliance: the same database, an empty memory."""
        return _desk(self.rig)


def _desk(rig: Rig) -> Desk:
    names = AcceptedNames(CONFIG, host=lambda: "pi4", addresses=lambda: ["10.0.0.7"])
    context = replace(rig.context, config=CONFIG, names=names.authorities)
    return Desk(rig, names, Accepted(context, rig.audit, names))


@pytest.fixture
async def desk(home: Path) -> AsyncIterator[Desk]:
    async with service_rig(home, config=CONFIG) as rig:
        yield _desk(rig)


async def test_added_names_come_last_and_survive(desk: Desk) -> None:
    """Last: the address that the box shows of itself stays."""
    assert list(desk.names.authorities()) == OWN
    assert await desk.add(" Plant.Other ") == BoxName(name="plant.other", port=None, source="added")
    assert await desk.add("[2001:db8::7]:443") == BoxName(name="2001:db8::7", port=443, source="added")
    assert list(desk.names.authorities()) == [*OWN, "plant.other:8443", "[2001:db8::7]"]
    after = desk.again()
    assert after.added() == []
    await after.service.load()
    assert after.added() == ["plant.other:8443", "[2001:db8::7]"]


async def test_the_list_says_who_names_each(desk: Desk) -> None:
    await desk.add("plant.other:8444")
    listed = desk.service.all()
    assert listed.count == len(listed.names) == len(OWN) + 1
    assert listed.names[0] == BoxName(name="plant.example", port=9443, source="config")
    assert {name.source for name in listed.names[1:-1]} == {"box"}
    assert listed.names[-1] == BoxName(name="plant.other", port=8444, source="added")


@pytest.mark.parametrize(
    ("text", "source"),
    [("plant.example:9443", "config"), ("PI4.local.", "box"), ("pi4:8443", "box"), ("[::1]", "box")],
)
async def test_a_name_that_is_there_already_is_not_kept_too(desk: Desk, text: str, source: str) -> None:
    """Also when it is written otherwise: 8443 is the port that nginx listens on."""
    assert (await desk.add(text)).source == source
    assert desk.added() == []
    assert await desk.entries() == []


async def test_adding_twice_changes_nothing(desk: Desk) -> None:
    first = await desk.add("plant.other")
    assert await desk.add("PLANT.other:8443") == first
    assert desk.added() == ["plant.other:8443"]
    assert len(await desk.entries()) == 1


async def test_the_same_name_with_another_port_is_another(desk: Desk) -> None:
    await desk.add("plant.example")
    await desk.add("plant.example:9444")
    assert desk.added() == ["plant.example:8443", "plant.example:9444"]


async def test_removed_names_are_gone_for_good(desk: Desk) -> None:
    for text in ("a.example", "b.example:8444", "c.example"):
        await desk.add(text)
    await desk.remove("B.example:8444")
    assert desk.added() == ["a.example:8443", "c.example:8443"]
    after = desk.again()
    await after.service.load()
    assert after.added() == desk.added()


@pytest.mark.parametrize("text", ["", "a b", "https://x.example", "x.example:0", "1.2.3.4.5", "*.example", "x" * 9999])
async def test_what_is_no_name_changes_nothing(desk: Desk, text: str) -> None:
    for call in (desk.add, desk.remove):
        with pytest.raises(Invalid) as caught:
            await call(text)
        assert (caught.value.code, caught.value.status) == ("invalid_name", 400)
        assert caught.value.hint
        assert len(str(caught.value)) < 400
    assert desk.added() == []
    assert await desk.entries() == []


@pytest.mark.parametrize(
    ("text", "kind", "said", "hint"),
    [
        ("plant.example:9443", Conflict, "is named in config.toml", "ingress.names"),
        ("localhost", Conflict, "is a name of the box itself", "by itself"),
        ("10.0.0.7:8443", Conflict, "is a name of the box itself", "by itself"),
        ("nobody.example", NotFound, "was not added", "weir name list"),
        ("other.example", NotFound, "was not added", "Did you mean other.example:8444?"),
    ],
)
async def test_only_added_names_can_be_removed(
    desk: Desk, text: str, kind: type[WeirError], said: str, hint: str
) -> None:
    await desk.add("other.example:8444")
    before = list(desk.names.authorities())
    with pytest.raises(kind, match=said) as caught:
        await desk.remove(text)
    assert hint in caught.value.hint
    assert list(desk.names.authorities()) == before
    assert len(await desk.entries()) == 1


async def test_a_name_that_became_the_boxs_own_can_still_be_taken_back(desk: Desk) -> None:
    await desk.rig.context.store.write(lambda tx: box.set_names(tx, ["pi4", "a.example"]))
    await desk.service.load()
    await desk.remove("pi4")
    assert list(desk.names.authorities()) == [*OWN, "a.example:8443"]
    with pytest.raises(Conflict):
        await desk.remove("pi4")


async def test_there_is_a_bound(desk: Desk) -> None:
    for number in range(accepted.MOST):
        await desk.add(f"n{number}.example")
    with pytest.raises(Invalid, match="64 names") as caught:
        await desk.add("one.more")
    assert "weir name remove" in caught.value.hint
    assert (await desk.add("n7.example")).source == "added"
    await desk.remove("n7.example")
    await desk.add("one.more")
    assert len(desk.added()) == accepted.MOST


async def test_many_at_once_lose_none(desk: Desk) -> None:
    await asyncio.gather(*(desk.add(f"n{number}.example") for number in range(20)))
    assert len(desk.added()) == 20
    await asyncio.gather(*(desk.remove(f"n{number}.example") for number in range(0, 20, 2)))
    after = desk.again()
    await after.service.load()
    assert after.added() == desk.added() == [f"n{number}.example:8443" for number in range(1, 20, 2)]


async def test_every_change_is_in_the_audit_log(desk: Desk) -> None:
    await desk.add("plant.other:8444")
    await desk.remove("plant.other:8444")
    removed, added = await desk.entries()
    assert (added.scope.type, added.scope.id, added.trigger.name) == ("platform", None, "admin")
    update = {"key": "ingress.names", "old": None, "new": "plant.other:8444", "dif": "created"}
    assert added.body == {"updates": [update]}
    assert removed.body == {"updates": [{**update, "old": "plant.other:8444", "new": None, "dif": "deleted"}]}


async def test_others_hear_of_it_once_it_is_stored(desk: Desk) -> None:
    heard: list[list[str]] = []
    desk.rig.context.bus.listen(lambda event: heard.append(desk.added()) if event.kind == accepted.CHANGED else None)
    await desk.add("a.example")
    await desk.add("a.example")
    await desk.remove("a.example")
    assert heard == [["a.example:8443"], []], "whoever hears of it finds the names in force"


async def test_one_that_cannot_be_used_keeps_nobody_from_starting(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.rig.context.store.write(lambda tx: box.set_names(tx, ["not a name", "a.example"]))
    with caplog.at_level(logging.WARNING):
        await desk.service.load()
    assert "not a name" in caplog.text
    await desk.add("b.example")
    assert desk.added() == ["a.example:8443", "b.example:8443"]
    assert await desk.rig.context.store.read(box.names) == ["not a name", "a.example", "b.example"]


async def test_an_editor_may_return_under_an_added_name_only(desk: Desk) -> None:
    """The rule for redirects reads the names anew each time; the platform's external port is not the instance's."""
    back = "https://plant.other:10007/auth/strategy/callback"
    assert back not in allowed(PORTS.bases(desk.names.authorities(), 7, "line"), "")
    await desk.add("plant.other:8444")
    assert back in allowed(PORTS.bases(desk.names.authorities(), 7, "line"), "")
    await desk.remove("plant.other:8444")
    assert back not in allowed(PORTS.bases(desk.names.authorities(), 7, "line"), "")


# over HTTP


@pytest.fixture
async def web(home: Path) -> AsyncIterator[WebBox]:
    async with web_box(home) as found:
        yield found


async def ask(client: Any, method: str, path: str, body: object = None) -> tuple[int, Any]:
    async with client.request(method, f"{API}{path}", json=body) as answer:
        return answer.status, await answer.json()


async def test_over_the_api(web: WebBox) -> None:
    client = web.client("api")
    made = {"name": "2001:db8::7", "port": 8444, "source": "added"}
    assert await ask(client, "POST", "/box/names", {"name": "[2001:db8::7]:8444"}) == (200, made)
    status, listed = await ask(client, "GET", "/box/names")
    assert (status, listed["count"], listed["names"][-1]) == (200, len(listed["names"]), made)
    status, refused = await ask(client, "DELETE", "/box/names/localhost")
    assert (status, refused["code"]) == (409, "name_not_added")
    assert await ask(client, "DELETE", "/box/names/%5B2001%3Adb8%3A%3A7%5D%3A8444") == (200, {"status": "okay"})
    assert (await ask(client, "DELETE", "/box/names/2001%3Adb8%3A%3A7"))[0] == 404


@pytest.mark.parametrize("body", [{}, {"name": 7}, {"name": None}, {"name": ""}, {"name": "x y"}, []])
async def test_bad_bodies_are_refused(web: WebBox, body: object) -> None:
    status, refused = await ask(web.client("api"), "POST", "/box/names", body)
    assert status == 400
    assert refused["error"]


async def test_only_administrators_change_names(web: WebBox) -> None:
    assert PERMISSIONS["settings:edit"].role is Role.ADMIN
    owner = web.client("tcp", await web.token(await web.person("olga", Role.OWNER)))
    assert (await ask(owner, "GET", "/box/names"))[0] == 200
    assert (await ask(owner, "POST", "/box/names", {"name": "plant.other"}))[0] == 403
    assert (await ask(owner, "DELETE", "/box/names/plant.other"))[0] == 403
    nobody = web.client("tcp")
    for method, path in (("GET", "/box/names"), ("POST", "/box/names"), ("DELETE", "/box/names/plant.other")):
        assert (await ask(nobody, method, path, {"name": "plant.other"} if method == "POST" else None))[0] == 401
    assert "plant.other" not in str(await ask(owner, "GET", "/box/names"))
