"""The database of people: the migration with data in it, limits of team types, what crashes tell people."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.auth import common, passwords
from appliance.errors import Invalid
from appliance.model import Role
from appliance.store import migrations
from appliance.store.migrate import ensure_schema
from appliance.store.schema_version import HEAD
from tests.people_box import People, people_box

OLD = """
from pathlib import Path
import sys
from alembic import command
from alembic.config import Config
config = Config()
config.set_main_option("script_location", sys.argv[2])
config.attributes["database"] = Path(sys.argv[1])
command.upgrade(config, "0002")
"""


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


def test_teams_of_an_older_box_get_a_type(tmp_path: Path) -> None:
    database = tmp_path / "weir.db"
    database.touch()
    directory = str(Path(migrations.__file__).parent)
    subprocess.run([sys.executable, "-c", OLD, str(database), directory], check=True, timeout=60)
    connection = sqlite3.connect(database)
    connection.execute(
        "INSERT INTO teams (id, name, slug, suspended, properties, created_at, updated_at)"
        " VALUES ('teamteam01', 'Home', 'home', 0, '{}', 7, 7)"
    )
    connection.execute(
        "INSERT INTO users (id, username, username_lower, name, email, email_lower, email_verified, password_hash,"
        " password_expired, admin, suspended, created_at, updated_at)"
        " VALUES ('useruser01', 'ann', 'ann', 'Ann', 'a@b', 'a@b', 1, 'x', 0, 1, 0, 7, 7)"
    )
    connection.commit()
    connection.close()
    ensure_schema(database)
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    typed = "SELECT t.name, k.name, k.active FROM teams t JOIN team_types k ON k.id = t.type_id"
    assert connection.execute(typed).fetchall() == [("Home", "starter", 1)]
    assert connection.execute("SELECT username, tcs_accepted_at FROM users").fetchall() == [("ann", None)]
    connection.close()
    assert len(list((tmp_path / "backups").iterdir())) == 1


async def test_the_type_of_a_team_limits_its_instances(people: People) -> None:
    first = await people.box.instance("first")
    kind = first.project_type.id

    async def limited(properties: dict[str, object]) -> str:
        types = (await people.root.ok("GET", "/team-types"))["types"]
        await people.root.ok("PUT", f"/team-types/{types[0]['id']}", {"properties": properties})
        body = {"name": "second", "applicationId": first.application.id}
        answer = await people.root("POST", "/projects", body)
        return str(answer.json.get("code", "made"))

    assert await limited({"runtimes": {"limit": 1}}) == "instance_limit_reached"
    assert await limited({"instances": {kind: {"active": True, "limit": 1}}}) == "instance_limit_reached"
    assert await limited({"instances": {"another": {"active": True}}}) == "invalid_project_type"
    assert await limited({"instances": {kind: {"active": True, "creatable": False}}}) == "invalid_project_type"
    assert await limited({"runtimes": {"limit": -1}, "instances": {kind: {"active": True}}}) == "made"


async def test_nothing_is_made_in_a_suspended_team_not_even_by_administrators(people: People) -> None:
    first = await people.box.instance("first")
    await people.root.ok("PUT", f"/teams/{people.team}", {"suspended": True})
    body = {"name": "second", "applicationId": first.application.id}
    assert (await people.root("POST", "/projects", body)).code == "invalid_team"


async def test_members_are_told_of_crashes_once_while_they_do_not_read(people: People) -> None:
    member, viewer = await people.add("member", Role.MEMBER), await people.add("viewer", Role.VIEWER)
    plant = await people.box.instance("plant")
    grant = await people.box.boot(plant)
    for token, count in ((grant.token, 3), (grant.node_red_token, 5)):
        client = people.box.client("tcp", token)
        for _ in range(count):
            async with client.post(f"/logging/{plant.id}/audit", json={"event": "crashed"}) as answer:
                assert answer.status == 200
    (told,) = (await member.ok("GET", "/user/notifications"))["notifications"]
    assert (told["type"], told["data"]["instance"]["name"]) == ("instance-crashed", "plant")
    assert told["data"]["meta"]["counter"] == 3, "the launcher's word, not the flow's"
    assert (await viewer.ok("GET", "/user/notifications"))["count"] == 0


# Passwords


@pytest.mark.parametrize(
    "bad",
    [
        *("password", "Password1!", "P4ssw0rd", "passwordpassword", "password password", "qwertyuiop", "Qwertz123"),
        *("12345678", "87654321", "abcdefgh", "11111111", "abcabcabc", "letmein99", "raspberry1", "iloveyou2"),
        *("admin123", "31415926"),
    ],
)
def test_what_everybody_tries_is_refused(bad: str) -> None:
    assert common.is_common(bad) or len(set(bad)) < 4
    with pytest.raises(Invalid) as refused:
        passwords.check_new(bad, username="ann", email="ann@example.com")
    assert refused.value.code == "password_change_failed_too_weak"


@pytest.mark.parametrize(
    "good",
    ["correct horse battery", "Zx9!kPq2", "tr0ub4dor&3", "k3m9-abcd-2222-wxyz", "sunshine over dresden", "ωμέγα-πόλη"],
)
def test_what_people_think_up_themselves_is_taken(good: str) -> None:
    passwords.check_new(good, username="ann", email="ann@example.com")


def test_a_made_password_is_always_good() -> None:
    for _ in range(300):
        passwords.check_new(passwords.new_password(), username="ann", email="ann@example.com")


@pytest.mark.parametrize("bad", ["christine", "Christine99!", "christine@plant.example", "1christine1"])
def test_a_password_is_not_the_name_of_its_user(bad: str) -> None:
    with pytest.raises(Invalid) as refused:
        passwords.check_new(bad, username="christine", email="christine@plant.example")
    assert refused.value.code == "password_change_failed"
