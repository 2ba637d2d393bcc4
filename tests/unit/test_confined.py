"""What runs for a login over SSH gets at no file, no program and no other socket, whatever it is led to."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tui.confined import environment

CONFINED = """
import os, sys
from pathlib import Path
from tui.confined import confine
confine(Path(sys.argv[1]))
"""


def told(code: str, *arguments: str, env: dict[str, str] | None = None) -> str:
    """What a confined process prints of `code`, or of the refusal it met."""
    whole = f"{CONFINED}\ntry:\n    {code}\nexcept PermissionError as error:\n    print('refused:', error.strerror)\n"
    done = subprocess.run(
        [sys.executable, "-c", whole, *arguments], capture_output=True, text=True, timeout=30, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd')",
        "open(sys.prefix + '/../../../../../../../../etc/passwd')",
        "Path('/etc/passwd').read_text()",
        "Path('/proc/self/root/etc/passwd').read_text()",
        "Path('/proc/self/cwd/etc/passwd').read_text()",
        "open('/proc/self/environ')",
        "os.open('/tmp/x', os.O_CREAT | os.O_WRONLY)",
        "open(sys.prefix + '/written', 'w')",
        "import tempfile; tempfile.mkstemp(dir='/tmp')",
        "os.listdir('/root')",
        "os.unlink('/tmp/x')",
        "os.rename('/tmp/x', '/tmp/y')",
        "os.mkdir('/tmp/x')",
        "import pathlib; pathlib.Path('/tmp/x').touch()",
    ],
)
def test_files_are_neither_read_nor_written(code: str, tmp_path: Path) -> None:
    assert told(code, str(tmp_path / "sock")).startswith("refused: over SSH no file"), code


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess; subprocess.run(['/bin/true'])",
        "os.system('true')",
        "os.execv('/bin/true', ['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.fork()",
        "import pty; pty.spawn('/bin/true')",
    ],
)
def test_programs_are_not_started(code: str, tmp_path: Path) -> None:
    assert told(code, str(tmp_path / "sock")) == "refused: over SSH no program is started on the box"


def test_only_the_box_is_spoken_to(tmp_path: Path) -> None:
    box, other = tmp_path / "box", tmp_path / "other"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        for listening, path in ((one, box), (two, other)):
            listening.bind(str(path))
            listening.listen()
        connect = "import socket; socket.socket(socket.AF_UNIX).connect(sys.argv[2]); print('in')"
        assert told(connect, str(box), str(box)) == "in"
        assert told(connect, str(box), str(other)) == "refused: over SSH only this box is spoken to"
        tcp = "import socket; socket.create_connection(('127.0.0.1', 1))"
        assert told(tcp, str(box)) == "refused: over SSH only this box is spoken to"


def test_what_it_is_made_of_is_still_loaded(tmp_path: Path) -> None:
    code = "import textual.app, zoneinfo, httpx, encodings.idna; print('loaded')"
    assert told(code, str(tmp_path / "sock")) == "loaded"


def test_nobody_of_its_account_reads_its_memory(tmp_path: Path) -> None:
    code = "import ctypes, resource; print(ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE)[1])"
    assert told(code, str(tmp_path / "sock")) == "0 0"


def test_of_the_environment_stays_what_the_screens_go_by() -> None:
    given = {
        "TERM": "vt220",
        "LANG": "C.UTF-8",
        "EDITOR": "vi",
        "PYTHONPATH": "/tmp",
        "WEIR_HOME": "/x",
        "LC_ALL": "x" * 9999,
    }
    left = environment({**given, "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22", "BROWSER": "sh", "LD_PRELOAD": "/tmp/x.so"})
    assert left["TERM"] == "vt220" and left["SSH_CONNECTION"].startswith("1.2.3.4") and left["PATH"] == "/usr/bin:/bin"
    assert not {"EDITOR", "PYTHONPATH", "WEIR_HOME", "BROWSER", "LD_PRELOAD", "LC_ALL"} & left.keys()
