"""The program that takes the files of a restored instance: what it is told, and when."""

from __future__ import annotations

import asyncio
import io
import select
import socket
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from launcher.pack import END
from launcher.packing import NotTaken, _tell, take
from tests.support import ROOT

TOKEN = "ffl_" + "t" * 40


class Appliance:
    """As much of it as the program asks."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def files(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers["Authorization"])
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, content in (("recipes.csv", b"1;2\n"), (END, b"{}")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return web.Response(body=archive.getvalue(), headers={"ETag": "ab12"})


@pytest.fixture
async def appliance() -> AsyncIterator[Appliance]:
    appliance = Appliance()
    app = web.Application()
    app.router.add_get("/files", appliance.files)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    appliance.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield appliance
    finally:
        await runner.cleanup()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "launcher").mkdir()
    (tmp_path / "recipes.csv").write_text("old\n")
    return tmp_path


async def test_the_files_are_put_in_place_with_the_token_that_it_is_told(appliance: Appliance, directory: Path) -> None:
    await take(directory, f"{appliance.url}/files", TOKEN)
    assert appliance.asked == [f"Bearer {TOKEN}"]
    assert (directory / "recipes.csv").read_text() == "1;2\n"
    assert (directory / "launcher" / "before-restore-ab12" / "recipes.csv").read_text() == "old\n"


async def test_a_refusal_is_told(appliance: Appliance, directory: Path) -> None:
    with pytest.raises(NotTaken, match="the appliance answered 404"):
        await take(directory, f"{appliance.url}/nowhere", TOKEN)
    assert (directory / "recipes.csv").read_text() == "old\n"


async def test_it_is_told_the_token_only_when_it_says_that_nobody_can_look() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        telling = asyncio.create_task(_tell(near, TOKEN))
        assert await asyncio.to_thread(select.select, [far], [], [], 0.2) == ([], [], [])
        far.sendall(b"\n")
        await telling
        assert far.recv(100).decode() == f"{TOKEN}\n"
        assert far.recv(100) == b"", "nothing more comes"


async def test_one_that_ends_at_once_holds_up_nobody() -> None:
    near, far = socket.socketpair()
    with near:
        near.setblocking(False)
        far.close()
        async with asyncio.timeout(5):
            await _tell(near, TOKEN)


async def test_it_says_so_only_when_it_is_so(directory: Path) -> None:
    """By its own system calls: what says that nobody can look comes after what makes it so."""
    near, far = socket.socketpair()
    code = (
        "import ctypes, socket, sys; from launcher import handed\n"
        "def seen(event, args):\n"
        "    if event == 'socket.__new__': print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)\n"
        "sys.addaudithook(seen); handed._token()"
    )
    with near:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code), stdin=far, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        far.close()
        near.setblocking(False)
        await _tell(near, TOKEN)
        said, _ = await process.communicate()
    assert said.split() == [b"0"], "PR_GET_DUMPABLE when it opens the socket"
