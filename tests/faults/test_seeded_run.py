"""Random kills, freezes, a full disk, clock steps and cut connections on a real box under load, in an order that a
seed decides. WEIR_FAULTS_S: how long (60); WEIR_FAULTS_SEED: which (random, printed)."""

from __future__ import annotations

import heapq
import os
import random
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults import flows, invariants
from tests.faults.actions import End, carry_out
from tests.faults.clock import Clock
from tests.faults.disk import Disk
from tests.faults.journal import Journal
from tests.faults.load import Deployer, Pulse, Visitor
from tests.faults.plan import Step, plan
from tests.faults.world import FaultBox, Instance, World, wait_for
from tests.support import ROOT, stack_cache

LENGTH_S = float(os.environ.get("WEIR_FAULTS_S", "60"))
SEED = int(os.environ.get("WEIR_FAULTS_SEED") or random.SystemRandom().randrange(2**32))
HEAL_S = 150.0
DEPLOY_PAUSE_S, VISIT_PAUSE_S = 0.4, 0.05
NAMES = ("first", "talker", "shaky")
SAID = ("logs/appliance.log", "logs/nginx.log", "instances/*/launcher/launcher.out", "instances/*/launcher/logs/*")

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(LENGTH_S + 900),
    pytest.mark.usefixtures("shared_processes"),
    # httpcore leaves a UNIX socket to the collector when nobody listens at its other end.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture
def results() -> Path:
    directory = ROOT / "test-results" / f"faults-{SEED}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def world(tmp_path: Path, results: Path) -> Iterator[World]:
    journal = Journal(results / "journal.txt")
    disk, clock = Disk(tmp_path), Clock(tmp_path)
    if clock.missing:
        journal.say(f"no clock steps: {clock.missing}")
    if not disk.small:
        journal.say("no full disk: a file system of its own takes root")
    world = World(FaultBox(disk.root / "h", stack_cache(), clock), disk, clock, journal)
    try:
        yield world
    finally:
        world.keeper.over.set()
        world.people.shutdown(wait=False, cancel_futures=True)
        for process in world.census().all:
            process.kill()
        _keep(world.box.home, results)
        wait_for(lambda: "processes are left" if world.census().all else "", 20)
        disk.close()
        journal.close()


def test_all_heals(world: World) -> None:
    steps = plan(SEED, LENGTH_S, NAMES)
    world.journal.say(f"seed {SEED}, {LENGTH_S:.0f} s, {len(steps)} faults: WEIR_FAULTS_SEED={SEED}")
    print(f"\nseed {SEED}: the same faults again with WEIR_FAULTS_SEED={SEED} WEIR_FAULTS_S={LENGTH_S:.0f}")
    pulse = Pulse(world.journal)
    try:
        _set_up(world, pulse)
        before = invariants.baseline(world)
        deployers = _under_load(world, pulse, steps)
        _check(world, before, deployers)
    except BaseException as error:
        world.journal.broken(f"the run itself ended: {type(error).__name__}: {error}")
        raise
    finally:
        pulse.close()
        print(world.journal.text)
    assert not world.journal.breaches, "\n".join(world.journal.breaches)


def _set_up(world: World, pulse: Pulse) -> None:
    """Three instances that run their flows."""
    box = world.box
    box.up()
    for name in NAMES[1:]:
        box.cli("instance", "create", name, "--wait")
    for name in NAMES:
        shown = box.instance(name)
        url = box.instance_url(name).rstrip("/")
        world.instances[name] = Instance(shown["id"], name, url, shown["ports"], talks=name == "talker")
        world.wishes[name] = "running"
    for deployer in _deployers(world, pulse):
        deployer.start()
        said = wait_for(partial(_first_deploy, deployer), 60)
        deployer.over.set()
        deployer.join()
        assert not said, said
    said = wait_for(lambda: invariants.answers(world) or invariants.processes(world), 60)
    assert not said, said
    world.journal.say("all is well; the faults begin")


def _first_deploy(deployer: Deployer) -> str:
    return "" if deployer.acknowledged else f"{deployer.instance}: no deploy, {dict(deployer.answers)}"


