"""Stacks: a pinned Node.js and a pinned Node-RED, built once on the box, read-only, shared by its instances.

`stacks/<name>/` holds `node_modules`, `compile-cache` and, written last, `stack.json`: without it there is no stack.
The V8 cache depends on the paths it was made for and on the account (Node.js puts the uid in its folder's name):
another uid, or a moved home, costs 0.3 s at each start and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.config import Home
from appliance.errors import Internal, Invalid, Unavailable, WeirError
from appliance.model import StackRef
from appliance.system import nodejs, stack_files
from appliance.system.files import write_atomic
from appliance.system.nodejs import Finished, Runtime

DEFAULT = "node-red-5"
DEFINITIONS = Path(__file__).resolve().parent.parent / "stacks"

Report = Callable[[str, float], None]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NEEDED_BYTES = 400 * 2**20
_INSTALL_DEADLINE_S = 1500
_WARM_DEADLINE_S = 120

_WARM_SETTINGS = """module.exports = {
  uiHost: "127.0.0.1", uiPort: 0, flowFile: "flows.json", credentialSecret: false,
  logging: { console: { level: "info" } },
  adminAuth: { type: "credentials", users: () => Promise.resolve(null), authenticate: () => Promise.resolve(null) }
}
"""
# Runs the code that most flows run, so that V8 keeps it compiled.
_WARM_FLOW = [
    {"id": "f1", "type": "tab", "label": "warm"},
    {
        "id": "f2",
        "type": "inject",
        "z": "f1",
        "once": True,
        "props": [{"p": "payload"}],
        "payloadType": "date",
        "wires": [["f3"]],
    },
    {"id": "f3", "type": "function", "z": "f1", "func": "return msg;", "outputs": 1, "wires": [["f4"]]},
    {
        "id": "f4",
        "type": "change",
        "z": "f1",
        "rules": [{"t": "set", "p": "topic", "pt": "msg", "to": "x", "tot": "str"}],
        "wires": [["f5"]],
    },
    {"id": "f5", "type": "debug", "z": "f1", "complete": "payload", "active": True, "wires": []},
    {"id": "f6", "type": "http in", "z": "f1", "url": "/warm", "method": "get", "wires": [["f7"]]},
    {"id": "f7", "type": "http response", "z": "f1", "wires": []},
]


class Marker(Struct, frozen=True, rename="camel"):
    """`stack.json`: what was built. `runtime` is a folder name under `runtimes/`."""

    name: str
    node: str
    node_red: str
    runtime: str
    built_at: str
    definition: str  # sha256 of the lock file it was built from


def names() -> list[str]:
    """The stacks that this version of Weir can build."""
    return sorted(p.parent.name for p in DEFINITIONS.glob("*/package-lock.json"))


def versions() -> dict[str, str]:
    """The version of Node-RED in each stack that this version of Weir can build."""
    return {
        name: str(json.loads((DEFINITIONS / name / "package.json").read_bytes())["dependencies"]["node-red"])
        for name in names()
    }


def name_of(version: str) -> str:
    """The stack that has this Node-RED: `5`, `4.1` or a whole version. Raises Invalid."""
    known = versions()
    for name, exact in sorted(known.items(), reverse=True):
        if exact == version or exact.startswith(f"{version}."):
            return name
    hint = f"Known: {', '.join(sorted(known.values()))}."
    raise Invalid(f"this Weir builds no Node-RED {version}", code="unknown_stack", hint=hint)


def remove(home: Home, name: str) -> None:
    """Remove the built stack `name`; gone already is fine. Nothing may run on it any more. Blocks."""
    if not _NAME.fullmatch(name) or not (home.stacks / name).is_dir():
        return
    with nodejs.locked(home.stacks / f".{name}.lock", waiting=lambda: None):
        target = home.stacks / name
        target.chmod(0o755)
        (target / "stack.json").unlink(missing_ok=True)  # first: half a stack is none
        remove_tree(target)


def built(home: Home) -> list[str]:
    """The stacks that are built on this box. Looks at files."""
    return sorted(file.parent.name for file in home.stacks.glob("*/stack.json"))


def find(home: Home, name: str) -> StackRef | None:
    """The built stack `name` with absolute paths, or None: not built, half-built, or its files are gone."""
    marker = read_marker(home, name)
    if marker is None:
        return None
    directory = home.stacks / name
    node = home.runtimes / marker.runtime / "bin" / "node"
    if not node.exists() or not _node_red(directory).exists():
        return None
    cache = directory / "compile-cache"
    return StackRef(name, str(node), str(directory), str(cache) if cache.is_dir() else "")


def read_marker(home: Home, name: str) -> Marker | None:
    """What the marker of a built stack says (versions, time), or None."""
    if not _NAME.fullmatch(name):
        return None
    try:
        return msgspec.json.decode((home.stacks / name / "stack.json").read_bytes(), type=Marker)
    except (OSError, msgspec.DecodeError):
        return None


def build(home: Home, name: str = DEFAULT, report: Report = lambda _step, _fraction: None) -> StackRef:
    """Build the stack `name`; one that is built already and whole is answered at once, a broken one built anew.

    Blocking, minutes at the first time: for a process of its own. `report(step, fraction)` tells how far it is (0…1).
    Two builds at once wait for each other. After any failure nothing half-written is found, and the next try starts
    clean. Raises Invalid (no such stack), Unavailable (network, disk), Internal (the pinned packages do not work).
    """
    definition = _definition(name)
    if (built := _sound(home, name)) is not None:
        return built
    with nodejs.no_space_named(home.stacks):
        home.stacks.mkdir(parents=True, exist_ok=True)
        lock = home.stacks / f".{name}.lock"
        with nodejs.locked(lock, waiting=lambda: report("waiting for another build", 0.0)):
            return _sound(home, name) or _Build(home, name, definition, report).run()


def wrong(home: Home, name: str) -> str:
    """What is wrong with the built stack `name`, in words; empty when all is well or it is not built. Blocks."""
    marker = read_marker(home, name)
    if marker is None:
        return ""
    node = home.runtimes / marker.runtime / "bin" / "node"
    return stack_files.node_trouble(node, marker.node) or stack_files.differences(home.stacks / name)


def _sound(home: Home, name: str) -> StackRef | None:
    """The built stack when it is whole. A Node.js that does not run is taken away, so that it is placed anew."""
    built = find(home, name)
    if built is None or not wrong(home, name):
        return built
    marker = read_marker(home, name)
    if marker is not None and stack_files.node_trouble(Path(built.node), marker.node):
        Path(built.node).unlink(missing_ok=True)
    return None


def _definition(name: str) -> Path:
    directory = DEFINITIONS / name
    if not _NAME.fullmatch(name) or not (directory / "package-lock.json").exists():
        raise Invalid(f"no stack is called '{name}'", code="unknown_stack", hint=f"Known: {', '.join(names())}.")
    return directory


class _Build:
    """One build of one stack, under its lock."""

    def __init__(self, home: Home, name: str, definition: Path, report: Report) -> None:
        self.home = home
        self.target = home.stacks / name
        self.name = name
        self.definition = definition
        self.report = report

    def run(self) -> StackRef:
        self._clear()
        broken = self.target.is_dir()  # built and no longer whole: it serves until the new one can take its place
        if shutil.disk_usage(self.home.stacks).free < _NEEDED_BYTES:
            raise nodejs.no_space(self.home.stacks)
        self.report("placing Node.js", 0.01)
        runtime = nodejs.ensure_runtime(self.home)
        building = Path(tempfile.mkdtemp(prefix=f".build-{self.name}-", dir=self.home.stacks))
        try:
            self._install(runtime, building)
            building.chmod(0o755)
            if broken:
                self._set_aside()
            building.rename(self.target)
            self._finish(runtime)
        except BaseException:
            remove_tree(building)
            self._clear()  # no marker was written: what is there is half a stack
            raise
        built = find(self.home, self.name)
        if built is None:
            raise Internal(f"the stack '{self.name}' was built but cannot be read back", hint="Build it again.")
        self.report("ready", 1.0)
        return built

    def _clear(self) -> None:
        """Remove what killed or failed builds left."""
        for left_over in self.home.stacks.glob(f".build-{self.name}-*"):
            remove_tree(left_over)
        if self.target.is_dir() and find(self.home, self.name) is None:
            remove_tree(self.target)

    def _set_aside(self) -> None:
        aside = Path(tempfile.mkdtemp(prefix=f".build-{self.name}-", dir=self.home.stacks))
        self.target.chmod(0o755)
        self.target.rename(aside / "broken")
        remove_tree(aside)

    def _install(self, runtime: Runtime, directory: Path) -> None:
        for file in ("package.json", "package-lock.json"):
            shutil.copyfile(self.definition / file, directory / file)
        finished = nodejs.run(
            [runtime.node, runtime.npm, *NPM_CI],
            cwd=directory,
            env=nodejs.environment(self.home, runtime, patience()),
            deadline_s=_INSTALL_DEADLINE_S,
            line=_Counter(directory / "package-lock.json", self.report).line,
        )
        if finished.code != 0:
            raise npm_error(finished, directory)

    def _finish(self, runtime: Runtime) -> None:
        self.report("starting Node-RED once", 0.85)
        version = json.loads(_node_red(self.target).with_name("package.json").read_bytes())["version"]
        self._warm(runtime)
        self.report("writing to disk", 0.95)
        make_read_only(self.target)
        nodejs.flush_to_disk()
        self._mark(runtime, version)

    def _warm(self, runtime: Runtime) -> None:
        """Start Node-RED on a throw-away folder: proves that it starts, and leaves V8's compile cache."""
        cache = self.target / "compile-cache"
        with tempfile.TemporaryDirectory(prefix=".build-", dir=self.home.stacks) as scratch:
            directory = Path(scratch)
            (directory / "settings.js").write_text(_WARM_SETTINGS)
            (directory / "flows.json").write_text(json.dumps(_WARM_FLOW))
            started = nodejs.run(
                [runtime.node, str(_node_red(self.target)), "-u", scratch, "-s", f"{scratch}/settings.js"],
                cwd=directory,
                env={**_bare(runtime), "HOME": scratch, "NODE_COMPILE_CACHE": str(cache)},
                deadline_s=_WARM_DEADLINE_S,
                line=lambda text: "Started flows" in text,
            )
        if started.code is not None:
            raise Internal(
                f"Node-RED of the stack '{self.name}' does not start: {_reason(started.tail)}",
                hint="Free memory and disk, then build again; if it stays, report this sentence.",
            )

    def _mark(self, runtime: Runtime, node_red: str) -> None:
        marker = Marker(
            name=self.name,
            node=runtime.version,
            node_red=node_red,
            runtime=Path(runtime.node).parents[1].name,
            built_at=datetime.now(UTC).isoformat(timespec="seconds"),
            definition=hashlib.sha256((self.definition / "package-lock.json").read_bytes()).hexdigest(),
        )
        self.target.chmod(0o755)
        stack_files.record(self.target)
        write_atomic(self.target / "stack.json", msgspec.json.encode(marker), mode=0o444)
        self.target.chmod(0o555)


