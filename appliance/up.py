"""Starting and stopping a whole box from a terminal: `up` and `down`. Blocking; prints for people."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from appliance import boxapi, ready
from appliance import config as configuration
from appliance.config import Config, Home
from appliance.errors import Unavailable
from appliance.system import netguard, stacks
from appliance.system.files import SingleInstanceLock
from appliance.system.pidfd import Process, identify
from appliance.system.scope import outliving

Say = Callable[[str], None]

READY_S = 120.0
SETTLE_S = 60.0
DOWN_S = 20.0
LOG_BYTES = 5 << 20
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
MOVING = frozenset({"starting", "loading", "installing", "restarting", "stopping", "suspending"})


def up(home: Home, say: Say) -> None:
    """Start the box unless it runs, wait until it is ready, say where it is. Raises WeirError."""
    lock = SingleInstanceLock(home.run / "appliance.lock")
    if (pid := lock.holder()) is not None:
        say(f"Weir runs already, pid {pid}.")
        _wait_ready(home, pid, None)
        _say_where(home, say)
        return
    config = configuration.load(home.root)
    _check_nginx(config)
    build_stack(home, stacks.DEFAULT, say)
    say("starting Weir")
    process = _spawn(home)
    _wait_ready(home, process.pid, process)
    _wait_settled(home, say)
    _say_where(home, say)


def build_stack(home: Home, name: str, say: Say, *, repair: bool = False) -> None:
    """Build a stack unless it is built, telling each step once; with `repair` a broken one too. Raises WeirError."""
    if stacks.find(home, name) is not None:
        if not repair or not (said := stacks.wrong(home, name)):
            return
        say(f"stack {name} is broken, {said}: building it anew")
    last = ""

    def report(step: str, fraction: float) -> None:
        nonlocal last
        if step != last:
            last = step
            say(f"stack {name}: {fraction:4.0%} {step}")

    stacks.build(home, name, report)


def down(home: Home, say: Say) -> None:
    """Stop the appliance, all launchers, nginx and the message broker of this box, and wait until they are gone. What
    is wanted of the instances stays, so that the next `up` starts them again. Raises WeirError."""
    if not home.root.is_dir():
        say(f"Weir does not run: there is no {home.root}.")
        return
    config = configuration.load(home.root)
    stopped = _stop_appliance(home)
    stopped += asyncio.run(_stop_rest(home, config))
    say(f"stopped: {', '.join(stopped)}" if stopped else "Weir does not run.")


def _check_nginx(config: Config) -> None:
    if shutil.which(config.ingress.nginx, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}") is None:
        raise Unavailable(
            f"the program '{config.ingress.nginx}' is missing",
            code="nginx_missing",
            hint="Type: apt-get install nginx-light   (or set ingress.nginx in config.toml)",
        )


def _log_file(home: Home) -> Path:
    return home.logs / "appliance.log"


def _spawn(home: Home) -> subprocess.Popen[bytes]:
    home.logs.mkdir(mode=0o755, parents=True, exist_ok=True)
    file = _log_file(home)
    if file.exists() and file.stat().st_size > LOG_BYTES:
        file.replace(file.with_suffix(".log.1"))
    with file.open("ab") as output:
        return subprocess.Popen(
            [*outliving(), sys.executable, "-P", "-m", "appliance", "serve", "--home", str(home.root)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _wait_ready(home: Home, pid: int, process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + READY_S
    while not ready.is_ready(home, pid):
        if (process.poll() if process else None) is not None or identify(pid) is None:
            raise Unavailable(f"Weir ended while starting.\n{_tail(home)}", hint=f"The whole log: {_log_file(home)}")
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Weir is not ready after {READY_S:.0f} s.\n{_tail(home)}", hint=f"Look at {_log_file(home)}"
            )
        time.sleep(0.03)
    if process is not None:
        process.returncode = 0  # it goes on without us


def _tail(home: Home) -> str:
    try:
        lines = _log_file(home).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"  {line}" for line in lines[-8:])


def _wait_settled(home: Home, say: Say) -> None:
    """Say how the instances come up; a slow one is not waited for longer than a minute."""
    deadline = time.monotonic() + SETTLE_S
    told: dict[str, str] = {}
    while time.monotonic() < deadline:
        instances = boxapi.get(home, "/box/status")["instances"]
        for instance in instances:
            if told.get(instance["name"]) != instance["state"]:
                told[instance["name"]] = instance["state"]
                say(f"instance {instance['name']}: {_state(instance)}")
        if not any(instance["state"] in MOVING for instance in instances):
            return
        time.sleep(0.1)


def _state(instance: dict[str, Any]) -> str:
    return f"{instance['state']} ({instance['message']})" if instance["message"] else str(instance["state"])


def _say_where(home: Home, say: Say) -> None:
    status = boxapi.get(home, "/box/status")
    say(f"\nWeir is ready: {status['appliance']['url']}")
    for instance in status["instances"]:
        say(f"  {instance['name']:<20} {instance['state']:<10} {instance['url']}")
    for problem in status["problems"]:
        say(f"  problem: {problem['title']}: {problem['cause']}\n           {problem['nextStep']}")
    _say_password(home, say)


def _say_password(home: Home, say: Say) -> None:
    file = home.state / "first-admin-password"
    try:
        password = file.read_text().strip()
    except FileNotFoundError:
        return
    say(f"\nLog in as admin with the password {password}\nIt is shown only this once; write it down.")
    file.unlink(missing_ok=True)


def _stop_appliance(home: Home) -> list[str]:
    pid = SingleInstanceLock(home.run / "appliance.lock").holder()
    process = Process.of(pid) if pid is not None else None
    if process is None:
        return []
    asyncio.run(_end(process, f"the appliance, pid {pid},"))
    return [f"the appliance (pid {pid})"]


async def _end(process: Process, who: str) -> None:
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            process.send(number)
            if await process.wait(DOWN_S):
                return
        raise Unavailable(f"{who} does not end", hint="It may be stuck in the kernel: see dmesg.")
    finally:
        process.close()


async def _stop_rest(home: Home, config: Config) -> list[str]:
    from appliance.brokering import stop_broker
    from appliance.drivers.localfs import LocalFs
    from appliance.model import InstanceRef
    from appliance.placing import placer_of
    from appliance.proxy.process import Nginx

    grace = timedelta(seconds=config.limits.stop_grace_s)
    executor = ThreadPoolExecutor(max_workers=4)
    placer = placer_of(home, config, executor, None)
    driver = LocalFs(home.instances, placer, executor, replace_grace=grace)
    await driver.open()
    try:
        seen = await driver.list()
        await asyncio.gather(*(driver.stop(InstanceRef(one.id), grace=grace) for one in seen))
    finally:
        await driver.close()
    if (guard := home.state / "launcher-guard").exists():
        # What may not be taken away is no reason to leave the box running: the next start does it.
        with contextlib.suppress(netguard.GuardFailed):
            await netguard.remove(netguard.table_of(home.root))
            guard.unlink()
    nginx = Nginx(home, config.ingress.nginx)
    adopted = await asyncio.to_thread(nginx.adopt)
    await nginx.stop()
    broker = await stop_broker(home, config)
    _clear_run(home)
    launchers = [f"{len(seen)} launcher{'s' if len(seen) > 1 else ''}"] if seen else []
    return [*launchers, *(["nginx"] if adopted else []), *(["the message broker"] if broker else [])]


def _clear_run(home: Home) -> None:
    for flag in (home.run / "up").glob("*"):
        flag.unlink(missing_ok=True)
    ready.clear(home)
