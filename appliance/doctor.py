"""`python -m appliance doctor`: what can be told of a box from its directory and its machine, whether it runs or not.

Reads only, and asks no service. `weir doctor` runs this beside its own look at the answers of the box.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from appliance import config as configuration
from appliance import doctor_looks, ports
from appliance.config import Config, Home
from appliance.errors import WeirError
from appliance.schema.box import Finding
from appliance.services.health import certificate, clock, database, disk, heat, memory, restarts
from appliance.services.health.stacks import broken
from appliance.services.health.trouble import Trouble
from appliance.store import integrity
from appliance.system import cgroups, stacks, vitals
from appliance.system.access import access_of
from appliance.system.files import SingleInstanceLock

MIB = 2**20
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def examine(home: Home) -> list[Finding]:
    """Every finding about the box at `home`. Blocks for seconds. What may not be read is told, not raised."""
    if not home.root.is_dir():
        hint = "./dev up makes one; --home DIR names another."
        return [Finding("box", False, f"there is no box at {home.root}", hint, "no_box")]
    lock = home.run / "appliance.lock"
    holder = SingleInstanceLock(lock).holder()
    unseen = lock.exists() and not os.access(lock, os.R_OK)  # who may not read it can't tell whether it is held
    looks: Sequence[tuple[str, Callable[[], Iterator[Finding]]]] = (
        ("process", lambda: _process(home, holder) if not unseen else iter(())),
        ("config", lambda: _config(home)),
        ("disk", lambda: _disks(home)),
        ("memory", _memory),
        ("time", _clock),
        ("heat", _heat),
        ("database", lambda: _database(home)),
        ("stack", lambda: _stacks(home)),
        ("launcher", lambda: _launcher(home)),
        ("limits", lambda: _limits(home)),
        ("certificate", lambda: _certificates(home)),
        ("system", lambda: doctor_looks.system_(home)),
        ("versions", lambda: doctor_looks.versions(home)),
        ("local name", doctor_looks.local_name),
        ("ports", lambda: _ports(home) if holder is None and not unseen else iter(())),
    )
    return [finding for name, look in looks for finding in _heard(name, look)]


def _heard(name: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except PermissionError as error:
        return [Finding(name, True, f"not looked at: this account may not read {error.filename}")]
    except (OSError, WeirError, sqlite3.Error) as error:
        return [Finding(name, False, f"can't be looked at: {error}", getattr(error, "hint", ""), f"{name}_unread")]


def _found(name: str, trouble: Trouble) -> Finding:
    detail = f"{trouble.title}. {trouble.cause}" + (f" ({trouble.evidence})" if trouble.evidence else "")
    return Finding(name, False, detail, trouble.next_step, trouble.key)


def _process(home: Home, holder: int | None) -> Iterator[Finding]:
    if holder is None:
        hint = "As root: systemctl start weir; journalctl -u weir tells more." if home.installed else "Type: weir up"
        yield Finding("process", False, "the appliance does not run", hint, "not_running")
    else:
        yield Finding("process", True, f"the appliance runs, pid {holder}")
    starts = restarts.Starts(home, lambda: datetime.now(UTC)).noted()
    # Of a box that is down the newest start has ended suddenly as well.
    ended = starts if holder is not None or not starts else [*starts, starts[-1]]
    for trouble in restarts.judge(ended, datetime.now(UTC), home.logs / "appliance.log"):
        yield _found("process", trouble)


def _config(home: Home) -> Iterator[Finding]:
    config = configuration.load(home.root)
    access_of(config)  # what is said of a configuration that the box would not start with
    program = shutil.which(config.ingress.nginx, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")
    if program is None:
        hint = "Type: apt-get install --no-install-recommends nginx-light"
        yield Finding("nginx", False, f"the program '{config.ingress.nginx}' is not installed", hint, "nginx_missing")
    else:
        yield Finding("nginx", True, f"installed: {program}")
    if config.broker.enabled:
        yield _broker(config)


def _broker(config: Config) -> Finding:
    program = shutil.which(config.broker.mosquitto, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")
    if program is None:
        hint = "Type: apt-get install --no-install-recommends mosquitto   (or set broker.enabled = false)"
        said = f"the program '{config.broker.mosquitto}' is not installed: there is no message broker"
        return Finding("broker", False, said, hint, "broker_missing")
    return Finding("broker", True, f"installed: {program}")


def _disks(home: Home) -> Iterator[Finding]:
    found = disk.measured(home)
    troubles = disk.judge(found)
    yield from (_found("disk", trouble) for trouble in troubles)
    if not troubles:
        free = ", ".join(f"{each.free_bytes // MIB} of {each.total_bytes // MIB} MiB free" for each in found)
        yield Finding("disk", True, free)


def _memory() -> Iterator[Finding]:
    seen = vitals.memory()
    if seen.available_bytes < seen.total_bytes * memory.LOW_FRACTION:
        yield _found("memory", memory.low_memory(seen))
    else:
        yield Finding("memory", True, f"{seen.available_bytes // MIB} of {seen.total_bytes // MIB} MiB available")


def _clock() -> Iterator[Finding]:
    now, state = datetime.now(UTC), vitals.clock_state()
    wrong = clock.before_built(now)
    # The kernel says so for some minutes after every start; the running appliance waits before it tells.
    if wrong is None and clock.unkept(state) and vitals.uptime_s() > clock.UNSYNCED_S:
        wrong = clock.nobody_sets(now)
    if wrong is not None:
        yield _found("time", wrong)
    else:
        kept = "set by a time server" if state.synced else "kept by the machine; no time server sets it"
        yield Finding("time", True, f"{now:%Y-%m-%d %H:%M:%S} UTC, {kept}")


def _heat() -> Iterator[Finding]:
    seen = vitals.heat()
    if seen is not None and seen.now_c >= seen.limit_c:
        yield _found("heat", heat.too_hot(seen))
    elif seen is not None:
        yield Finding("heat", True, f"{seen.now_c:.0f} °C ({seen.sensor})")


def _database(home: Home) -> Iterator[Finding]:
    path = home.database
    if not path.exists():
        yield Finding("database", True, f"{path} is not there yet: it is made at the first start")
        return
    said = integrity.damage(path)
    trouble = database.damaged(path, said) if said else database.not_writable(path)
    if trouble is not None:
        yield _found("database", trouble)
    else:
        yield Finding("database", True, f"{path.stat().st_size / MIB:.1f} MiB, whole")


def _stacks(home: Home) -> Iterator[Finding]:
    names = sorted(file.parent.name for file in home.stacks.glob("*/stack.json"))
    if not names:
        yield Finding("stack", False, "no Node-RED stack is built on this box", "Type: weir stack build", "no_stack")
    for name in names:
        said = stacks.wrong(home, name)
        marker = stacks.read_marker(home, name)
        if said:
            yield _found("stack", broken(name, said, ()))
        elif marker is not None:
            yield Finding("stack", True, f"{name}: Node-RED {marker.node_red}, Node.js {marker.node}, whole")


def _launcher(home: Home) -> Iterator[Finding]:
    """Only where it is not Weir's own: what that costs is told for as long as it is so."""
    command = configuration.load(home.root).launcher.command
    missing = [word for word in command if word.startswith("/") and not Path(word).exists()]
    if missing:
        hint = f"Type: weir launcher install, or correct launcher.command in {home.config_file}."
        said = f"the configured launcher is not there: {missing[0]}"
        yield Finding("launcher", False, said, hint, "launcher_missing")
    elif command:
        told = "not Weir's own: any program of this box can stop instances and read their logs through its API"
        yield Finding("launcher", True, f"{told} (docs/operations.md)")


