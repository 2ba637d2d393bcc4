"""Ports that nobody has to choose: found free once, at the first start of a box, and kept.

Several boxes on one machine each get a block of their own. What the configuration names is never changed.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
import tomllib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from appliance.config import Config, Home, Listen, written
from appliance.errors import Conflict
from appliance.system.files import write_atomic
from appliance.system.sockets import port_free

Free = Callable[[int], bool]
BLOCKS = 7
LISTENED = frozenset(Listen.__struct_fields__) - {"host"}
# Ports of the message broker, and where others are looked for when the usual one is taken.
BROKER_PORTS = {"port": 21883, "websocket_port": 22883, "tls_port": 28883}
BROKER_FILE = "broker-ports.toml"
PATIENCE_S = 20.0  # longer than a start takes
PROBED = 3  # first ports of a block of instances that must be free


def settle(home: Home, config: Config, *, free: Free = port_free) -> Config:
    """`config` with the ports of this box; chosen and written to `state/ports.toml` at the first call, and again while
    the box has no instance and another program has taken one of them.

    An installed box has the machine to itself: its ports are the configuration's, and systemd holds some already.
    Raises Conflict when none can be found, Invalid for a malformed configuration, OSError.
    """
    if home.installed:
        return config
    named: dict[str, Any] = written(home.root).get("listen", {})
    chosen = read(home.state / "ports.toml")
    if chosen is None or (_is_new(home) and not all(free(port) for port in chosen.values())):
        chosen = _choose(config.listen, named, free)
        lines = "".join(f"{name} = {port}\n" for name, port in chosen.items())
        head = "# Chosen at the first start. Remove this file to choose anew, or set [listen] in config.toml.\n"
        write_atomic(home.state / "ports.toml", head + lines)
    return _with_broker(home, _settle_broker(home, _with(config, chosen, named), free))


class Turn:
    """While one box chooses its ports and begins to listen, others that would choose wait: both would find the same
    ones free. Between boxes of one account; one that takes long is not waited for for ever."""

    def __init__(self, home: Home, config: Config, *, patience_s: float = PATIENCE_S) -> None:
        """Waits in the calling thread, where there is something to choose."""
        self._descriptor = -1
        if home.installed or not (_is_new(home) or _chooses_broker(home, config)):
            return
        file = Path(tempfile.gettempdir()) / f"weir-ports-{os.geteuid()}.lock"
        try:
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # no place for it: the ports are chosen all the same
        deadline = time.monotonic() + patience_s
        while not _locked(self._descriptor) and time.monotonic() < deadline:
            time.sleep(0.05)

    def end(self) -> None:
        """The ports are in use, or given up."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _chooses_broker(home: Home, config: Config) -> bool:
    return config.broker.enabled and not (home.state / BROKER_FILE).exists()


def kept(home: Home, config: Config) -> Config:
    """`config` with the ports that this box has chosen; as it is while none were. Writes nothing, raises Invalid."""
    if home.installed:
        return config
    return _with_broker(
        home, _with(config, read(home.state / "ports.toml") or {}, written(home.root).get("listen", {}))
    )


def _settle_broker(home: Home, config: Config, free: Free) -> Config:
    """Where there is to be a message broker: its ports, chosen at the first start with one, and kept."""
    file = home.state / BROKER_FILE
    if config.broker.enabled and read(file, BROKER_PORTS) is None:
        usual = {name: getattr(config.broker, name) for name in BROKER_PORTS}
        chosen = {name: port and _first(free, port, BROKER_PORTS[name]) for name, port in usual.items()}
        lines = "".join(f"{name} = {port}\n" for name, port in chosen.items())
        head = "# Chosen at the first start with a message broker. Remove this file to choose anew, or set [broker].\n"
        write_atomic(file, head + lines)
    return config


def _with_broker(home: Home, config: Config) -> Config:
    named = written(home.root).get("broker", {})
    chosen = read(home.state / BROKER_FILE, BROKER_PORTS) or {}
    unnamed = {name: port for name, port in chosen.items() if name not in named}
    return msgspec.structs.replace(config, broker=msgspec.structs.replace(config.broker, **unnamed))


def _is_new(home: Home) -> bool:
    """Nobody has bookmarked anything yet."""
    return not home.instances.is_dir() or not any(home.instances.iterdir())


def _with(config: Config, chosen: dict[str, int], named: dict[str, Any]) -> Config:
    unnamed = {name: port for name, port in chosen.items() if name not in named}
    return msgspec.structs.replace(config, listen=msgspec.structs.replace(config.listen, **unnamed))


def read(file: Path, names: Collection[str] = LISTENED) -> dict[str, int] | None:
    """The ports in such a file; None where there is none that can be read. Raises OSError."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return {name: port for name, port in document.items() if name in names and isinstance(port, int)}


def _choose(listen: Listen, named: dict[str, Any], free: Free) -> dict[str, int]:
    for block in _blocks(listen):
        wanted = {name: port for name, port in block.items() if name not in named}
        if all(_is_free(name, port, free) for name, port in wanted.items()):
            return {**block, "https": _first(free, listen.https, 8443), "http": _first(free, listen.http, 8080)}
    raise Conflict(
        f"no free ports for another box: all {BLOCKS} blocks are in use",
        code="no_free_ports",
        hint="Stop a box that is not needed, or choose ports yourself: [listen] in config.toml.",
    )


def _blocks(listen: Listen) -> Iterator[dict[str, int]]:
    """The configured block, then others beside it; all below the ephemeral ports, which begin at 32768."""
    yield {name: getattr(listen, name) for name in ("port", "public_base", "node_red_base", "launcher_base")}
    for number in range(1, BLOCKS):
        base = 14080 + (number - 1) * 3000
        yield {
            "port": 3000 + 10 * number,
            "public_base": base,
            "node_red_base": base + 1000,
            "launcher_base": base + 2000,
        }


def _is_free(name: str, port: int, free: Free) -> bool:
    return all(free(port + n) for n in range(PROBED if name.endswith("_base") else 1))


def _first(free: Free, usual: int, otherwise: int) -> int:
    """The usual port; where it is taken or needs rights that we lack, the first free one from `otherwise` on."""
    candidates: list[int] = [usual, *range(otherwise, otherwise + 100)]
    for port in candidates:
        if free(port):
            return port
    raise Conflict(
        f"no free port between {otherwise} and {otherwise + 99}",
        code="no_free_ports",
        hint="Choose one yourself: [listen] and [broker] in config.toml.",
    )
