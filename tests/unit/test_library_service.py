"""The library of a team: what is saved comes back, under any name, and nothing is lost by a wrong request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.errors import Invalid, NotFound, TooMany
from appliance.model import Subject
from appliance.schema.common import AuditQuery, Page
from appliance.schema.library import MoveEntry, SaveEntry
from appliance.services import team_library
from appliance.services.team_library import TeamLibrary
from appliance.services.team_life import TeamLife
from appliance.store import team_library as stored
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.team_library import Shared
from tests.service_rig import Rig, service_rig

NASTY = ["50% _off_", "..", "a/../b", "C:\\x", "'; DROP TABLE teams; --", "名前 🏭", "<b>&amp;", " x ", "%2F", "a?b#c"]


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as made:
        yield made


class Shelf:
    """The library of the first team, used by its administrator."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.team = rig.made.team_id
        self.library = TeamLibrary(rig.context, rig.audit)

    async def save(self, name: str, body: object = "return msg;", kind: str = "functions") -> None:
        await self.library.save(self.rig.admin, self.team, SaveEntry(name=name, type=kind, body=body))

    async def names(self, **page: object) -> list[str]:
        found = await self.library.entries(self.team, Page(**page), None)  # type: ignore[arg-type]
        return [each.name for each in found.entries]

    async def list_at(self, path: str) -> object:
        return json.loads((await self.library.at(self.team, path, None)).body)

    async def events(self) -> list[str]:
        found = await self.rig.audit.page("team", self.team, AuditQuery())
        return [each.event for each in found.log if each.event.startswith("team.library")]


@pytest.fixture
def shelf(rig: Rig) -> Shelf:
    return Shelf(rig)


@pytest.mark.parametrize("name", NASTY)
async def test_a_name_is_text_and_no_path_of_a_file(shelf: Shelf, name: str) -> None:
    await shelf.save(name, f"// {name}")
    found = await shelf.library.at(shelf.team, name, "functions")
    assert (found.body.decode(), found.json, found.kind) == (f"// {name}", False, "functions")
    assert await shelf.names() == [name]
    assert (await shelf.library.remove(shelf.rig.admin, shelf.team, name, None)).delete_count == 1


@pytest.mark.parametrize("name", ["", "/", "a//b", "a\nb", "\0", "x" * 1025, "\ud800"])
async def test_what_is_no_name_is_refused_and_deletes_nothing(shelf: Shelf, name: str) -> None:
    await shelf.save("kept")
    for attempt in (
        shelf.save(name),
        shelf.library.remove(shelf.rig.admin, shelf.team, name, None),
        shelf.library.move(shelf.rig.admin, shelf.team, MoveEntry(name="kept", to=name)),
    ):
        with pytest.raises(Invalid) as error:
            await attempt
        assert error.value.code == "invalid_name"
    assert await shelf.names() == ["kept"]


async def test_folders_are_what_paths_begin_with(shelf: Shelf) -> None:
    for name in ("pumps/a", "pumps/deep/b", "pumps_c", "top"):
        await shelf.save(name)
    root = await shelf.list_at("/")
    assert isinstance(root, list) and root[0] == "pumps" and [each["fn"] for each in root[1:]] == ["pumps_c", "top"]
    inside = await shelf.list_at("pumps/")
    assert isinstance(inside, list) and inside[0] == "deep" and inside[1]["type"] == "functions"
    assert await shelf.list_at("nowhere") == []


async def test_an_entry_is_no_folder(shelf: Shelf) -> None:
    await shelf.save("a/b")
    for name in ("a", "a/b/c"):
        with pytest.raises(Invalid) as error:
            await shelf.save(name)
        assert error.value.code == "invalid_name"
    await shelf.save("a/b", [{"id": "n"}], "flows")  # another kind, the same path
    assert await shelf.names() == ["a/b", "a/b"]


async def test_flows_are_a_list_of_nodes(shelf: Shelf) -> None:
    with pytest.raises(Invalid):
        await shelf.save("f", {"id": "n"}, "flows")
    await shelf.save("f", [{"id": "n"}], "flows")
    found = await shelf.library.at(shelf.team, "f", None)
    assert found.json and json.loads(found.body) == [{"id": "n"}]


async def test_folders_move_into_themselves_and_out_again(shelf: Shelf) -> None:
    for name in ("a/1", "a/a/1", "z"):
        await shelf.save(name, name)
    assert (await shelf.library.move(shelf.rig.admin, shelf.team, MoveEntry(name="a", to="a/a"))).count == 2
    assert await shelf.names() == ["a/a/1", "a/a/a/1", "z"]
    await shelf.library.move(shelf.rig.admin, shelf.team, MoveEntry(name="a/a", to="a"))
    assert await shelf.names() == ["a/1", "a/a/1", "z"]
    assert (await shelf.library.at(shelf.team, "a/a/1", None)).body == b"a/a/1"
    for taken in ("z", "z/inside"):
        with pytest.raises(Invalid) as error:
            await shelf.library.move(shelf.rig.admin, shelf.team, MoveEntry(name="a/1", to=taken))
        assert error.value.code == "invalid_name"
    with pytest.raises(NotFound):
        await shelf.library.move(shelf.rig.admin, shelf.team, MoveEntry(name="nothing", to="b"))


