"""A bundle: one file with all that an installation needs, made where there is a network, for boxes where there is none.

A tar archive of `install.sh`, `systemd/`, `constraints.txt`, `wheels/` (Weir, its Python packages, Node.js), `npm/` (a
cache of npm with Node-RED and the chosen packages of palettes), perhaps `debs/`, and two lists: `bundle` says what it
is for, `SHA256SUMS` what is in it: a file that is not listed, or not as listed, keeps the bundle from being used. It is
not signed: its own SHA-256, which `make` says, is what to compare where others have carried it. It is for one processor
and one version of Python: those of the machine it is made on.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from appliance import __path__ as _package
from appliance.config import Home
from appliance.errors import Invalid, Unavailable
from appliance.system import nodejs, stacks

Say = Callable[[str], None]

STEP_S = 1800.0
_BASE = frozenset({"required", "important", "standard"})  # what every Debian has


def source() -> Path:
    """Where this Weir was made from: a checkout, or the installed release. Raises Invalid."""
    checkout = Path(next(iter(_package))).resolve().parent
    for place in (checkout, Path(sys.prefix)):
        if (place / "install.sh").is_file() and (place / "systemd").is_dir():
            return place
    raise Invalid("this Weir is neither a checkout nor installed by install.sh", hint="Make the bundle in a checkout.")


def make(target: Path, palette: Sequence[str], *, debian: bool, say: Say) -> None:
    """Write the bundle `target`. `palette`: packages as npm names them, `name` or `name@version`.

    Raises Invalid (a package that npm doesn't know by its form), Unavailable (network, disk). Then there is no file.
    """
    for each in palette:
        if each.startswith("-") or any(sign in each for sign in " \t\n/\\:") and not each.startswith("@"):
            raise Invalid(f"'{each}' is not the name of a package", hint="Like: node-red-dashboard@3.6.5")
    origin = source()
    with tempfile.TemporaryDirectory(prefix="weir-bundle-") as scratch:
        inside = Path(scratch) / "bundle"
        inside.mkdir()
        say("Python packages and Node.js")
        version = _wheels(origin, inside / "wheels")
        say("Node-RED" + (f" and {', '.join(palette)}" if palette else ""))
        _npm(inside / "npm", Path(scratch), palette)
        if debian:
            say("Debian packages")
            _debian(origin, inside / "debs")
        for name in ("install.sh", "constraints.txt"):
            shutil.copy2(origin / name, inside / name)
        shutil.copytree(origin / "systemd", inside / "systemd", ignore=shutil.ignore_patterns("__pycache__"))
        _describe(inside, version, palette)
        say("writing")
        beside = target.with_name(f".{target.name}.part")
        try:
            with tarfile.open(beside, "w") as archive:
                archive.add(inside, arcname=".")
            beside.replace(target)
            say(f"SHA-256 {_sum(target)}")
        finally:
            beside.unlink(missing_ok=True)


def _wheels(origin: Path, wheels: Path) -> str:
    """Weir's own and all that it needs; the version of Weir."""
    built = list((origin / "wheel").glob("weir-*.whl"))
    what = str(built[0]) if built else _tree(origin, wheels.parent.parent / "tree")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir", str(wheels)]
    _run([*pip, "-c", str(origin / "constraints.txt"), what], "the Python packages can't be fetched")
    own = next(wheels.glob("weir-*.whl"))
    return own.name.split("-")[1]


def _tree(origin: Path, copy: Path) -> str:
    """What the wheel is built from: a copy, so that nothing is written into the checkout."""
    copy.mkdir()
    names = ("pyproject.toml", "README.md", "appliance", "launcher", "tui", "nginx", "mosquitto", "systemd")
    for name in names:
        place = origin / name
        if place.is_dir():
            shutil.copytree(place, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif place.exists():
            shutil.copy2(place, copy / name)
    return str(copy)


def _npm(cache: Path, scratch: Path, palette: Sequence[str]) -> None:
    home = Home(scratch / "home")
    home.root.mkdir()
    runtime = nodejs.ensure_runtime(home)
    environment = nodejs.environment(home, runtime, {**stacks.patience(), "npm_config_cache": str(cache)})
    npm = [runtime.node, runtime.npm]
    for name in stacks.names():
        work = scratch / f"stack-{name}"
        shutil.copytree(stacks.DEFINITIONS / name, work)
        _run([*npm, *stacks.NPM_CI], f"{name} can't be fetched", cwd=work, env=environment)
    if palette:
        work = scratch / "palette"
        work.mkdir()
        (work / "package.json").write_text('{"name": "palette", "private": true}\n')
        options = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress")
        _run([*npm, *options, *palette], "the palette's packages can't be fetched", cwd=work, env=environment)
    shutil.rmtree(cache / "_logs", ignore_errors=True)


def _debian(origin: Path, debs: Path) -> None:
    """What `install.sh` asks for, with all that these packages need and that is not on every Debian."""
    debs.mkdir()
    asked = re.search(r"^PACKAGES=\((.*)\)", (origin / "systemd/install/packages.sh").read_text("utf-8"), re.MULTILINE)
    assert asked is not None
    # As apt would for a machine on which nothing is installed: it decides between alternatives, as it would there.
    nothing = debs.parent.parent / "nothing"
    (nothing / "partial").mkdir(parents=True)
    (nothing / "status").touch()
    places = (f"Dir::State::status={nothing / 'status'}", f"Dir::Cache::archives={nothing}", "Debug::NoLocking=true")
    pretend = [word for each in places for word in ("-o", each)]
    command = ["apt-get", "--print-uris", "-qq", "-y", "--no-install-recommends", *pretend, "install"]
    command += asked[1].split()
    listed = _run(command, "apt can't tell what is needed (apt-get update?)")
    names = sorted({line.split()[1].partition("_")[0] for line in listed.splitlines() if line.startswith("'")})
    shown = _run(["apt-cache", "show", "--no-all-versions", *names], "apt-cache failed")
    wanted = [name for name, priority in _priorities(shown) if priority not in _BASE]
    _run(["apt-get", "download", *wanted], "the Debian packages can't be fetched", cwd=debs)
    for each in debs.glob("*%3a*"):  # an epoch; not every apt takes a name for what it is
        each.rename(each.with_name(each.name.replace("%3a", ".")))
    (debs / "Packages").write_text("\n".join(_entry(each) for each in sorted(debs.glob("*.deb"))))


def _entry(deb: Path) -> str:
    """What apt wants to know of a package in a folder that is an archive of its own."""
    fields = _run(["dpkg-deb", "-f", str(deb)], f"{deb.name} can't be read").rstrip()
    return f"{fields}\nFilename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {_sum(deb)}\n"


def _priorities(shown: str) -> list[tuple[str, str]]:
    found = []
    for block in shown.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != " ")
        if "Package" in fields:
            found.append((fields["Package"], fields.get("Priority", "")))
    return found


def _describe(inside: Path, version: str, palette: Sequence[str]) -> None:
    files = sorted(path for path in inside.rglob("*") if path.is_file())
    sums = "".join(f"{_sum(path)}  {path.relative_to(inside)}\n" for path in files)
    (inside / "SHA256SUMS").write_text(sums)
    lines = {
        "version": version,
        "fingerprint": hashlib.sha256(sums.encode()).hexdigest(),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": platform.machine(),
        "palette": " ".join(palette),
    }
    (inside / "bundle").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))


def _sum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _run(command: Sequence[str], said: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=STEP_S, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
        raise Unavailable(f"{said}: {lines[-1] if lines else done.returncode}", hint="Is this machine connected?")
    return done.stdout
