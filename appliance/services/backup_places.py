"""Where backups go: a folder, a stick that has to be mounted, or another machine by rclone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from pathlib import Path

import msgspec

from appliance.config import Home
from appliance.errors import Invalid, Unavailable
from appliance.system.ending import ended
from appliance.system.files import make_private_dir

MOUNT, RCLONE = "mount:", "rclone:"
UPLOAD_S = 6 * 3600.0
ASK_S = 120.0
# rclone tries three times; by itself it would also repeat each step of each try ten times.
_PATIENCE = ("--retries", "3", "--low-level-retries", "2", "--contimeout", "20s")
SUFFIX = ".weir"
UNDELIVERED = f"undelivered{SUFFIX}"
_REMOTE = re.compile(r"\w[\w.+@ -]*:[^\0\n]*")


class Places:
    """Turns a target into a folder to write to, and brings files to and from other machines."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def checked(self, target: str) -> str:
        """A target as it is kept. Blocks. Raises Invalid, Unavailable when nothing can be written there now."""
        target = target.strip()
        if target.startswith(RCLONE):
            if not _REMOTE.fullmatch(target.removeprefix(RCLONE)):
                raise Invalid(
                    f"'{target}' names no remote.", hint="Write rclone:REMOTE:PATH, as rclone itself takes it."
                )
            self._program()
        else:
            self.folder(target)
        return target

    def folder(self, target: str) -> Path:
        """The folder that files for `target` are written to; for another machine the box's own. Blocks.

        Raises Invalid, Unavailable: not mounted, not there, not writable.
        """
        if not target or target.startswith(RCLONE):
            return make_private_dir(self._home.root / "backups")
        path = Path(target.removeprefix(MOUNT))
        if not path.is_absolute():
            raise Invalid(f"'{target}' is no whole path.", hint="Begin it with /; or write rclone:REMOTE:PATH.")
        real = Path(os.path.realpath(path))
        root = Path(os.path.realpath(self._home.root))
        if real == root or root in real.parents and real != root / "backups":
            raise Invalid(f"{path} is Weir's own.", hint=f"Choose a folder outside {root}, or none for {root}/backups.")
        if target.startswith(MOUNT) and not _on_a_mount(real):
            raise Unavailable(
                f"Nothing is mounted at {path}.",
                code="not_mounted",
                hint="Put the stick in and mount it: lsblk, mount.",
            )
        if not real.is_dir() or not os.access(real, os.W_OK | os.X_OK):
            why = "can't be written" if real.is_dir() else "is not there"
            hint = "Let Weir's account write there; on an installed box ReadWritePaths= of weir.service has to name it."
            raise Unavailable(f"The folder {path} {why}.", code="not_writable", hint=hint)
        return real

    def shown(self, target: str, name: str) -> str:
        """Where a file is, for people."""
        if target.startswith(RCLONE):
            return f"{target}/{name}"
        folder = Path(target.removeprefix(MOUNT)) if target else self._home.root / "backups"
        return str(folder / name)

    async def deliver(self, target: str, file: Path) -> None:
        """Bring a file that was written to `folder(target)` to where it belongs. Raises Unavailable; then the file
        stays on this machine, as `undelivered.weir`, which the next one replaces: a remote that is away for a month
        must not fill the disk."""
        if not target.startswith(RCLONE):
            return
        try:
            await self._upload(target, file)
        except Unavailable:
            await asyncio.to_thread(file.replace, file.with_name(UNDELIVERED))
            raise
        except BaseException:
            file.unlink(missing_ok=True)  # noqa: ASYNC240 - cancelled: nothing of it stays, and nothing is awaited
            raise
        await asyncio.to_thread(file.unlink)
        await asyncio.to_thread(file.with_name(UNDELIVERED).unlink, missing_ok=True)

    async def _upload(self, target: str, file: Path) -> None:
        where = f"{target.removeprefix(RCLONE)}/{file.name}"
        await self._rclone("copyto", str(file), f"{where}.part", deadline_s=UPLOAD_S)
        await self._rclone("moveto", f"{where}.part", where, deadline_s=ASK_S)
        if await self._size(where) != (await asyncio.to_thread(file.stat)).st_size:
            raise Unavailable(f"{where} has another size than what was sent.", code="upload_failed", hint="Try again.")

    async def fetch(self, target: str, name: str) -> Path:
        """The file on this machine; of another one, a copy that `release` removes. Raises Unavailable."""
        folder = await asyncio.to_thread(self.folder, target)
        if not target.startswith(RCLONE):
            if not await asyncio.to_thread((folder / name).exists):
                raise Unavailable(f"{folder / name} is not there.", code="backup_gone", hint="Is the stick mounted?")
            return folder / name
        copy = folder / f".fetched-{name}"
        await self._rclone("copyto", f"{target.removeprefix(RCLONE)}/{name}", str(copy), deadline_s=UPLOAD_S)
        return copy

    def release(self, target: str, file: Path) -> None:
        """Done with what `fetch` gave."""
        if target.startswith(RCLONE):
            with contextlib.suppress(OSError):
                file.unlink()

    async def remove(self, target: str, name: str) -> None:
        """Remove a file; one that is gone is no error. Raises Unavailable."""
        if target.startswith(RCLONE):
            where = f"{target.removeprefix(RCLONE)}/{name}"
            if await self._size(where) is not None:
                await self._rclone("deletefile", where, deadline_s=ASK_S)
            return
        try:
            folder = await asyncio.to_thread(self.folder, target)
            await asyncio.to_thread((folder / name).unlink, missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{self.shown(target, name)} can't be removed: {error.strerror}.") from error

    async def _size(self, where: str) -> int | None:
        folder, _, name = where.rpartition("/")
        answer = await self._rclone("lsjson", folder, deadline_s=ASK_S)
        found = msgspec.json.decode(answer or b"[]")
        return next((int(each["Size"]) for each in found if each.get("Name") == name), None)

    async def _rclone(self, *arguments: str, deadline_s: float) -> bytes:
        """Its secrets are in its own file, which a person writes (`rclone config`). Raises Unavailable."""
        config = self._home.configuration / "rclone.conf"
        command = [self._program(), "--config", str(config), *_PATIENCE, arguments[0], "--", *arguments[1:]]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(deadline_s):
                out, said = await process.communicate()
        except TimeoutError as error:
            raise Unavailable(
                f"rclone {arguments[0]} took longer than {deadline_s:.0f} s.", code="upload_failed"
            ) from error
        finally:
            await ended(process)
        if process.returncode != 0:
            lines = said.decode(errors="replace").strip().splitlines()
            why = lines[-1][:300] if lines else f"it ended with {process.returncode}"
            hint = f"Try it by hand: rclone --config {config} lsd REMOTE:"
            raise Unavailable(f"rclone {arguments[0]}: {why}", code="upload_failed", hint=hint)
        return out

    @staticmethod
    def _program() -> str:
        found = shutil.which("rclone")
        if found is None:
            hint = "Type: apt-get install --no-install-recommends rclone"
            raise Unavailable("The program rclone is not installed.", code="rclone_missing", hint=hint)
        return found


def _on_a_mount(path: Path) -> bool:
    """Whether the path, or a folder that it is in, is a mount of its own: else the stick is not there, and what is
    written would fill the box's own disk."""
    return any(os.path.ismount(each) for each in (path, *path.parents) if each != Path("/"))
