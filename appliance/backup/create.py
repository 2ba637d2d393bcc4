"""Makes a backup: a copy of the database, then the files, packed and encrypted as one stream."""

from __future__ import annotations

import gzip
import http.client
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from pathlib import Path
from typing import IO, BinaryIO

from appliance.backup import asleep, container, content, crypt
from appliance.backup.container import About
from appliance.backup.content import DATABASE, Head, Manifest, PackedInstance
from appliance.backup.pack import Content
from appliance.backup.work import need_room, scratch, translated, written_whole
from appliance.config import Home
from appliance.errors import Invalid, Unavailable, WeirError
from appliance.schema.backup_jobs import Create, InstanceSource, Made
from appliance.store import instances, integrity, offline

Say = Callable[[str, float], None]
ROOM_BYTES = 64 * 1024 * 1024
LAUNCHER_S = 60.0
_LEVEL = 3  # most of what can be had, at a fifth of the time
# Of the state: the database goes as a copy, the rest is of this machine or of a moment.
_NOT_STATE = frozenset(
    {
        "weir.db",
        "weir.db-wal",
        "weir.db-shm",
        "backups",
        "work",
        "launcher-guard",
        "first-admin-password",
        "config-of-backup",
    }
)


def create(job: Create, say: Say) -> Made:
    """Make it. Raises WeirError; then nothing is left of it. Blocks."""
    began = time.monotonic()
    home, out = Home(Path(job.home)), Path(job.out)
    if not job.recipients and not job.passphrase:
        raise Invalid("A backup needs a key or a passphrase.", hint="Type: weir backup key create")
    try:
        with scratch(home.state, "create") as work:
            say("copying the database", 0.0)
            need_room(work, home.database.stat().st_size + ROOM_BYTES, "The copy of the database")
            offline.copy(home.database, work / "weir.db")
            if said := integrity.damage(work / "weir.db"):
                raise Unavailable(f"The database is damaged, and so would be the backup: {said}.", code="store_corrupt")
            head = _head(job, work / "weir.db")
            with written_whole(out) as temporary, temporary.open("r+b") as file:
                manifest = _write(job, home, work, head, file, say)
        size = out.stat().st_size
    except OSError as error:
        raise translated(error, out) from error
    return Made(
        size_bytes=size,
        schema=head.schema,
        version=head.version,
        instances=len(head.instances),
        files=len(manifest.files),
        lacks=[f"{each.path}: {each.why}" for each in manifest.lacks[:20]],
        took_s=round(time.monotonic() - began, 3),
    )


def version() -> str:
    """Of this Weir."""
    try:
        return metadata.version("weir")
    except metadata.PackageNotFoundError:
        return "0"


def _head(job: Create, database: Path) -> Head:
    with offline.transaction(database) as tx:
        rows = instances.every(tx)
    return Head(
        format=content.FORMAT,
        version=version(),
        schema=offline.schema(database),
        madeAt=job.madeAt,
        host=platform.node(),
        machine=platform.machine(),
        packages=job.packages,
        instances=[PackedInstance(row.id, row.name) for row in rows],
    )


def _write(job: Create, home: Home, work: Path, head: Head, file: BinaryIO, say: Say) -> Manifest:
    recipients, locked = list(job.recipients), None
    if job.passphrase:
        pair = crypt.new_pair()
        recipients.append(pair.recipient)
        locked = crypt.lock(pair.secret, job.passphrase)
    about = About(container.FORMAT, head.version, head.madeAt, recipients, locked is not None)
    packing = _Packing(job, home, work, head, say)
    with container.writing(file, about, locked) as target, packing.stream() as plain:
        crypt.encrypt(plain, target, recipients)
        return packing.result()


