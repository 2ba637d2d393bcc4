"""The faults and the user's actions of a plan, carried out on a world. Each may return what ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import tomllib
from collections.abc import Callable, Iterable

import httpx
import psutil

from tests.faults.plan import Step
from tests.faults.world import Instance, World

End = Callable[[], None]
Action = Callable[[World, Step], End | None]

WISHES = {"restart": "running", "start": "running", "stop": "stopped", "suspend": "suspended"}


def carry_out(world: World, step: Step) -> End | None:
    """Do it now and write it down."""
    world.journal.say(str(step))
    return ACTIONS[step.what](world, step)


def _hit(world: World, who: str, processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    hit = []
    for process in processes:
        try:
            process.send_signal(number)  # psutil checks that the pid is still the same process
            hit.append(str(process.pid))
        except psutil.Error:
            continue
    world.journal.say(f"  {number.name} to {who}: {' '.join(hit) or 'nobody there'}")


def _processes(world: World, who: str, name: str) -> list[psutil.Process]:
    census, instance = world.census(), world.instances[name].id
    found = {
        "node-red": census.node_reds.get(instance, []),
        "launcher": census.launchers.get(instance, []),
        "appliance": census.appliance,
        "nginx": census.nginx,
        "nginx worker": census.workers[:1],
        "all of nginx": [*census.nginx, *census.workers],
        "everything": census.all,
    }
    return found[who]


def _signalled(number: signal.Signals, *whose: str) -> Action:
    def action(world: World, step: Step) -> None:
        if whose[0] in ("appliance", "everything"):
            world.keeper.pause(step.seconds)
        for who in whose:
            _hit(world, who, _processes(world, who, step.whom), number)

    return action


def _frozen(who: str) -> Action:
    def action(world: World, step: Step) -> End:
        processes = _processes(world, who, step.whom)
        world.frozen += processes
        _hit(world, who, processes, signal.SIGSTOP)
        return lambda: _hit(world, who, processes, signal.SIGCONT)

    return action


def _fill(world: World, step: Step) -> End | None:
    if not world.disk.small:
        world.journal.say("  left out: the disk is not a small one of its own")
        return None
    world.disk.fill()

    def free() -> None:
        world.disk.free()
        world.journal.say("  disk has room again")

    return free


def _step_clock(world: World, step: Step) -> None:
    if world.clock.missing:
        world.journal.say(f"  left out: {world.clock.missing}")
    elif abs(world.clock.offset_s + float(step.by)) <= 2 * 86_400:
        world.clock.step(float(step.by))


def _crash(world: World, step: Step) -> None:
    try:
        httpx.get(f"http://127.0.0.1:{world.instances[step.whom].ports['node_red']}/crash", timeout=1)
    except httpx.HTTPError as error:
        world.journal.say(f"  {type(error).__name__}")


def _cut(world: World, step: Step) -> None:
    """Close established TCP connections of this box at both ends, as a reset on the wire does."""
    if os.geteuid() != 0:
        world.journal.say("  left out: it takes root")
        return
    ports = _ports(world, str(step.by))
    rule = " or ".join(f"sport = :{port} or dport = :{port}" for port in ports)
    done = subprocess.run(["ss", "-K", "-H", "state", "established", f"( {rule} )"], capture_output=True, text=True)
    gone = len(done.stdout.splitlines())
    world.journal.say(f"  {gone} ends of connections closed {done.stderr.strip()[:100]}")


def _ports(world: World, what: str) -> list[int]:
    chosen: dict[str, int] = tomllib.loads((world.box.home / "state" / "ports.toml").read_text())
    each: Iterable[Instance] = world.instances.values()
    ports = {
        "appliance": [chosen["port"]],
        "launchers": [one.ports["launcher"] for one in each],
        "node-reds": [one.ports["node_red"] for one in each],
        "public": [chosen["https"], *(one.ports["public"] for one in each)],
    }
    return ports[what] if what in ports else [port for some in ports.values() for port in some]


def _by_people(ask: Callable[[World, Step], None]) -> Action:
    """They wait for an answer, each for the one before; the faults go on meanwhile."""

    def action(world: World, step: Step) -> None:
        world.people.submit(ask, world, step)

    return action


def _wish(world: World, step: Step) -> None:
    name = step.whom
    answer = world.ask("POST", f"/projects/{world.instances[name].id}/actions/{step.what}")
    if answer is None:
        world.unsure.add(name)  # it may have been taken
        world.journal.say(f"  {step.what} {name}: no answer")
    elif answer.status_code < 300:
        world.wishes[name] = WISHES[step.what]
        world.unsure.discard(name)
        world.journal.say(f"  {step.what} {name}: acknowledged")
    else:
        world.journal.say(f"  {step.what} {name}: refused: {answer.status_code} {answer.text[:160]}")


def _name(world: World, step: Step) -> None:
    """A name more or less: a new certificate and a reload of nginx in the middle of it all."""
    spelled = f"{step.whom}.faults.example"
    answer = world.ask("POST", "/box/names", json={"name": spelled})
    if answer is not None and answer.status_code >= 400:
        answer = world.ask("DELETE", f"/box/names/{spelled}")
    world.journal.say(f"  name {spelled}: {answer.status_code if answer is not None else 'no answer'}")


ACTIONS: dict[str, Action] = {
    "kill node-red": _signalled(signal.SIGKILL, "node-red"),
    "terminate node-red": _signalled(signal.SIGTERM, "node-red"),
    "freeze node-red": _frozen("node-red"),
    "crash": _crash,
    "kill launcher": _signalled(signal.SIGKILL, "launcher"),
    "terminate launcher": _signalled(signal.SIGTERM, "launcher"),
    "freeze launcher": _frozen("launcher"),
    "freeze launcher for long": _frozen("launcher"),
    "kill launcher and node-red": _signalled(signal.SIGKILL, "launcher", "node-red"),
    "kill appliance": _signalled(signal.SIGKILL, "appliance"),
    "terminate appliance": _signalled(signal.SIGTERM, "appliance"),
    "freeze appliance": _frozen("appliance"),
    "kill appliance and launcher": _signalled(signal.SIGKILL, "appliance", "launcher"),
    "kill everything": _signalled(signal.SIGKILL, "everything"),
    "kill nginx": _signalled(signal.SIGKILL, "nginx"),
    "kill nginx worker": _signalled(signal.SIGKILL, "nginx worker"),
    "freeze nginx": _frozen("all of nginx"),
    "fill disk": _fill,
    "step clock": _step_clock,
    "cut": _cut,
    "name": _by_people(_name),
    **dict.fromkeys(WISHES, _by_people(_wish)),
}
