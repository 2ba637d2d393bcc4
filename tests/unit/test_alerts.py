"""What is told of problems: gathered, not twice, not for ever, and remembered over a start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from appliance.alerts import message, sender
from appliance.alerts.alerts import MOST_WAITING, Alerts
from appliance.alerts.message import PARTLY, Change, Digest
from appliance.alerts.sender import Way
from appliance.config import Alerts as Configured
from appliance.config import Mail, Mqtt, Webhook
from appliance.errors import Invalid, Unavailable
from appliance.events import Bus
from appliance.schema.box import Problem
from appliance.services.conditions import Conditions
from tests.support import eventually

WAYS = (Way("webhook one"), Way("mail two"))


class Post:
    """Takes digests, or refuses them."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Digest]] = {way.name: [] for way in WAYS}
        self.refuses: set[str] = set()
        self.code: str | None = None
        self.tries = 0

    async def send(self, way: Way, digest: Digest) -> None:
        self.tries += 1
        if way.name in self.refuses:
            raise Unavailable(f"{way.name}: the receiver is away", code=self.code)
        self.sent[way.name].append(digest)

    def told(self, name: str = "webhook one") -> list[list[str]]:
        return [[f"{'-' if c.over else '+'}{c.problem.key}" for c in each.changes] for each in self.sent[name]]


class World:
    """A registry of problems and who is told of them."""

    def __init__(self, file: Path, post: Post, *, every_s: float = 0.01, started_s: float = 60) -> None:
        self.bus = Bus()
        self.conditions = Conditions(lambda: datetime.now(UTC), self.bus)
        self.alerts = Alerts(
            WAYS,
            file=file,
            bus=self.bus,
            clock=lambda: datetime.now(UTC),
            box=lambda: "https://box.test",
            raise_condition=self.conditions.raise_,
            clear_condition=self.conditions.clear,
            settle_s=0.05,
            every_s=every_s,
            tries_s=(0.01, 0.02),
            started_s=started_s,
            send=post.send,
        )

    def problem(self, key: str) -> None:
        self.conditions.raise_(key, title=f"{key} is wrong", cause="because", next_step="mend it")

    def well(self, key: str) -> None:
        self.conditions.clear(key)


