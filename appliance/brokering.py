"""The message broker's reconciler, put together where the box is to have one: loaded then only, so that a box without
pays nothing for it."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.config import Config, Home
from appliance.events import Event
from appliance.services import broker
from appliance.services.conditions import Conditions
from appliance.services.context import Context

if TYPE_CHECKING:
    from appliance.broker.controller import Broker
    from appliance.broker.process import Mosquitto
    from appliance.broker.unit import MosquittoUnit

log = logging.getLogger(__name__)


def broker_of(context: Context, conditions: Conditions) -> Broker | None:
    """Not yet running; it looks again whenever who may log in has changed. None where it is switched off."""
    if not context.config.broker.enabled:
        return None
    from appliance.broker.controller import Broker

    found = Broker(
        context.home,
        context.config,
        password=broker.control_password(context.box),
        clients=partial(broker.clients, context),
        raise_condition=conditions.raise_,
        clear_condition=conditions.clear,
    )
    context.bus.listen(partial(_poke, found))
    return found


async def stop_broker(home: Home, config: Config) -> bool:
    """End the broker of a box whose appliance does not run; whether one ran."""
    if not _configuration(home).exists():
        return False
    mosquitto = _mosquitto(home, config)
    adopted = await asyncio.to_thread(mosquitto.adopt)
    await mosquitto.stop()
    return adopted


async def end_leftover(home: Home, config: Config) -> None:
    """A broker that was switched off ends, and the unit of an installed box has nothing to start any more."""
    if config.broker.enabled or not _configuration(home).exists():
        return
    if await stop_broker(home, config):
        log.info("the message broker is switched off: it was ended")
    await asyncio.to_thread(_configuration(home).unlink, missing_ok=True)


def _configuration(home: Home) -> Path:
    return home.mosquitto / "mosquitto.conf"


def _mosquitto(home: Home, config: Config) -> Mosquitto | MosquittoUnit:
    from appliance.broker.process import Mosquitto
    from appliance.broker.unit import MosquittoUnit

    return MosquittoUnit(home) if home.installed else Mosquitto(home, config.broker.mosquitto)


def _poke(found: Broker, event: Event) -> None:
    if broker.concerns(event):
        found.poke()