def _limits(home: Home) -> Iterator[Finding]:
    """What this kernel can't enforce of what instances may take."""
    if configuration.load(home.root).placer != "units":
        return
    missing = cgroups.missing()
    yield Finding("limits", True, "; ".join(missing) or "the kernel enforces all limits of instances")


def _certificates(home: Home) -> Iterator[Finding]:
    for trouble in certificate.judge(home, datetime.now(UTC), configuration.load(home.root)):
        yield _found("certificate", trouble)


def _ports(home: Home) -> Iterator[Finding]:
    """Whether the next start finds its ports: only asked while the box is down."""
    if not (home.state / "ports.toml").exists():
        return  # the first start takes ports that are free
    listen = ports.kept(home, configuration.load(home.root)).listen
    wanted = {listen.port: "the appliance", listen.https: "the platform", listen.http: "the page with the CA"}
    taken = [each for each in vitals.listeners(wanted) if not _own_nginx(home, each.pid)]
    for each in taken:
        hint = f"End that program, or choose another port in {home.config_file} ([listen])."
        said = f"port {each.port} of {wanted[each.port]} is taken: {each} listens there"
        yield Finding("ports", False, said, hint, f"port_taken:{each.port}")
    if not taken:
        yield Finding("ports", True, f"free: {', '.join(str(port) for port in sorted(wanted))}")


def _own_nginx(home: Home, pid: int | None) -> bool:
    """nginx outlives the appliance on purpose."""
    try:
        text = (vitals.PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return False
    return text.startswith("nginx: master process") and f" -p {home.nginx} " in text