class _Packing:
    """Packs in a thread of its own what the encryption takes from a pipe: neither waits with more than a pipe holds."""

    def __init__(self, job: Create, home: Home, work: Path, head: Head, say: Say) -> None:
        self._job, self._home, self._work, self._head, self._say = job, home, work, head, say
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._manifest: Manifest | None = None
        self._at = 0.0
        self._doing = ""
        self._bytes = 0
        self._told = 0.0

    @contextmanager
    def stream(self) -> Iterator[BinaryIO]:
        """What comes out is whole only when `result` does not raise."""
        near, far = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(far,), name="packing")
        with open(near, "rb", buffering=1 << 20) as source:  # noqa: PTH123 - a descriptor, no path
            self._thread.start()
            try:
                yield source
            finally:
                source.close()  # whoever still writes hears that nobody reads
                self._thread.join()

    def result(self) -> Manifest:
        """After the stream has ended. Raises what the packing raised."""
        assert self._thread is not None
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._manifest is not None
        return self._manifest

    def _run(self, far: int) -> None:
        try:
            with (
                open(far, "wb") as pipe,  # noqa: PTH123 - a descriptor, no path
                gzip.GzipFile(fileobj=pipe, mode="wb", compresslevel=_LEVEL, mtime=0) as packed,
            ):
                self._manifest = self._pack(packed)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that asked
            self._error = error

    def _pack(self, target: gzip.GzipFile) -> Manifest:
        whole = Content(target, self._head, self._advanced)  # type: ignore[arg-type]  # write() is all that is used
        self._begin("packing the box's own files", 0.02)
        whole.add_tree(self._home.state, "state", but=_NOT_STATE)
        whole.add_file(self._work / "weir.db", DATABASE)
        whole.add_tree(self._home.tls, "tls")
        configuration = self._home.configuration
        for name in ("config.toml", "config.d"):
            if (configuration / name).is_dir():
                whole.add_tree(configuration / name, f"config/{name}")
            elif (configuration / name).is_file():
                whole.add_file(configuration / name, f"config/{name}")
        sources = {source.id: source for source in self._job.sources}
        for number, instance in enumerate(self._head.instances):
            fraction = 0.1 + 0.88 * number / len(self._head.instances)
            self._begin(f"packing the files of {instance.name} ({number + 1} of {len(self._head.instances)})", fraction)
            self._add_instance(whole, instance, sources.get(instance.id))
        return whole.close()

    def _add_instance(self, whole: Content, instance: PackedInstance, source: InstanceSource | None) -> None:
        """One whose files can't be had is no reason to have no backup: flows and credentials are in the database."""
        if source is None:
            whole.lacks(f"{content.INSTANCES}/{instance.id}", f"the files of '{instance.name}' could not be asked for")
            return
        if source.directory and not Path(source.directory).is_dir():
            return  # never started: there are none yet
        try:
            with _files(source, self._home.run, packages=self._job.packages) as stream:
                whole.add_instance(instance.id, stream)
        except (Unavailable, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            whole.lacks(f"{content.INSTANCES}/{instance.id}", f"the files of '{instance.name}' are not whole: {error}")

    def _begin(self, step: str, fraction: float) -> None:
        self._doing, self._at = step, fraction
        self._say(step, fraction)

    def _advanced(self, count: int) -> None:
        self._bytes += count
        if time.monotonic() - self._told > 1.0:
            self._told = time.monotonic()
            self._say(f"{self._doing}; {self._bytes / 1e6:.0f} MB so far", self._at)


def _files(source: InstanceSource, run: Path, *, packages: bool) -> AbstractContextManager[IO[bytes]]:
    """The tar of `launcher.pack`. Raises Unavailable, HTTPException, OSError."""
    if source.directory:
        return _packed_here(source.directory, packages=packages)
    if source.archive:
        return Path(source.archive).open("rb")
    if source.port and (not source.unit or _listens(source.port)):
        return _of_launcher(source, packages=packages)
    return asleep.files_of(source.unit, run, packages=packages)


def _listens(port: int) -> bool:
    """Whether its launcher is still there: it may have been suspended since we were told of it."""
    try:
        socket.create_connection(("127.0.0.1", port), LAUNCHER_S).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def _of_launcher(source: InstanceSource, *, packages: bool) -> Iterator[IO[bytes]]:
    connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=LAUNCHER_S)
    try:
        query = "?packages=1" if packages else ""
        connection.request("GET", f"/weir/files{query}", headers={"Authorization": f"Bearer {source.secret}"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Unavailable(f"its launcher answered {answer.status}")
        yield answer
    finally:
        connection.close()


@contextmanager
def _packed_here(directory: str, *, packages: bool) -> Iterator[IO[bytes]]:
    command = [sys.executable, "-I", "-m", "launcher.pack", directory, *(["--packages"] if packages else [])]
    packer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert packer.stdout is not None
    try:
        yield packer.stdout
    finally:
        packer.stdout.close()
        try:
            packer.wait(10)
        except subprocess.TimeoutExpired:
            packer.kill()
            packer.wait()


def failed(error: BaseException) -> WeirError:
    """Whatever ended a job, as people are told of it."""
    if isinstance(error, WeirError):
        return error
    if isinstance(error, OSError):
        return translated(error, Path(error.filename or "."))
    return Unavailable(f"unexpected: {error!r}", code="unexpected_error")
