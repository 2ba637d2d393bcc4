"""A certificate of an ACME authority: Pebble, Let's Encrypt's test server, asks our nginx whose the domain is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.config import Acme, Home, Tls
from appliance.events import Bus
from appliance.services.acme import AcmeKeeper
from appliance.services.conditions import Conditions
from appliance.system import acme, given, tls
from tests.proxy_box import ProxyBox, quiet_port
from tests.support import eventually

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not all(map(shutil.which, ("pebble", "pebble-challtestsrv", "dehydrated"))),
        reason="needs Debian's pebble and dehydrated",
    ),
]
DOMAIN = "plant.example"


class Authority:
    """Pebble with a name server that leads every name to this machine."""

    def __init__(self, root: Path, http_port: int) -> None:
        self.root, self.port = root, quiet_port()
        self._dns, self._http = quiet_port(), http_port
        self._running: list[asyncio.subprocess.Process] = []
        root.mkdir()

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    @property
    def ca(self) -> Path:
        return self.root / "tls" / "ca.crt"

    async def start(self) -> None:
        files = tls.ensure(Home(self.root), [tls.AcceptedName("localhost")])
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{quiet_port()}",
            "certificate": str(files.cert),
            "privateKey": str(files.key),
            "httpPort": self._http,
            "tlsPort": quiet_port(),
        }
        (self.root / "pebble.json").write_text(json.dumps({"pebble": config}))
        dns = f"127.0.0.1:{self._dns}"
        none = [f"-{each}=" for each in ("http01", "https01", "tlsalpn01")]
        management = f"-management=127.0.0.1:{quiet_port()}"
        await self._run(
            "pebble-challtestsrv", "-defaultIPv4=127.0.0.1", "-defaultIPv6=", f"-dns01={dns}", management, *none
        )
        await self._run("pebble", "-config", str(self.root / "pebble.json"), "-dnsserver", dns)
        await eventually(self._answers, 15)

    async def _run(self, *command: str) -> None:
        env = {"PATH": "/usr/bin:/bin", "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
        with (self.root / f"{command[0]}.log").open("wb") as log:
            self._running.append(await asyncio.create_subprocess_exec(*command, env=env, stdout=log, stderr=log))

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        return False

    async def close(self) -> None:
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture
async def box(home: Path) -> AsyncIterator[ProxyBox]:
    box = ProxyBox(home, names=[DOMAIN])
    try:
        yield box
    finally:
        await box.close()


@pytest.fixture
async def authority(tmp_path: Path, box: ProxyBox) -> AsyncIterator[Authority]:
    authority = Authority(tmp_path / "authority", box.config.listen.http)
    await authority.start()
    try:
        yield authority
    finally:
        await authority.close()


async def served(box: ProxyBox) -> str:
    """Who signed what nginx serves."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", box.config.listen.https, ssl=context)
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return (await asyncio.to_thread(given.x509.load_der_x509_certificate, found)).issuer.rfc4514_string()


async def test_the_box_gets_a_certificate_and_serves_it(box: ProxyBox, authority: Authority) -> None:
    wanted = Acme(
        domains=[DOMAIN], directory=authority.directory, ca=str(authority.ca), agree=True, email="a@plant.example"
    )
    box.config = replace(box.config, tls=Tls(acme=wanted))
    box.proxy = box.make()
    conditions = Conditions(lambda: datetime.now(UTC), Bus())
    keeper = AcmeKeeper(box.home, wanted, conditions, box.proxy.poke)
    await box.run()
    assert "Weir" in await served(box)
    assert await keeper.look(), conditions.current()
    await eventually(lambda: asyncio.ensure_future(_pebble_serves(box)), 15)
    assert not await acme.renew(box.home, wanted), "one that is good for months is not asked for again"
    assert box.conditions.open == {}
    assert (box.home.tls / "acme").stat().st_mode & 0o777 == 0o700


async def _pebble_serves(box: ProxyBox) -> bool:
    return "Pebble" in await served(box)


async def test_a_refusal_is_told_and_the_boxs_own_certificate_stays(box: ProxyBox, authority: Authority) -> None:
    """nginx does not run: the authority finds nobody at the domain."""
    wanted = Acme(domains=[DOMAIN], directory=authority.directory, ca=str(authority.ca), agree=True)
    conditions = Conditions(lambda: datetime.now(UTC), Bus())
    keeper = AcmeKeeper(box.home, wanted, conditions, lambda: None)
    assert not await keeper.look()
    (problem,) = conditions.current()
    assert problem.key == "acme" and "refused" in problem.cause, problem
    assert "port 80" in problem.next_step
    assert given.given(box.home, replace(box.config, tls=Tls(acme=wanted)), datetime.now(UTC)) is None


async def test_an_authority_that_never_answers_does_not_hold_the_box(box: ProxyBox) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        wanted = Acme(domains=[DOMAIN], directory=f"http://127.0.0.1:{port}/dir", agree=True)
        with pytest.raises(acme.Unavailable, match="did not end within 1 s"):
            await acme.renew(box.home, wanted, deadline_s=1.0)
