"""What is made ready for a start, and stays true until the start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from launcher.appliance import Appliance
from launcher.config import Options
from launcher.loglines import Log
from launcher.prepare import Preparer
from launcher.schema import BootGrant, Settings, Weir
from launcher.segments import Segments
from tests.support import free_port

FIRST = BootGrant("", "node-1", "id-1", "secret-1", "c" * 64, "", "team")
SECOND = BootGrant("fft_own", "node-2", "id-2", "secret-2", "c" * 64, "api", "team")
RENEWED = {"nodeRedToken": "node-2", "clientID": "id-2", "clientSecret": "secret-2"}


@pytest.fixture
async def preparer(tmp_path: Path) -> AsyncIterator[Preparer]:
    script = tmp_path / "stack" / "node_modules" / "node-red" / "red.js"
    script.parent.mkdir(parents=True)
    script.touch()
    options = Options(
        instance="one",
        dir=tmp_path / "one",
        appliance="http://127.0.0.1:1",
        port=1,
        node_red_port=free_port(),
        node="/bin/true",
        node_red=str(tmp_path / "stack"),
    )
    log = Log(Segments(tmp_path / "logs"), "ab12")
    made = Preparer(options, Appliance(options.appliance, "one"), FIRST, log, {})
    yield made
    made.release()
    log.close()


async def test_new_credentials_reach_all_that_is_prepared_however_old(preparer: Preparer) -> None:
    """A crash is made good with what ran, though a restart has been prepared, and has failed, since."""
    say: Callable[[object], None] = lambda _: None  # noqa: E731
    ran = await preparer.prepare(Settings(weir=Weir(publicPort=10001)), safe=False, say=say)
    newest = await preparer.prepare(Settings(weir=Weir(publicPort=10002)), safe=False, say=say)
    preparer.renew(SECOND)
    later = await preparer.prepare(Settings(weir=Weir(publicPort=10003)), safe=False, say=say)
    documents = [launch.document() for launch in (ran, newest, later)]
    assert [{name: document[name] for name in RENEWED} for document in documents] == [RENEWED] * 3
    assert [document["publicPort"] for document in documents] == [10001, 10002, 10003]
