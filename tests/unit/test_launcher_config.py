"""The launcher's command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from launcher.config import Options, parse

NEEDED = {
    "--instance": "one",
    "--dir": "/srv/one",
    "--appliance": "http://127.0.0.1:3000",
    "--port": "13080",
    "--node-red-port": "12080",
    "--node": "/opt/node",
    "--node-red": "/opt/stack",
}
WORDS = [word for pair in NEEDED.items() for word in pair]


def test_what_the_placer_says_arrives() -> None:
    more = ["--memory-mb", "256", "--generation=7", "--boot-fd", "3", "--compile-cache", "/cache", "--pace", "0.5"]
    assert parse([*WORDS, *more]) == Options(
        instance="one",
        dir=Path("/srv/one"),
        appliance="http://127.0.0.1:3000",
        port=13080,
        node_red_port=12080,
        node="/opt/node",
        node_red="/opt/stack",
        compile_cache="/cache",
        memory_mb=256,
        generation=7,
        boot_fd=3,
        pace=0.5,
    )
    assert parse(WORDS).memory_mb is None and parse(WORDS).boot_fd == -1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (WORDS[2:], "instance"),
        ([*WORDS, "--port", "many"], "port"),
        ([*WORDS, "--bogus", "1"], "--bogus"),
        ([*WORDS, "--port"], "--port"),
        ([*WORDS, "word"], "word"),
        ([*WORDS, "--plugins", "/elsewhere"], "--plugins"),
    ],
)
def test_wrong_usage_is_status_2_and_a_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert said in told and "--node-red-port …" in told and told.count("\n") == 1


def test_what_costs_memory_for_life_is_not_loaded_to_read_it() -> None:
    code = f"import sys, launcher.__main__, launcher.config; launcher.config.parse({WORDS!r}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=30, check=True)
    found = set(loaded.stdout.split())
    assert not found & {
        "argparse",
        "shutil",
        "typing_extensions",
        "ssl",
        "tempfile",
        "random",
        "hashlib",
        "email",
        "wsproto",
    }
