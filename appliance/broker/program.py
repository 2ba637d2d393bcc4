"""The program Mosquitto: where it is, what it says when it does not start, and whether it would."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from appliance.broker.control import Control, Refused, Silent
from appliance.errors import Unavailable
from appliance.system import daemon, logfiles
from appliance.system.files import make_private_dir, write_atomic

PLUGIN = "mosquitto_dynamic_security.so"
TRIAL_S = 10.0
PAUSE_S = 0.02
_LIBRARIES = ("/usr/lib", "/usr/local/lib")
_REFUSED_HINT = "If config.toml explains it, correct it there; else report this: such a text should never be made."
_INSTALL = "Install it: sudo apt-get install --no-install-recommends mosquitto   (or set broker.enabled = false)"


class BrokerMissing(Unavailable):
    """The program, or its plugin, is not installed."""

    code = "broker_missing"


class ConfigRefused(Unavailable):
    """Mosquitto said no to this configuration; `str()` is its own sentence."""

    code = "broker_config_refused"


class PortTaken(Unavailable):
    """Somebody else listens on `port`."""

    code = "port_taken"

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} is in use by another program",
            hint=f"See which: ss -ltnp 'sport = :{port}'. Stop it, or choose another port in config.toml ([broker]).",
        )
        self.port = port


class Exposed(Unavailable):
    """A listener that is for this box alone was open to the network; the broker was ended."""

    code = "broker_exposed"


def find(name: str) -> str:
    """The program's path. Raises BrokerMissing."""
    program = daemon.which(name)
    if program is None:
        raise BrokerMissing(f"Mosquitto is not installed ('{name}' was not found)", hint=_INSTALL)
    return program


def plugin() -> str:
    """The plugin of Mosquitto that says who may do what. Raises BrokerMissing."""
    found = (each for root in _LIBRARIES for pattern in (PLUGIN, f"*/{PLUGIN}") for each in Path(root).glob(pattern))
    first = next(found, None)
    if first is None:
        raise BrokerMissing(f"Mosquitto's plugin {PLUGIN} is not installed", hint=_INSTALL)
    return str(first)


async def trial(command: Sequence[str], directory: Path, text: str, security: bytes, control: Control) -> None:
    """Start a second broker, without ports, from this configuration and this file, and see that it knows the appliance.

    `text` names `directory/security.json`; `control` is its socket. Raises ConfigRefused with Mosquitto's sentence,
    OSError. Nothing of it is left running.
    """
    make_private_dir(directory)
    config, log = directory / "mosquitto.conf", directory / "trial.log"
    await asyncio.to_thread(write_atomic, config, text, 0o600)
    await asyncio.to_thread(write_atomic, directory / "security.json", security, 0o600)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(*command, "-c", str(config)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=daemon.environment(),
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(TRIAL_S):
            await _until_known(process, control)
    except TimeoutError as error:
        raise ConfigRefused(
            sentence(logfiles.tail(log)) or f"Mosquitto was not ready within {TRIAL_S:.0f} s"
        ) from error
    except (Refused, _Ended) as error:
        raise ConfigRefused(sentence(logfiles.tail(log)) or str(error), hint=_REFUSED_HINT) from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class _Ended(Exception):
    """The broker on trial ended."""


async def _until_known(process: asyncio.subprocess.Process, control: Control) -> None:
    while True:
        if process.returncode is not None:
            raise _Ended(f"Mosquitto ended with {process.returncode}")
        try:
            await control.running()
        except Silent:
            await asyncio.sleep(PAUSE_S)
        else:
            return


def sentence(output: str) -> str:
    """Mosquitto's reason: its lines that name an error, without time stamps; empty when it gave none."""
    lines = [re.sub(r"^\d+: ", "", line).strip() for line in output.splitlines()]
    return "; ".join(line.removeprefix("Error: ") for line in lines if line.startswith("Error"))
