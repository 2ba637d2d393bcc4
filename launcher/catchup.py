"""What an instance that was started without the appliance makes up for once that is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from launcher import http
from launcher.crashloop import jitter
from launcher.prepare import Preparer, StartFailed, Suspended
from launcher.schema import Command, Settings


async def catch_up(preparer: Preparer, say: Callable[[str], None], correct: Callable[[int], None]) -> Command | None:
    """Read the settings after a start with those of last time; the command that makes up for what changed since.
    `correct` is told the newest wish first."""
    old, pause_s = preparer.last_settings(), 0.2
    while True:
        try:
            new = await preparer.fresh_settings()
        except http.Unreachable:
            await asyncio.sleep(pause_s * (0.5 + jitter() / 2))
            pause_s = min(5.0, pause_s * 2)
        except Suspended:
            say("The instance was suspended meanwhile: stopping.")
            return Command("stop")
        except StartFailed as error:
            say(f"The settings could not be read anew: {error}")
            return None
        else:
            correct(new.weir.commandGeneration)
            return missed(old or Settings(), new, say)


def missed(old: Settings, new: Settings, say: Callable[[str], None]) -> Command | None:
    """What somebody wished, or changed, that a start with old settings did not know of. What is to be stopped is
    stopped whatever the old ones say: a flow may have written them."""
    wish = new.weir.commandGeneration
    unknown = wish > old.weir.commandGeneration
    if "stopped" in (new.weir.desired, new.state):
        if unknown:
            return Command("stop", generation=wish)
        return None if "stopped" in (old.weir.desired, old.state) else Command("stop")
    if "stopped" in (old.weir.desired, old.state):
        return Command("start", generation=wish)
    if unknown:
        return Command("restart", generation=wish)
    if differ(old, new):
        say("The settings were changed meanwhile: restarting with the new ones.")
        return Command("restart")
    return None


def differ(old: Settings, new: Settings) -> bool:
    """Whether Node-RED would be started in another way; what is wanted of it is not part of that."""
    return _plain(old) != _plain(new)


def _plain(settings: Settings) -> Settings:
    weir = msgspec.structs.replace(settings.weir, desired="", commandGeneration=0)
    return msgspec.structs.replace(settings, state="", weir=weir)
