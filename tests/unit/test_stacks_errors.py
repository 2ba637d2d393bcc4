"""What npm says, as an error with a cause and a next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import Home
from appliance.system import stacks
from appliance.system.nodejs import Finished


@pytest.mark.parametrize(
    ("lines", "code", "word"),
    [
        (["npm error code ENOTFOUND", "npm error network request to https://r failed"], "no_network", "request to"),
        (["npm error code ECONNREFUSED", "npm error FetchError: connect"], "no_network", "connect"),
        (["npm error code EAI_AGAIN", "npm error getaddrinfo"], "no_network", "getaddrinfo"),
        (["npm error code EINTEGRITY", "npm error sha512-x integrity checksum failed"], "wrong_hash", "checksum"),
        (["npm error code ENOSPC", "npm error nospc no space left"], "disk_full", "is full"),
        (["npm error code SELF_SIGNED_CERT_IN_CHAIN", "npm error self-signed"], "registry_untrusted", "self-signed"),
        (["npm error code UNABLE_TO_GET_ISSUER_CERT_LOCALLY"], "registry_untrusted", "trust"),
        (["npm error code E404", "npm error 404 not found"], "npm_failed", "404"),
        (["something else"], "npm_failed", "npm ended with 1"),
        ([], "npm_failed", "npm ended with 1"),
    ],
)
def test_cause_and_next_step(tmp_path: Path, lines: list[str], code: str, word: str) -> None:
    error = stacks.npm_error(Finished(1, tuple(lines)), tmp_path)
    assert error.code == code
    assert word in str(error)
    assert error.hint


def test_advice_of_npm_is_not_a_cause(tmp_path: Path) -> None:
    tail = (
        "npm error code E500",
        "npm error boom",
        "npm error A complete log of this run can be found in: /x-debug-0.log",
    )
    assert "complete log" not in str(stacks.npm_error(Finished(1, tail), tmp_path))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": 1}', "\x00"])
def test_a_broken_marker_is_no_stack(tmp_path: Path, content: str) -> None:
    home = Home(tmp_path)
    (home.stacks / "a").mkdir(parents=True)
    (home.stacks / "a" / "stack.json").write_text(content)
    assert stacks.find(home, "a") is None


def test_a_stack_whose_files_are_gone_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.stacks / "a").mkdir(parents=True)
    marker = '{"name":"a","node":"1","nodeRed":"5","runtime":"node-1","builtAt":"x","definition":"y"}'
    (home.stacks / "a" / "stack.json").write_text(marker)
    assert stacks.read_marker(home, "a") is not None
    assert stacks.find(home, "a") is None