NPM_CI = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=http", "--no-progress")


def patience() -> dict[str, str]:
    """npm's own defaults wait a minute and more before they say that there is no network."""
    wanted = {"npm_config_fetch_retry_mintimeout": "2000", "npm_config_fetch_retry_maxtimeout": "10000"}
    return {k: v for k, v in wanted.items() if k not in os.environ and k.upper() not in os.environ}


def _bare(runtime: Runtime) -> dict[str, str]:
    return {"PATH": f"{Path(runtime.node).parent}:/usr/bin:/bin", "LANG": "C.UTF-8"}


def _node_red(directory: Path) -> Path:
    return directory / "node_modules" / "node-red" / "red.js"


class _Counter:
    """Turns npm's one line per fetched package into progress from 0.05 to 0.85."""

    def __init__(self, lock: Path, report: Report) -> None:
        packages = json.loads(lock.read_bytes())["packages"].values()
        self._total = max(1, sum("integrity" in package for package in packages))
        self._report = report
        self._seen = 0
        report("installing Node-RED", 0.05)

    def line(self, text: str) -> bool:
        if text.startswith(("npm http fetch", "npm http cache")):
            self._seen += 1
            # A package costs one request for its archive, at times one more for its description.
            self._report("installing Node-RED", min(0.84, 0.05 + 0.8 * self._seen / (1.9 * self._total)))
        return False


