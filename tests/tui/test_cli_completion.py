"""Completion in the real shells on a pseudo-terminal, with names from the appliance's real web part."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.model import Role
from tests.support import eventually
from tests.tui.conftest import Weir
from tests.tui.test_terminal import Terminal, terminal
from tests.web_box import WebBox

SHELL = ("-c", "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])")
SEARCHED = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


async def _completed(line: Terminal, typed: str, expected: str) -> None:
    """Type, press Tab, and see the line that is there then; it is thrown away afterwards."""
    before = len(line.text)
    line.press(f"{typed}\t".encode())
    await eventually(lambda: expected in line.text[before:].replace("\r", ""), 15, what=f"{expected!r} after {typed!r}")
    line.press(b"\x15")  # kill the line


async def _all_kinds(line: Terminal) -> None:
    await _completed(line, "weir insta", "weir instance ")
    await _completed(line, "weir instance rest", "weir instance restart ")
    await _completed(line, "weir instance restart pum", "weir instance restart pump-7 ")
    await _completed(line, "weir team member role ho", "weir team member role home ")
    await _completed(line, "weir user create x --ro", "--role ")
    await _completed(line, "weir user create x --role vie", "--role viewer ")
    await _completed(line, "weir instance copy pump-7 other --env=ke", "--env=keys")


async def test_bash_completes_verbs_options_and_live_names(real: WebBox, home: Path) -> None:
    await real.instance("pump-7")
    arguments = ("bash", "--norc", "--noprofile", "-i")
    async with terminal(home, *arguments, program=SHELL, PATH=SEARCHED, PS1="ready> ") as line:
        line.press(b"source <(weir completion bash); echo is-$((1+1))\n")
        await eventually(lambda: "is-2" in line.text, 15)
        await _all_kinds(line)


@pytest.fixture(scope="session")
def zsh(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Zsh and its settings: the machine's, or the distribution's unpacked where it changes nothing."""
    settings = tmp_path_factory.mktemp("zsh")
    (settings / ".zshrc").write_text("PS1='ready> '\n")
    if found := shutil.which("zsh"):
        return found, settings
    fetched = subprocess.run(
        ["apt-get", "download", "zsh", "zsh-common"], cwd=settings, capture_output=True, timeout=60, check=False
    )
    packages = list(settings.glob("*.deb"))
    if fetched.returncode or len(packages) != 2:
        pytest.skip("no zsh here, and apt has none to give")
    for package in packages:
        subprocess.run(["dpkg", "-x", str(package), str(settings)], check=True, timeout=60)
    modules = next(settings.glob("usr/lib/*/zsh/*"))
    functions = settings / "usr/share/zsh/functions"
    text = f"module_path=({modules})\nfpath=({functions} {functions}/**/*(/N))\n"
    (settings / ".zshenv").write_text(text)
    return str(settings / "bin/zsh"), settings


async def test_zsh_completes_verbs_options_and_live_names(real: WebBox, home: Path, zsh: tuple[str, Path]) -> None:
    await real.instance("pump-7")
    program, settings = zsh
    async with terminal(home, program, "-i", program=SHELL, PATH=SEARCHED, ZDOTDIR=str(settings)) as line:
        line.press(b"source <(weir completion zsh); echo is-$((1+1))\n")
        await eventually(lambda: "is-2" in line.text, 20)
        await _all_kinds(line)


async def test_a_tab_is_answered_at_once_and_says_nothing_wrong(real: WebBox, weir: Weir, home: Path) -> None:
    await real.instance("pump-7")
    assert (await weir("--complete", "bash", "weir instance start ")).out == "pump-7\n"
    taken = []
    for _ in range(3):
        began = time.monotonic()
        await weir("--complete", "bash", "weir instance start ")
        taken.append(time.monotonic() - began)
    assert min(taken) < 1.0, taken  # 0.3 s on an idle box; the tests share two processors
    for line in ("", "weir", "weir nonsense ", "weir instance start 'open", "weir --home /nowhere instance start "):
        done = await weir("--complete", "bash", line)
        assert done.err == "", line
    files = await weir("--complete", "bash", "weir instance create x --flows ")
    assert (files.code, files.out) == (3, "")


async def test_names_of_a_box_elsewhere_are_kept_for_a_while(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    await real.instance("pump-7")
    token = tmp_path / "token"
    admin = await real.person("remote", Role.OWNER)
    token.write_text(await real.token(admin))
    cache = tmp_path / "cache"
    url = f"http://127.0.0.1:{real.port}"
    line = f"weir --url {url} --token-file {token} instance start "
    env = {"XDG_CACHE_HOME": str(cache)}
    assert (await weir("--complete", "bash", line, env=env)).out == "pump-7\n"
    (kept,) = (cache / "weir").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    await real.instance("later")
    assert (await weir("--complete", "bash", line, env=env)).out == "pump-7\n"
    old = time.time() - 61
    os.utime(kept, (old, old))
    assert (await weir("--complete", "bash", line, env=env)).out == "later\npump-7\n"
