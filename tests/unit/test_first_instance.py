"""The start of a box: the instance it is born with, once, whatever happens meanwhile; a start that can't be."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance import main
from appliance.config import Config, First, Home
from appliance.errors import Unavailable
from appliance.model import SYSTEM
from appliance.schema.instances import CreateInstance
from tests.web_box import WebBox, web_box


async def names(box: WebBox) -> list[str]:
    return [instance.name for instance in (await box.services.instances.list(SYSTEM)).instances]


async def gone(box: WebBox) -> None:
    """Deleted, as by a user and the reconciler after him."""
    for instance in (await box.services.instances.list(SYSTEM)).instances:
        await box.services.instances.delete(SYSTEM, instance.id)
        await box.services.instances.removed(instance.id)


async def test_it_is_made_once(box: WebBox) -> None:
    for _ in range(2):
        await main._first_instance(box.services)
    assert await names(box) == ["first"]
    await gone(box)
    await main._first_instance(box.services)
    assert await names(box) == [], "somebody did not want it"


async def test_an_end_between_making_and_noting_is_made_good(box: WebBox) -> None:
    """Killed in that moment: the next start finds the instance, and deleting it later brings no other."""
    await box.services.instances.create(SYSTEM, CreateInstance(name="first"))
    await main._first_instance(box.services)
    assert await box.services.accounts.first_instance() is None
    await gone(box)
    await main._first_instance(box.services)
    assert await names(box) == []


async def test_a_name_that_cannot_be_is_told_and_tried_again(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with web_box(home, Config(first=First(instance="mqtt"))) as box:
        await main._first_instance(box.services)
        assert "reserved" in caplog.text
        assert await box.services.accounts.first_instance() == "mqtt"


async def test_a_start_that_cannot_write_says_what_to_look_for(home: Path) -> None:
    """A full disk, a broken one, something in the way: cause and next step instead of a trace; the lock is free."""
    (home / "run" / "ready").mkdir(parents=True)
    with pytest.raises(Unavailable) as refused:
        await main.serve(home)
    assert "run/ready" in refused.value.message and "df -h" in refused.value.hint
    lock = main.lock_of(Home(home))
    lock.acquire()
    lock.release()
