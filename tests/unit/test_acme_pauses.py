"""The pauses between questions to a certificate authority outlive the process: it counts what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.config import Acme, Home
from appliance.errors import Unavailable
from appliance.events import Bus
from appliance.services.acme import AFTER_START_S, AcmeKeeper
from appliance.services.conditions import Conditions

ACME = Acme(domains=["plant.example"], agree=True)


class World:
    """An authority that says no until it says yes, and a clock."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.now_s = 1_800_000_000.0
        self.asked = 0
        self.answer: Callable[[], bool] = self.refuse

    def refuse(self) -> bool:
        raise Unavailable("nobody answers at plant.example")

    async def renew(self, home: Home, config: Acme) -> bool:
        self.asked += 1
        return self.answer()

    def started(self, config: Acme = ACME) -> AcmeKeeper:
        """A process that has just been started."""
        conditions = Conditions(lambda: datetime.now(UTC), Bus())
        return AcmeKeeper(self.home, config, conditions, lambda: None, self.renew, 0.0, lambda: self.now_s)


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "tls").mkdir()
    return World(tmp_path)


async def test_a_process_that_is_started_again_and_again_asks_four_times_an_hour(world: World) -> None:
    assert world.started().first_pause_s() == 0
    begun, asked = world.now_s, []
    while world.now_s < begun + 2 * 3600:
        keeper = world.started()
        world.now_s += keeper.first_pause_s()
        asked.append(world.now_s - begun)
        await keeper.ask()
        world.now_s += 1  # and it ends
    assert world.asked == len(asked)
    assert sum(at < 3600 for at in asked) == 4 and sum(3600 <= at < 7200 for at in asked) <= 3
    assert world.started().first_pause_s() <= AFTER_START_S


async def test_an_end_in_the_middle_of_it_counts(world: World) -> None:
    def killed() -> bool:
        raise KeyboardInterrupt

    world.answer = killed
    with pytest.raises(KeyboardInterrupt):
        await world.started().ask()
    assert world.started().first_pause_s() > 0


async def test_success_and_another_configuration_begin_anew(world: World) -> None:
    assert [await world.started().ask() for _ in range(3)] == [1, 2, 3]
    other = Acme(domains=["other.example"], agree=True)
    assert world.started(other).first_pause_s() == 0, "whoever corrects it need not wait"
    world.answer = lambda: True
    assert await world.started().ask() == 0
    assert world.started().first_pause_s() == 0


@pytest.mark.parametrize(("step_s", "wanted"), [(-1e9, 120.0), (1e9, 0.0), (100.0, 20.0)])
async def test_a_clock_that_jumps_holds_up_nothing_for_long(world: World, step_s: float, wanted: float) -> None:
    await world.started().ask()
    world.now_s += step_s
    assert world.started().first_pause_s() == wanted


async def test_a_spoiled_note_is_none(world: World) -> None:
    await world.started().ask()
    (world.home.tls / "acme" / "tries.json").write_text("{")
    assert world.started().first_pause_s() == 0
