"""Parts of `install.sh` that need no machine: what a bundle must be, and what `--purge` may not touch."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT

INSTALL = ROOT / "install.sh"
PARTS = ROOT / "systemd" / "install"


def bash(script: str, *arguments: str, inside: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*inside, "bash", "-euo", "pipefail", "-c", script, "test", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle, unpacked."""
    directory = tmp_path / "bundle"
    (directory / "systemd" / "install").mkdir(parents=True)
    for name in ("install.sh", "systemd/install/checks.sh", "a file"):
        (directory / name).write_text(f"echo {name}\n")
    listed(directory)
    return directory


def listed(directory: Path) -> None:
    files = sorted(each for each in directory.rglob("*") if each.is_file())
    sums = "".join(
        f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.relative_to(directory)}\n" for each in files
    )
    (directory / "SHA256SUMS").write_text(sums)
    (directory / "bundle").write_text(f"version=1\nfingerprint={hashlib.sha256(sums.encode()).hexdigest()}\n")


def as_listed(directory: Path) -> subprocess.CompletedProcess[str]:
    return bash(f'eval "$(sed -n \'/^as_listed()/,/^}}/p\' {INSTALL})"; as_listed "$1"', str(directory))


def swap(directory: Path) -> None:
    """A file and its line in the list: the list is then another than the one it was made with."""
    (directory / "install.sh").write_text("echo evil\n")
    about = (directory / "bundle").read_text()
    (directory / "bundle").unlink()
    (directory / "SHA256SUMS").unlink()
    listed(directory)
    (directory / "bundle").write_text(about)


def test_a_bundle_as_it_was_made_is_taken(bundle: Path) -> None:
    done = as_listed(bundle)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: (path / "install.sh").write_text("echo evil\n"), "install.sh: FAILED"),
        (lambda path: (path / "a file").unlink(), "a file"),
        (
            lambda path: (path / "systemd/install/zz.sh").write_text("echo evil\n"),
            "not in its list: systemd/install/zz.sh",
        ),
        (lambda path: (path / "link").symlink_to("/etc/shadow"), "not in its list: link"),
        (swap, "not the list that the bundle was made with"),
        (lambda path: (path / "SHA256SUMS").unlink(), "SHA256SUMS"),
    ],
)
def test_a_bundle_with_anything_else_is_not(bundle: Path, change: Callable[[Path], object], says: str) -> None:
    change(bundle)
    done = as_listed(bundle)
    assert done.returncode != 0 and says in done.stdout + done.stderr, done


APART = ("unshare", "--mount", "--map-root-user")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where a box's data lies, and beside it somebody's folder."""
    if not shutil.which("unshare") or subprocess.run([*APART, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made here")
    (tmp_path / "weir" / "backups").mkdir(parents=True)
    (tmp_path / "weir" / "state").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("theirs")
    return tmp_path / "weir"


def purge(data: Path, mount: str) -> subprocess.CompletedProcess[str]:
    words = f'HOME_DIR="{data}"; ETC="{data.parent}/etc"; say() {{ echo "$*"; }}; die() {{ echo "$*" >&2; exit 1; }}'
    script = f'{words}; . {PARTS}/uninstall.sh; DATA=("$HOME_DIR"); {mount}; no_foreign_disk; remove_data "$HOME_DIR"'
    return bash(script, inside=APART)


def test_without_anything_mounted_all_of_it_goes(data: Path) -> None:
    assert purge(data, "true").returncode == 0
    assert not data.exists()


@pytest.mark.parametrize("name", ["backups", "a stick"])
def test_what_is_mounted_below_is_not_removed_and_named(data: Path, name: str) -> None:
    (data / name).mkdir(exist_ok=True)
    done = purge(data, f'mount --bind "{data.parent}/theirs" "{data}/{name}"')
    assert done.returncode == 1 and f"{data}/{name}" in done.stderr and "umount" in done.stderr, done
    assert (data.parent / "theirs" / "file").exists() and (data / "state").exists(), "nothing was removed"


def test_a_disk_of_its_own_is_emptied_and_stays(data: Path) -> None:
    done = purge(data, f'mount -t tmpfs weir "{data}" && mkdir -p "{data}/state/x" && touch "{data}/.hidden"')
    assert done.returncode == 0 and "it is empty now" in done.stdout, done
    assert data.is_dir() and (data / "backups").is_dir(), "what lies below the disk was not seen"