@asynccontextmanager
async def running(alerts: Alerts) -> AsyncIterator[None]:
    task = asyncio.create_task(alerts.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alerts.json"


async def test_problems_come_in_one_message_and_their_end_in_another(file: Path) -> None:
    post = Post()
    world = World(file, post)
    async with running(world.alerts):
        world.problem("disk_low")
        world.problem("memory_low")
        world.problem("disk_low")  # still
        await eventually(lambda: post.told("mail two"))
        world.well("disk_low")
        await eventually(lambda: len(post.told()) == 2)
    assert post.told() == post.told("mail two") == [["+disk_low", "+memory_low"], ["-disk_low"]]
    (first, second) = post.sent["webhook one"]
    assert "2 problems" in message.subject(first) and "over: disk_low is wrong" in message.subject(second)
    assert "what to do: mend it" in message.text(first) and "OVER: disk_low" in message.text(second)
    decoded = msgspec.json.decode(message.document(first))
    assert [each["event"] for each in decoded["changes"]] == ["raised", "raised"]
    assert decoded["changes"][0]["problem"]["nextStep"] == "mend it"


async def test_what_came_and_went_at_once_is_not_told(file: Path) -> None:
    post = Post()
    world = World(file, post)
    async with running(world.alerts):
        world.problem("flutter")
        world.well("flutter")
        world.problem("real")
        await eventually(lambda: post.told())
    assert post.told() == [["+real"]]


async def test_a_flood_becomes_one_message_that_counts(file: Path) -> None:
    post = Post()
    world = World(file, post, every_s=30)
    async with running(world.alerts):
        for number in range(MOST_WAITING + 50):
            world.problem(f"p{number}")
        await eventually(lambda: post.told())
        world.problem("later")
        assert world.alerts.status().waiting == 1
    (digest,) = post.sent["webhook one"]
    assert len(digest.changes) == MOST_WAITING and digest.dropped == 50
    assert f"and {MOST_WAITING - message.MOST + 50} more" in message.text(digest)


async def test_a_receiver_that_is_away_is_a_problem_and_holds_up_nobody_else(file: Path) -> None:
    post = Post()
    post.refuses = {"webhook one"}
    world = World(file, post)
    async with running(world.alerts):
        world.problem("disk_low")
        await eventually(lambda: post.told("mail two"))
        await eventually(lambda: post.tries >= 4)  # three tries, and the mail
        (own,) = [each for each in world.conditions.current() if each.key.startswith("alerts_failing")]
        assert "the receiver is away" in own.cause and "weir alerts test" in own.next_step
        assert world.alerts.status().failing == {"webhook one": "webhook one: the receiver is away"}
        post.refuses.clear()
        world.problem("memory_low")
        await eventually(lambda: post.told() == [["+memory_low"]], what="what was given up is not sent late")
        await eventually(lambda: not world.alerts.status().failing)
        assert [each.key for each in world.conditions.current()] == ["disk_low", "memory_low"]
    assert post.told("mail two") == [["+disk_low"], ["+memory_low"]], "nobody is told that telling fails"


async def test_a_message_that_some_have_is_not_sent_to_them_again(file: Path) -> None:
    post = Post()
    post.refuses, post.code = {"mail two"}, PARTLY
    world = World(file, post)
    async with running(world.alerts):
        world.problem("disk_low")
        await eventually(lambda: world.alerts.status().failing and post.told())
        post.refuses.clear()
        world.problem("memory_low")
        await eventually(lambda: post.told("mail two") and len(post.told()) == 2)
        await eventually(lambda: not world.alerts.status().failing)
    assert post.told("mail two") == [["+memory_low"]]
    assert post.tries == 4, "two messages for two receivers"


async def test_after_a_start_nobody_is_told_anything_anew(file: Path) -> None:
    post = Post()
    world = World(file, post)
    async with running(world.alerts):
        world.problem("disk_low")
        world.problem("memory_low")
        await eventually(lambda: post.told())
        await eventually(file.exists)
    assert private(file)
    again = Post()
    world = World(file, again, started_s=0.1)
    async with running(world.alerts):
        world.problem("disk_low")  # found again
        await eventually(lambda: again.told() == [["-memory_low"]], what="what was not found again is over")


def private(file: Path) -> bool:
    return file.stat().st_mode & 0o777 == 0o600


async def test_a_spoiled_memory_keeps_nobody_from_starting(file: Path) -> None:
    spoil(file)
    assert World(file, Post()).alerts.status().waiting == 0


def spoil(file: Path) -> None:
    file.write_text("nonsense")


async def test_a_test_says_who_took_it(file: Path) -> None:
    post = Post()
    post.refuses = {"mail two"}
    world = World(file, post)
    results = (await world.alerts.test()).results
    assert [(each.channel, each.error) for each in results] == [
        ("webhook one", ""),
        ("mail two", "mail two: the receiver is away"),
    ]
    assert post.sent["webhook one"][0].test


def test_what_came_and_went_and_came_is_told_once() -> None:
    def change(key: str, *, over: bool) -> Change:
        return Change(over, Problem(key=key, title=key, cause="", evidence="", next_step="", since="now"), "now")

    def kept(*changes: Change) -> list[tuple[str, bool]]:
        return [(each.problem.key, each.over) for each in message.merged(changes)]

    assert kept(change("a", over=False), change("a", over=True), change("a", over=False)) == [("a", False)]
    assert kept(change("a", over=True), change("b", over=False)) == [("a", True), ("b", False)]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (Configured(webhook=[Webhook("ftp://x")]), "alerts.webhook.url"),
        (Configured(webhook=[Webhook("https://[")]), "alerts.webhook.url"),
        (Configured(mail=Mail(host="mail.example")), "sender and to"),
        (Configured(mail=Mail(host="m", sender="a@b", to=["c@d\nBcc: e@f"])), "no address"),
        (Configured(mail=Mail(host="m", sender="a@b", to=["c@d"], security="none", password_file="/x")), "everybody"),
        (Configured(mqtt=Mqtt(host="m", topic="a/#")), "topic"),
    ],
)
def test_what_can_never_be_sent_is_refused_at_the_start(config: Configured, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        sender.ways(config)


def test_names_hold_no_secret_and_tell_receivers_apart() -> None:
    urls = ["https://user:secret@hooks.example/services/T0/B0/secret", "https://hooks.example/2", "http://a.example"]
    names = [way.name for way in sender.ways(Configured(webhook=[Webhook(url) for url in urls]))]
    assert names == ["webhook hooks.example", "webhook hooks.example (2)", "webhook a.example"]
