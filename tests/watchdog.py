"""Ends a process whose test neither passes nor fails, with the stacks of its threads, so that every run has an end.

pytest-timeout interrupts the main thread once. A test whose clean-up then waits for ever (a thread that can't be
joined, a task that takes no cancelling) would hold up the whole run without a word. In a run with workers the next
worker goes on with what is left, and the test counts as failed.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator

import pytest

# Beyond the test's own limit there may come one for its fixtures' clean-up and what they end by force.
SLACK_S = 60
STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """pytest puts its own file over descriptor 2 while a test runs; the stacks must reach the terminal."""
    config.stash[STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Every test, with its fixtures, within twice its own limit and a minute."""
    _wind(item)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Wound up anew for the clean-up of a test that failed: pytest stops every such clock at a failure."""
    if isinstance(node, pytest.Item):
        _wind(node)


def _wind(item: pytest.Item) -> None:
    faulthandler.dump_traceback_later(2 * _limit(item) + SLACK_S, exit=True, file=item.config.stash[STDERR])


def _limit(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    if marker is not None:
        return float(marker.args[0] if marker.args else marker.kwargs["timeout"])
    return float(item.config.getoption("timeout") or item.config.getini("timeout"))
