"""What goes into a backup comes out again, whatever files are called and hold; and nothing gets out of its place."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import socket
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.backup import crypt, locked
from appliance.backup.content import HEAD, MANIFEST, Entry, Head, Manifest, PackedInstance
from appliance.backup.pack import Content
from appliance.backup.unpack import Unpacked, unpack
from appliance.errors import Invalid
from launcher.handed import Broken, take
from launcher.pack import END, Packer
from tests.backup_rig import tree

HEADER = Head(1, "1", "0001", "2026-11-23T12:00:00Z", "box", "x86_64", True, [PackedInstance("i", "plant")])
_NAME = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=20)
NAMES = _NAME.filter(lambda name: name not in (".", "..") and len(name.encode()) < 200 and not name.endswith(".tmp"))
FILES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.binary(max_size=3000), max_size=6)


def packed(directory: Path) -> bytes:
    out = io.BytesIO()
    Packer(directory, out, packages=True).run()
    return out.getvalue()


def backup(stream: bytes) -> tuple[bytes, Manifest]:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as plain:
        whole = Content(plain, HEADER, lambda count: None)  # type: ignore[arg-type]
        whole.add_instance("i", io.BytesIO(stream))
        manifest = whole.close()
    return out.getvalue(), manifest


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
def test_what_the_manifest_lists_is_what_is_restored(files: dict[tuple[str, ...], bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place, "source"), Path(place, "target")
        source.mkdir()
        target.mkdir()
        for parts, content in files.items():
            try:
                source.joinpath(*parts[:-1]).mkdir(parents=True, exist_ok=True)
                source.joinpath(*parts).write_bytes(content)
            except OSError:  # one name for a file and a directory
                continue
        content, manifest = backup(packed(source))
        done = unpack(io.BytesIO(content), target, machine="x86_64")
        assert done == Unpacked(HEADER, manifest)
        left_out = ("launcher", "placement.json", "settings.js", ".npm", ".cache", ".node-gyp")
        kept = {name: what for name, what in tree(source).items() if name.split("/")[0] not in left_out}
        assert (tree(target / "instances" / "i") if kept else {}) == kept
        listed = {entry.path for entry in manifest.files}
        assert listed == {f"instances/i/{name}" for name in kept}


def test_what_is_no_file_and_what_can_not_be_named_stays_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    (tmp_path / "secret").write_text("x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")).write_text("x")
    _, manifest = backup(packed(tmp_path))
    assert [(entry.path, entry.kind) for entry in manifest.files] == [
        ("instances/i/link", "link"),
        ("instances/i/secret", "file"),
    ]
    assert [(lack.path, lack.why) for lack in manifest.lacks] == [("instances/i/bad\\xff", "its name is no UTF-8")]


def test_a_file_that_grows_and_one_that_shrinks_meanwhile(tmp_path: Path) -> None:
    """The tar says first how long a file is; whatever happens then, the rest of the tar is whole."""
    large = tmp_path / "large"
    large.write_bytes(b"a" * 3_000_000)
    (tmp_path / "more").write_text("after it")

    class Slow(io.BytesIO):
        def write(self, content: bytes) -> int:  # type: ignore[override]
            if large.stat().st_size == 3_000_000 and self.tell() > 100_000:
                os.truncate(large, 2_000_000)
            return super().write(content)

    out = Slow()
    Packer(tmp_path, out, packages=False).run()
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert tar.getmember("large").size == 3_000_000
        assert tar.extractfile("more").read() == b"after it"  # type: ignore[union-attr]
        assert json.loads(tar.extractfile(END).read())["changed"] == ["large"]  # type: ignore[union-attr]


def crafted(*members: tuple[str, bytes | str], manifest: list[Entry] | None = None) -> bytes:
    """A content whose tar holds these: bytes for files, text for links."""
    out = io.BytesIO()
    seen: list[Entry] = []
    with gzip.GzipFile(fileobj=out, mode="wb") as plain, tarfile.open(fileobj=plain, mode="w|") as tar:
        _add(tar, HEAD, msgspec.json.encode(HEADER))
        for name, content in members:
            _add(tar, name, content)
            seen.append(_entry(name, content))
        _add(tar, MANIFEST, msgspec.json.encode(Manifest(seen if manifest is None else manifest, [])))
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes | str) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o600
    if isinstance(content, str):
        member.type, member.linkname = tarfile.SYMTYPE, content
        tar.addfile(member)
    else:
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def _entry(name: str, content: bytes | str) -> Entry:
    if isinstance(content, str):
        return Entry(name, "link", target=content)
    return Entry(name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    "content",
    [
        crafted(("../out", b"x")),
        crafted(("/out", b"x")),
        crafted(("a/../../out", b"x")),
        crafted(("a", b"x"), manifest=[]),
        crafted(("a", b"x"), manifest=[_entry("a", b"x"), _entry("b", b"x")]),
        crafted(("a", b"x"), manifest=[_entry("a", b"y")]),
        crafted(("a", b"x"), (MANIFEST, b"{}")),
        gzip.compress(b""),
        gzip.compress(b"no tar at all" * 100),
        b"",
    ],
)
def test_names_that_leave_and_lists_that_lie(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(Invalid) as refused:
        unpack(io.BytesIO(content), tmp_path / "in", machine="x86_64")
    assert refused.value.code == "backup_damaged"
    assert not (tmp_path / "out").exists() and not Path("/out").exists()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """A link, and then a file below it: the file gets a directory of its own, so the link finds its place taken."""
    (tmp_path / "in").mkdir()
    (tmp_path / "outside").mkdir()
    content = crafted(("a", str(tmp_path / "outside")), ("a/b", b"x"))
    with pytest.raises(OSError):
        unpack(io.BytesIO(content), tmp_path / "in", machine="x86_64")
    assert list((tmp_path / "outside").iterdir()) == []


def test_modules_of_another_processor_are_left_out(tmp_path: Path) -> None:
    content = crafted(("instances/i/node_modules/x.node", b"machine code"), ("instances/i/package.json", b"{}"))
    unpack(io.BytesIO(content), tmp_path, machine="aarch64")
    assert list(tree(tmp_path / "instances" / "i")) == ["package.json"]


def test_a_locked_key_is_one_of_age() -> None:
    sealed = locked.lock(b"a secret", "correct horse")
    assert pyrage.passphrase.decrypt(sealed, "correct horse") == b"a secret"
    with pytest.raises(crypt.WrongKey):
        crypt.unlock(sealed, "wrong horse")
    assert locked.lock(b"a secret", "correct horse") != sealed
    with pytest.raises(Invalid):
        crypt.lock("a secret", "short")


@contextmanager
def served(content: bytes, token: str) -> Iterator[str]:
    """The archive at an address, for whoever has the token."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server asks for it by that name
            known = self.headers["Authorization"] == f"Bearer {token}"
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", '"17a-2f"')
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/files"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_handed_files_take_the_places_of_what_is_there(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "data").mkdir(parents=True)
    (source / "data" / "new").write_text("new")
    (source / "launcher" / "away").mkdir(parents=True)
    (source / "launcher" / "away" / "deploy.json").write_text("{}")
    (target / "data").mkdir(parents=True)
    (target / "data" / "old").write_text("old")
    (target / "other").write_text("stays")
    archive = packed(source)
    with served(archive, "t") as url:
        for _ in range(2):  # the power may fail before the appliance has heard of it
            take(target, url, "t")
        with pytest.raises(Broken):
            take(target, url, "not the token")
    kept = target / "launcher" / "before-restore-17a-2f"
    assert (kept / "data" / "old").read_text() == "old", "what was there before is nobody's to throw away"
    assert not (kept / "data" / "new").exists()
    shutil.rmtree(kept)
    assert list(tree(target)) == ["data", "data/new", "launcher", "launcher/away", "launcher/away/deploy.json", "other"]


def test_handed_files_that_are_cut_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "data").write_bytes(b"x" * 50_000)
    (tmp_path / "target").mkdir()
    archive = packed(tmp_path / "source")
    for length in (0, 700, 30_000, len(archive) - 11_000):
        with served(archive[:length], "t") as url, pytest.raises((Broken, OSError)):
            take(tmp_path / "target", url, "t")
        assert not (tmp_path / "target" / "data").exists()
