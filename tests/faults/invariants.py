"""What has to be true when all faults are over. Each check says in a sentence what is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
from msgspec import Struct

from tests.faults import census, flows
from tests.faults.load import Deployer, right
from tests.faults.world import World

# A connection or two that is being closed; the threads of pools, which start when they are first needed.
MORE_DESCRIPTORS, MORE_THREADS, MORE_TASKS, MORE_MB = 12, 10, 6, 40.0


class Baseline(Struct):
    """What was held, and which files there were, before the first fault."""

    appliance: census.Weight | None
    launcher: census.Weight | None
    tasks: int
    files: set[str]


def baseline(world: World) -> Baseline:
    seen = world.census()
    return Baseline(_most(seen.appliance), _most(_flat(seen.launchers)), _tasks(world)[0], _files(world.box.home))


def as_wished(world: World) -> str:
    """Desired is what was acknowledged last, shown is desired, and real is both."""
    status = _status(world)
    if status is None:
        return "the appliance does not answer"
    shown = {one["name"]: one for one in status["instances"]}
    wrong = [complaint for name in world.instances if (complaint := _instance(world, name, shown.get(name)))]
    return "; ".join(wrong)


def processes(world: World) -> str:
    """One appliance, one nginx, one launcher and one Node-RED where they are wished, and nothing else."""
    seen, wrong = world.census(), []
    if len(seen.appliance) != 1:
        wrong.append(f"{len(seen.appliance)} appliances")
    if len(seen.nginx) != 1 or not seen.workers:
        wrong.append(f"{len(seen.nginx)} nginx with {len(seen.workers)} workers")
    known = {one.id: one.name for one in world.instances.values()}
    for kind, found in (("launcher", seen.launchers), ("Node-RED", seen.node_reds)):
        for instance in {*known, *found}:
            wished = world.wishes.get(known.get(instance, ""), "")
            expected = int(wished == "running" or (wished == "stopped" and kind == "launcher"))
            if len(found.get(instance, [])) != expected:
                wrong.append(f"{len(found.get(instance, []))} x {kind} of {known.get(instance, instance)}")
    wrong += [f"left over: {census.name(process)}" for process in seen.others]
    wrong += [f"nobody waits for {census.name(process)} of {process.ppid()}" for process in seen.zombies]
    return "; ".join(wrong)


def answers(world: World) -> str:
    """Every instance that is to run answers through nginx, with its own words."""
    wrong = []
    with httpx.Client(verify=False, timeout=20) as client:
        for name, instance in world.instances.items():
            if world.wishes[name] == "running":
                try:
                    answer = client.get(f"{instance.url}/echo", params={"n": 7})
                except httpx.HTTPError as error:
                    wrong.append(f"{name}: {type(error).__name__}")
                    continue
                if answer.status_code != 200 or not right(answer, name, 7):
                    wrong.append(f"{name} answers {answer.status_code} {answer.text[:80]!r}")
    return "; ".join(wrong)


def deploys(world: World, deployers: Iterable[Deployer]) -> str:
    """The newest acknowledged deploy of each instance is stored, or kept by name; a later one whose answer was lost
    may be there in its place."""
    wrong = []
    for deployer in deployers:
        newest = max(deployer.acknowledged, default=0)
        answer = world.ask("GET", f"/instances/{deployer.instance}/flows")
        if answer is None or answer.status_code != 200:
            wrong.append(f"{deployer.instance}: its flows can't be read")
            continue
        stored = flows.deployed(answer.json()["flows"])
        if stored < newest and newest not in _kept(world, deployer.instance):
            wrong.append(f"{deployer.instance}: deploy {newest} was acknowledged, {stored} is stored")
    return "; ".join(wrong)


def loaded(world: World, deployers: Iterable[Deployer]) -> str:
    """Node-RED runs what the platform has."""
    wrong = []
    with httpx.Client(verify=False, timeout=20) as client:
        for deployer in deployers:
            answer = world.ask("GET", f"/instances/{deployer.instance}/flows")
            stored = flows.deployed(answer.json()["flows"]) if answer is not None else -1
            client.headers["Authorization"] = f"Bearer {deployer.login()}"
            running = flows.deployed(client.get(f"{world.instances[deployer.instance].url}/flows").json())
            if running != stored:
                wrong.append(f"{deployer.instance} runs deploy {running}, {stored} is stored")
    return "; ".join(wrong)


def no_leak(world: World, before: Baseline) -> str:
    """Descriptors, threads, memory and tasks are what they were."""
    seen, wrong = world.census(), []
    tasks, names = _tasks(world)
    if tasks > before.tasks + MORE_TASKS:
        wrong.append(f"appliance: {before.tasks} tasks before, {tasks} after: {names}")
    for who, found, was in (
        ("appliance", seen.appliance, before.appliance),
        ("launcher", _flat(seen.launchers), before.launcher),
    ):
        now = _most(found)
        if now is None or was is None:
            continue
        if now.descriptors > was.descriptors + MORE_DESCRIPTORS or now.threads > was.threads + MORE_THREADS:
            wrong.append(f"{who}: {was} before, {now} after")
        elif now.rss_mb > was.rss_mb + MORE_MB:
            wrong.append(f"{who}: memory {was.rss_mb:.0f} MB before, {now.rss_mb:.0f} MB after")
    return "; ".join(wrong)


def no_litter(world: World, before: Baseline) -> str:
    """No temporary file, no spool that still holds something, nothing that was not there before."""
    new = sorted(name for name in _files(world.box.home) - before.files if not _expected(name))
    return f"new files: {', '.join(new[:20])}" if new else ""


def database(home: Path) -> str:
    """The database is sound; asked when the box is down."""
    with closing(sqlite3.connect(f"file:{home / 'state' / 'weir.db'}?mode=ro", uri=True)) as db, db:
        sound = [row[0] for row in db.execute("PRAGMA integrity_check")]
        loose = db.execute("PRAGMA foreign_key_check").fetchall()
    db.close()
    return "" if sound == ["ok"] and not loose else f"database: {sound[:5]}, loose rows {loose[:5]}"


def _status(world: World) -> dict[str, Any] | None:
    return _json(world, "/box/status") or None


def _instance(world: World, name: str, shown: dict[str, Any] | None) -> str:
    answer = world.ask("GET", f"/instances/{name}")
    if shown is None or answer is None or answer.status_code != 200:
        return f"{name} is not shown"
    instance = answer.json()
    wished, meta = instance["desired"], instance["meta"]
    if name in world.unsure:
        world.wishes[name] = wished
        world.unsure.discard(name)
    if wished != world.wishes[name]:
        return f"{name}: {world.wishes[name]} was acknowledged, desired is {wished}"
    if meta["state"] != wished or shown["state"] != wished:
        return f"{name}: desired {wished}, shown {meta['state']} ({meta['reason']}: {meta['message']})"
    real = world.census()
    pids = [[p.pid for p in some.get(instance["id"], [])] for some in (real.launchers, real.node_reds)]
    told = [[pid] if pid else [] for pid in (shown["launcher_pid"], shown["node_red_pid"])]
    return "" if told == pids else f"{name}: pids {told} are shown, {pids} run"


def _tasks(world: World) -> tuple[int, dict[str, int]]:
    names: dict[str, int] = _json(world, "/box/tasks").get("names", {})
    return sum(names.values()), names


def _kept(world: World, name: str) -> set[int]:
    """Numbers of deploys that were kept by name because the platform's flows had changed."""
    path = f"/projects/{world.instances[name].id}/kept"
    kept = [_json(world, f"{path}/{one['id']}") for one in _json(world, path).get("kept", [])]
    numbers = {flows.deployed(one["flows"]) for one in kept if "flows" in one}
    world.journal.say(f"{name}: deploys kept by name: {sorted(numbers)}")
    return numbers


def _json(world: World, path: str) -> dict[str, Any]:
    """The answer, empty where there is none."""
    answer = world.ask("GET", path)
    return dict(answer.json()) if answer is not None and answer.status_code == 200 else {}


def _flat(found: dict[str, list[psutil.Process]]) -> list[psutil.Process]:
    return [process for some in found.values() for process in some]


def _most(found: list[psutil.Process]) -> census.Weight | None:
    weights = [weight for process in found if (weight := census.weigh(process))]
    if not weights:
        return None
    return census.Weight(
        max(each.descriptors for each in weights),
        max(each.threads for each in weights),
        max(each.rss_mb for each in weights),
    )


def _files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir() or path.is_symlink()}


def _expected(name: str) -> bool:
    """Files that come and go in the ordinary way."""
    ordinary = (
        "/launcher/logs/",
        "/node_modules/",
        "logs/",
        "tls/",
        "nginx/",
        "run/up/",
        "state/backups/",
        "state/weir.db",
        "state/peaks.json",
        "state/wear.json",
        "state/reserve",
        "state/alerts.json",
    )
    if ".tmp" in name or "spool" in name:
        return False
    return any(part in name for part in ordinary) or name.endswith(("/.config.nodes.json.backup", "launcher.out"))
