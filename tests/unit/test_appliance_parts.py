"""Ports of a box, the log's lines, and what systemd is told."""

from __future__ import annotations

import logging
import socket
import tempfile
import time
from pathlib import Path

import pytest

from appliance.config import Config, Home, load
from appliance.errors import Conflict
from appliance.logs import OneLine
from appliance.ports import Turn, settle
from appliance.system.notify import notify


def box(home: Path, config: str = "") -> tuple[Home, Config]:
    (home / "state").mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(config)
    return Home(home), load(home)


def test_first_box_has_the_usual_ports(home: Path) -> None:
    listen = settle(*box(home), free=lambda _: True).listen
    assert (listen.https, listen.http, listen.port) == (443, 80, 3000)
    assert (listen.public_base, listen.node_red_base, listen.launcher_base) == (10000, 12080, 13080)


def test_without_root_the_high_ports(home: Path) -> None:
    listen = settle(*box(home), free=lambda port: port >= 1024).listen
    assert (listen.https, listen.http) == (8443, 8080)


def test_second_box_has_a_block_of_its_own(home: Path) -> None:
    listen = settle(*box(home), free=lambda port: port not in (443, 80, 8443, 8080, 3000, 10001)).listen
    assert (listen.https, listen.http) == (8444, 8081)
    bases = (listen.public_base, listen.node_red_base, listen.launcher_base)
    assert bases == (14080, 15080, 16080)
    assert max(bases) + 1000 < 32768


def test_chosen_once(home: Path) -> None:
    first = settle(*box(home), free=lambda port: port != 443)
    (home / "instances" / "one").mkdir(parents=True)
    assert settle(*box(home), free=lambda _: False) == first


def test_a_box_that_never_came_up_looks_for_ports_again(home: Path) -> None:
    """Another box that started at the same moment took them."""
    assert settle(*box(home), free=lambda _: True).listen.port == 3000
    assert settle(*box(home), free=lambda port: port != 3000).listen.port != 3000


def test_new_boxes_take_turns_until_they_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second, old = (Home(tmp_path / name) for name in ("first", "second", "old"))
    turn = Turn(first, Config())
    began = time.monotonic()
    Turn(second, Config(), patience_s=0.2).end()
    assert time.monotonic() - began > 0.2, "it did not wait"
    (old.instances / "x").mkdir(parents=True)
    Turn(old, Config(), patience_s=60).end()  # a box that has its ports waits for nobody
    turn.end()
    began = time.monotonic()
    Turn(second, Config(), patience_s=60).end()
    assert time.monotonic() - began < 30


def test_configured_ports_are_never_changed(home: Path) -> None:
    parts = box(home, "[listen]\nhttps = 443\nport = 3000\n")
    listen = settle(*parts, free=lambda port: port not in (443, 3000)).listen
    assert (listen.https, listen.port) == (443, 3000)
    settle(*parts, free=lambda _: True)
    changed = settle(*box(home, "[listen]\nhttps = 9443\n"), free=lambda _: True)
    assert changed.listen.https == 9443


def test_no_ports_left_says_what_to_do(home: Path) -> None:
    with pytest.raises(Conflict) as refused:
        settle(*box(home), free=lambda _: False)
    assert "config.toml" in refused.value.hint
    assert not (home / "state" / "ports.toml").exists()


def test_a_traceback_is_one_line_and_others_text_can_not_forge_one() -> None:
    try:
        raise ValueError("first\nsecond \x1b[31m")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "look: %s", (error,), (ValueError, error, None))
    line = OneLine("%(levelname)s %(message)s").format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "look: first | second" in line


def test_systemd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(f"{directory}/n")
        monkeypatch.setenv("NOTIFY_SOCKET", f"{directory}/n")
        notify("READY=1", "STATUS=up")
        assert door.recv(100) == b"READY=1\nSTATUS=up"
    notify("STOPPING=1")  # nobody is there any more
