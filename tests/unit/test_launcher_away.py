"""What a launcher keeps on the disk for the time without the appliance, and what it makes up for afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from msgspec import Raw

from launcher import spool as module
from launcher.appliance import Appliance
from launcher.catchup import missed
from launcher.offline import GrantCache, renewal
from launcher.schema import BootGrant, Command, Settings, Weir
from launcher.spool import Entry, Spool

KEY = "k" * 64
GRANT = BootGrant("fft_own", "fft_node", "ffp_id", "client-secret", "c" * 64, "api-secret", "team", KEY)


def entry(number: int, text: str = "") -> Entry:
    return Entry(f"{number:032x}", Raw(json.dumps({"event": "crashed", "text": text}).encode()))


def spool(path: Path, key: str = KEY) -> Spool:
    made = Spool(path / "away" / "reports.ndjson")
    made.key = key
    return made


def test_what_was_put_down_is_found_in_order_and_proven(tmp_path: Path) -> None:
    first = spool(tmp_path)
    assert not first.in_use and first.left() == []
    first.begin([entry(1)])
    first.add(entry(2), [entry(1), entry(2)])
    assert first.in_use and (tmp_path / "away" / "reports.ndjson").stat().st_mode & 0o777 == 0o600
    found = spool(tmp_path).left()
    assert [each.id for each in found] == [entry(1).id, entry(2).id]
    assert all(spool(tmp_path).proves(each) for each in found)
    assert not any(spool(tmp_path, "x" * 64).proves(each) for each in found)
    assert not any(spool(tmp_path, "").proves(each) for each in found)
    first.clear()
    assert not first.in_use and spool(tmp_path).left() == []


def test_what_a_flow_wrote_proves_nothing_however_often_it_is_written_down(tmp_path: Path) -> None:
    """Rewriting the file must not put the launcher's mark on a line that was found without one."""
    path = tmp_path / "away" / "reports.ndjson"
    spool(tmp_path).begin([entry(1)])
    genuine = json.loads(path.read_text())
    stolen = {**genuine, "body": {"event": "safe-mode"}}
    bare = {"id": "a" * 32, "body": {"event": "safe-mode"}}
    null = {"id": "b" * 32, "body": {"event": "safe-mode"}, "mark": None}
    path.write_text("".join(json.dumps(line) + "\n" for line in (genuine, stolen, bare, null)))
    again = spool(tmp_path)
    again.begin(again.left())
    last = spool(tmp_path)
    assert [last.proves(each) for each in last.left()] == [True, False, False, False]


@pytest.mark.parametrize(
    "line", [b"", b"nonsense", b"{}", b'{"id":"","body":{}}', b'{"id":"x/../y","body":{}}', b'{"id":"a","body":[]}',
             b'{"id":"a","body":' + b"[" * 5000, b"\xff\xfe", b'{"id":"' + b"a" * 65 + b'","body":{}}']
)  # fmt: skip
def test_spoiled_lines_are_passed_over(tmp_path: Path, line: bytes) -> None:
    made = spool(tmp_path)
    made.begin([entry(1)])
    with (tmp_path / "away" / "reports.ndjson").open("ab") as stream:
        stream.write(line + b"\n")
    assert [each.id for each in spool(tmp_path).left()] == [entry(1).id]


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 2000)
    made = spool(tmp_path)
    for number in range(100):
        made.add(entry(number, "x" * 100), [entry(number, "x" * 100)])
    assert (tmp_path / "away" / "reports.ndjson").stat().st_size <= 2000
    assert spool(tmp_path).left()[-1].id == entry(99).id


@pytest.mark.parametrize("kind", ["pipe", "link", "directory"])
def test_a_trap_in_place_of_the_file_stops_nobody(tmp_path: Path, kind: str) -> None:
    (tmp_path / "away").mkdir()
    path = tmp_path / "away" / "reports.ndjson"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "victim").write_text("untouched")
        path.symlink_to(tmp_path / "victim")
    else:
        path.mkdir()
    made = spool(tmp_path)
    assert made.left() == []
    made.begin([entry(1)])
    made.add(entry(2), [entry(1), entry(2)])
    made.clear()
    if kind == "link":
        assert (tmp_path / "victim").read_text() == "untouched"


def test_a_disk_that_takes_nothing_leaves_the_reports_in_memory(tmp_path: Path) -> None:
    (tmp_path / "away").write_text("no directory")
    made = spool(tmp_path)
    made.begin([entry(1)])
    assert not made.in_use
    made.add(entry(2), [entry(2)])
    made.clear()


def test_what_a_full_disk_left_behind_goes_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spool(tmp_path)
    made.begin([entry(1)])
    full = OSError(28, "No space left on device")
    with monkeypatch.context() as disk:
        disk.setattr("launcher.spool.write_all", lambda *_: (_ for _ in ()).throw(full))
        made.add(entry(2), [entry(1), entry(2)])
    assert len(spool(tmp_path).left()) == 1
    made.clear()
    assert spool(tmp_path).left() == [], "delivered: the next launcher is not to tell it again"


def test_only_what_node_red_knows_anyway_is_kept_of_a_grant(tmp_path: Path) -> None:
    path = tmp_path / "away" / "grant.json"
    cache = GrantCache(path)
    assert cache.load() is None
    cache.save(GRANT)
    assert path.stat().st_mode & 0o777 == 0o600
    for secret in (GRANT.token, GRANT.apiSecret, KEY):
        assert secret not in path.read_text()
    kept = cache.load()
    assert kept is not None and (kept.token, kept.apiSecret, kept.spoolKey) == ("", "", "")
    assert renewal(kept) == renewal(GRANT) and kept.credentialSecret == GRANT.credentialSecret
    before = path.stat().st_mtime_ns
    cache.save(GRANT)
    assert path.stat().st_mtime_ns == before, "flash is not worn by what it says already"
    path.write_text("{")
    assert cache.load() is None
    path.unlink()
    os.mkfifo(path)
    assert cache.load() is None


def settings(desired: str = "running", wish: int = 3, **more: object) -> Settings:
    return Settings(weir=Weir(desired=desired, commandGeneration=wish), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "command"),
    [
        (settings(), settings(), None),
        (settings(), settings(state="running"), None),
        (settings(), settings("stopped", 4), Command("stop", generation=4)),
        (settings("stopped"), settings("stopped"), None),
        (settings(), settings("stopped"), Command("stop")),
        (settings(wish=10**15), settings("stopped", 4), Command("stop")),
        (settings("stopped"), settings("running", 4), Command("start", generation=4)),
        (settings(), settings(wish=4), Command("restart", generation=4)),
        (settings(), settings(env={"A": "b"}), Command("restart")),
        (settings(), Settings(weir=Weir(commandGeneration=3, memoryMb=64)), Command("restart")),
    ],
)
def test_what_was_missed_is_made_up_for(old: Settings, new: Settings, command: Command | None) -> None:
    assert missed(old, new, lambda _: None) == command


async def test_nothing_is_delivered_before_the_ticket_is_traded(tmp_path: Path) -> None:
    client = Appliance("http://127.0.0.1:9", "i1", spool(tmp_path, ""))
    client.audit({"event": "crashed"})
    assert not client.booted and not await client.flush(5)
    assert len(spool(tmp_path, "").left()) == 1, "and what it says outlasts it"
