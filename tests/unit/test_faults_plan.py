"""The seeded fault run: its order is the seed's alone, and its eyes see what they are there for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.faults import census, flows
from tests.faults.actions import ACTIONS
from tests.faults.journal import Journal
from tests.faults.load import Pulse, right
from tests.faults.plan import ENDS_APPLIANCE, ENDS_IN_A_ROW, ENDS_NODE_RED, FORGIVES, WEIGHTS, plan

NAMES = ("a", "b", "c")


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_a_seed_makes_the_same_plan_again(seed: int) -> None:
    steps = plan(seed, 300, NAMES)
    assert steps == plan(seed, 300, NAMES) != plan(seed + 1, 300, NAMES)
    assert len(steps) > 60
    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)


def test_every_fault_of_the_plan_can_be_carried_out_and_comes_up() -> None:
    assert set(WEIGHTS) == set(ACTIONS)
    assert {step.what for seed in range(20) for step in plan(seed, 300, NAMES)} == set(WEIGHTS)


def test_nobody_is_driven_into_a_crash_loop() -> None:
    for seed in range(20):
        ends: Counter[str] = Counter()
        for step in plan(seed, 300, NAMES):
            ends[step.whom] = 0 if step.what in FORGIVES else ends[step.whom] + (step.what in ENDS_NODE_RED)
            assert ends[step.whom] <= ENDS_IN_A_ROW


def test_leaks_of_the_appliance_have_time_to_show() -> None:
    for seed in range(20):
        ends = [step.at_s for step in plan(seed, 300, NAMES) if step.what in ENDS_APPLIANCE]
        assert ends and max(ends) <= 200


def test_a_run_that_is_heard_again_ran_beside_another(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    pulse = Pulse(journal)
    try:
        for run in ("one", "one", "two", "two"):
            assert httpx.get(pulse.url, params={"instance": "a", "run": run}).status_code == 200
        assert journal.breaches == []
        httpx.get(pulse.url, params={"instance": "a", "run": "one"})
    finally:
        pulse.close()
        journal.close()
    assert journal.breaches == ["two Node-REDs of a: run 0 beside run 1"]
    assert "BROKEN: two Node-REDs of a" in (tmp_path / "journal").read_text()


def test_an_answer_of_somebody_else_is_not_right() -> None:
    def answer(text: str) -> httpx.Response:
        return httpx.Response(200, text=text)

    assert right(answer('{"instance": "a", "n": "1"}'), "a", 1)
    for wrong in ('{"instance": "b", "n": "1"}', '{"instance": "a", "n": "2"}', "<html>", ""):
        assert not right(answer(wrong), "a", 1)


def test_the_stored_deploy_is_told_by_its_number() -> None:
    assert flows.deployed(flows.flows("a", "http://127.0.0.1:1/", 41)) == 41
    assert flows.deployed([]) == 0


@pytest.mark.parametrize("trace", ["argument", "directory", "environment", "file"])
def test_the_census_finds_whatever_has_to_do_with_a_home(tmp_path: Path, trace: str) -> None:
    home = tmp_path / "h"
    home.mkdir()
    code = "import sys, time; print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, *([str(home)] if trace == "argument" else [])]
    environment = {**os.environ, **({"SOMETHING": str(home / "x")} if trace == "environment" else {})}
    with (home / "open").open("w") as file:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=home if trace == "directory" else "/",
            stderr=file if trace == "file" else None,
        )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        assert [found.pid for found in census.take(home).others] == [process.pid]
        process.send_signal(signal.SIGSTOP)
        assert [found.pid for found in census.take(home).others] == [process.pid]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert census.take(home).all == []