def _deployers(world: World, pulse: Pulse) -> list[Deployer]:
    platform = world.box.url.rstrip("/")
    return [
        Deployer(one.name, one.url, platform, world.box.password, _flow(one, pulse), world.journal, DEPLOY_PAUSE_S)
        for one in world.instances.values()
    ]


def _flow(one: Instance, pulse: Pulse) -> flows.Make:
    return lambda number: flows.flows(one.name, pulse.url, number, talks=one.talks)


def _under_load(world: World, pulse: Pulse, steps: list[Step]) -> list[Deployer]:
    """The faults, with people deploying and machines asking all the while; the deployers with what they remember."""
    deployers = _deployers(world, pulse)
    visitors = [Visitor(one.name, one.url, world.journal, VISIT_PAUSE_S) for one in world.instances.values()]
    busy: list[Deployer | Visitor] = [*deployers, *visitors]
    for each in (*busy, world.keeper):
        each.start()
    try:
        _carry_out(world, steps)
        world.thaw()
        world.clock.set(0)
        world.disk.free()
        world.people.shutdown()
        world.journal.say("the faults are over")
    finally:
        # The keeper stays a while: what was killed last has to be started again.
        for each in busy:
            each.over.set()
    for each in busy:
        each.join(120)
        if each.is_alive():
            world.journal.broken(f"{each.name} still waits for an answer")
        world.journal.say(f"{each.name}: {dict(each.answers)}")
    return deployers


def _carry_out(world: World, steps: list[Step]) -> None:
    """Steps at their time, each ended after its seconds."""
    began = time.monotonic()
    ends: list[tuple[float, int, End]] = []
    for number, step in enumerate(steps):
        _pass(began + step.at_s, ends)
        if (end := carry_out(world, step)) is not None:
            heapq.heappush(ends, (time.monotonic() + step.seconds, number, end))
    _pass(float("inf"), ends)


def _pass(until: float, ends: list[tuple[float, int, End]]) -> None:
    """Let time pass, ending what is due. With no end in sight for `until`, only until all is ended."""
    while ends and ends[0][0] <= until:
        at, _, end = heapq.heappop(ends)
        time.sleep(max(0.0, at - time.monotonic()))
        end()
    if until != float("inf"):
        time.sleep(max(0.0, until - time.monotonic()))


def _check(world: World, before: invariants.Baseline, deployers: list[Deployer]) -> None:
    journal = world.journal

    def hold(said: str) -> None:
        if said:
            journal.broken(said)

    began = time.monotonic()
    hold(wait_for(lambda: invariants.as_wished(world) or invariants.processes(world), HEAL_S))
    journal.say(f"as wished after {time.monotonic() - began:.1f} s")
    world.keeper.over.set()
    world.keeper.join(240)
    for name, instance in world.instances.items():
        if world.wishes[name] != "running":
            answer = world.ask("POST", f"/projects/{instance.id}/actions/start")
            if answer is None or answer.status_code >= 300:
                journal.broken(f"{name} can't be started")
            world.wishes[name] = "running"
    hold(wait_for(lambda: invariants.as_wished(world) or invariants.processes(world), HEAL_S))
    hold(wait_for(lambda: invariants.answers(world), 60))
    hold(wait_for(lambda: invariants.deploys(world, deployers), 60))
    hold(wait_for(lambda: invariants.loaded(world, deployers), 30))
    hold(wait_for(lambda: invariants.no_leak(world, before), 60))
    hold(wait_for(lambda: invariants.no_litter(world, before), 30))
    problems = (world.ask("GET", "/box/status") or pytest.fail("no status")).json()["problems"]
    journal.say(f"problems shown: {[(one['key'], one['cause'][:120]) for one in problems]}")
    world.box.down()
    hold(wait_for(lambda: "; ".join(f"after down: {p}" for p in world.census().all), 10))
    hold(invariants.database(world.box.home))
    numbers = {d.instance: (len(d.acknowledged), d.tried) for d in deployers}
    journal.say(f"deploys (acknowledged, tried): {numbers}")


def _keep(home: Path, results: Path) -> None:
    """What the box itself said, for whoever looks into a breach."""
    for pattern in SAID:
        for file in home.glob(pattern):
            target = results / file.relative_to(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