_NETWORK = (
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH"),
    *("ERR_SOCKET_TIMEOUT", "EPROTO", "FETCH_ERROR"),
)
_CERTIFICATE = ("SELF_SIGNED", "UNABLE_TO_GET_ISSUER", "UNABLE_TO_VERIFY", "CERT_", "ERR_TLS")


def npm_error(finished: Finished, where: Path) -> WeirError:
    """The error behind npm's last lines: cause and next step."""
    lines = [text.removeprefix("npm error ") for text in finished.tail if text.startswith("npm error")]
    code = next((text.removeprefix("code ").strip() for text in lines if text.startswith("code ")), "")
    said = _cause([text for text in lines if not text.startswith("code ")]) or f"npm ended with {finished.code}"
    everything = " ".join((code, *lines))
    if "ENOSPC" in everything:
        return nodejs.no_space(where)
    if code == "EINTEGRITY":
        return Unavailable(
            f"a package is not what this version of Weir was made with: {said}",
            code="wrong_hash",
            hint="Nothing was installed. Empty npm's cache (npm cache clean --force) and build again.",
        )
    if code.startswith(_CERTIFICATE) or any(word in said for word in _CERTIFICATE):
        return Unavailable(
            f"cannot trust the package registry: {said}",
            code="registry_untrusted",
            hint="Set NODE_EXTRA_CA_CERTS to the file of your network's CA, or npm's 'cafile', and build again.",
        )
    if code.startswith(_NETWORK) or any(word in everything for word in _NETWORK):
        return Unavailable(
            f"cannot reach the package registry: {said}",
            code="no_network",
            hint="Connect the box or set 'https_proxy' or npm's 'registry', then run: weir stack build",
        )
    return Unavailable(
        f"npm could not install the stack: {said}", code="npm_failed", hint="Mend that and run: weir stack build"
    )


def _reason(tail: Sequence[str]) -> str:
    """The line of a failed start that says why: the first error, else the last words."""
    said = [text.strip() for text in tail if text.strip()]
    errors = [text for text in said if re.match(r"\S*Error\b", text)]
    return " / ".join((errors or said[-3:])[:3])[:400] or "it printed nothing"


def _cause(lines: Sequence[str]) -> str:
    """The first lines that say something, without npm's advice at the end."""
    said = [text.strip() for text in lines if text.strip() and "debug-" not in text and "complete log" not in text]
    return " ".join(said)[:400]


def make_read_only(directory: Path) -> None:
    """Everything below `directory`, and itself: readable by all accounts, writable by none. Links are left alone."""
    for folder, _, files in os.walk(directory, topdown=False):
        for path in (*(Path(folder, file) for file in files), Path(folder)):
            if not path.is_symlink():
                executable = 0o111 if path.is_dir() else 0
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222 | 0o444 | executable)


def remove_tree(directory: Path) -> None:
    """Remove a tree that may be read-only; gone already is fine."""
    if not directory.is_dir():
        return
    for folder, _, _ in os.walk(directory):
        Path(folder).chmod(0o755)
    shutil.rmtree(directory)