async def test_changes_are_on_record_and_repeats_are_none(shelf: Shelf) -> None:
    await shelf.save("a")
    await shelf.save("a")
    await shelf.save("a", "other")
    await shelf.library.move(shelf.rig.admin, shelf.team, MoveEntry(name="a", to="b"))
    await shelf.library.remove(shelf.rig.admin, shelf.team, "b", None)
    saved = ["team.library.saved"] * 2
    assert await shelf.events() == ["team.library.deleted", "team.library.moved", *saved]


async def test_a_full_library_takes_no_more_and_may_be_made_smaller(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(team_library, "MOST_BYTES", 100)
    await shelf.save("a", "x" * 90)
    with pytest.raises(Invalid, match="is full"):
        await shelf.save("b", "y" * 20)
    with pytest.raises(Invalid, match="is full"):
        await shelf.save("a", "x" * 101)
    await shelf.save("a", "x" * 80)
    await shelf.save("b", "y" * 20)


async def test_a_flow_does_not_fill_log_and_library_as_fast_as_the_disk(shelf: Shelf) -> None:
    flow = Subject(kind="node_red", instance_id="one", team_id=shelf.team)
    for number in range(team_library.SAVES_AT_ONCE):
        await shelf.library.save(flow, shelf.team, SaveEntry(name="same", type="functions", body=f"// {number}"))
    with pytest.raises(TooMany):
        await shelf.library.save(flow, shelf.team, SaveEntry(name="more", type="functions", body="x"))
    await shelf.save("by-a-person")
    assert await shelf.names() == ["by-a-person", "same"]


async def test_moving_half_of_a_full_library_holds_up_no_deploy(shelf: Shelf) -> None:
    """All other writes of the box wait for it: 9 s when each entry was compared with each other one."""

    def fill(tx: Tx) -> None:
        for number in range(10_000):
            name = f"{'ab'[number % 2]}/{number}"
            row = Shared(id=new_id(), type="flows", name=name, meta={}, bytes=0, updated_at=1, body="[]")
            stored.add(tx, shelf.team, row)

    await shelf.rig.context.store.write(fill)
    async with asyncio.timeout(3):
        moved = await shelf.library.move(shelf.rig.admin, shelf.team, MoveEntry(name="a", to="c"))
    assert moved.count == 5000


async def test_the_size_is_in_bytes_and_folders_end_somewhere(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team_library, "MOST_BYTES", 100)
    with pytest.raises(Invalid, match="is full"):
        await shelf.save("a", "🏭" * 26)
    await shelf.save("a", "🏭" * 25)
    with pytest.raises(Invalid):
        await shelf.save("/".join("x" * (team_library.DEEPEST + 1)))


@pytest.mark.parametrize(
    ("to", "said"), [("b/c", "is in the way"), ("b/c/d/e", "is in the way"), ("b", "is in the way")]
)
async def test_a_move_makes_no_entry_a_folder(shelf: Shelf, to: str, said: str) -> None:
    for name in ("a", "b-1", "b/c/d", "b0"):
        await shelf.save(name, name)
    with pytest.raises(Invalid, match=said):
        await shelf.library.move(shelf.rig.admin, shelf.team, MoveEntry(name="a", to=to))
    assert await shelf.names() == ["a", "b-1", "b/c/d", "b0"]


async def test_a_deleted_team_leaves_its_library(shelf: Shelf) -> None:
    team, _ = await shelf.rig.team("other")
    await shelf.library.save(shelf.rig.admin, team, SaveEntry(name="pumps/a", type="flows", body=[{"id": "n"}]))
    await TeamLife(shelf.rig.context, shelf.rig.audit).remove(shelf.rig.admin, team)
    (left,) = (shelf.rig.context.home.state / "deleted").iterdir()
    assert left.stat().st_mode & 0o777 == 0o600 and left.name.startswith("team-other-")
    assert json.loads(left.read_bytes())["library"] == [
        {"name": "pumps/a", "type": "flows", "meta": {}, "body": '[{"id":"n"}]'}
    ]


async def test_pages_follow_a_cursor_or_numbers(shelf: Shelf) -> None:
    for number in range(5):
        await shelf.save(f"n{number}")
    first = await shelf.library.entries(shelf.team, Page(limit=2), None)
    assert [each.name for each in first.entries] == ["n0", "n1"]
    assert await shelf.names(limit=2, cursor=first.meta.next_cursor) == ["n2", "n3"]
    assert await shelf.names(page=2, limit=2, sort="name", dir="desc") == ["n2", "n1"]
    assert await shelf.names(query="N4") == ["n4"]
    with pytest.raises(Invalid, match="cursor"):
        await shelf.names(cursor="of-another")


async def test_another_team_has_another_library(shelf: Shelf) -> None:
    await shelf.save("a")
    other, _ = await shelf.rig.team("other")
    assert (await shelf.library.entries(other, Page(), None)).count == 0
    with pytest.raises(NotFound):
        await shelf.library.remove(shelf.rig.admin, other, "a", None)
