"""Every command's --help has an example, and the example is one."""

from __future__ import annotations

import shlex

import pytest

from tui.cli.examples import EXAMPLES
from tui.cli.main import COMMANDS
from tui.cli.parser import APPLIANCE, build, parse


def test_every_command_has_one() -> None:
    assert set(EXAMPLES) == {name for name in COMMANDS if name and name not in APPLIANCE}


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_what_the_command_takes(name: str) -> None:
    words = shlex.split(EXAMPLES[name].partition(" > ")[0])
    assert words[0] == "weir"
    assert parse(build(COMMANDS), words[1:]).command == name


def test_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(build(COMMANDS), ["library", "put", "--help"])
    assert "Example: weir library put pumps/start start.json" in capsys.readouterr().out
