"""Asks an ACME authority for a certificate, by Debian's `dehydrated`: a script that is there for a minute a day, and
not a library that stays in memory. nginx shows what the authority wants to see at port 80."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
from pathlib import Path

from appliance.config import Acme, Home
from appliance.errors import Invalid, Unavailable
from appliance.system.ending import ended
from appliance.system.files import make_private_dir, write_atomic
from appliance.system.tls import parse_name

PROGRAM = "dehydrated"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEADLINE_S = 300.0
SAID_BYTES = 64 * 1024
_URL = re.compile(r"https?://[\x21-\x7e]{1,500}")
_FILE = re.compile(r"/[A-Za-z0-9._/+@-]{1,500}")
_MAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}")


def challenges(home: Home) -> Path:
    """What nginx shows below `/.well-known/acme-challenge/`."""
    return home.nginx / "acme"


def check(acme: Acme) -> tuple[str, ...]:
    """The domains that a certificate is asked for. Raises Invalid for what no authority would take."""
    if not acme.agree:
        hint = "Read them at the authority's site (https://letsencrypt.org/repository/) and set tls.acme.agree = true."
        raise _wrong("the terms of the certificate authority were not agreed to", hint)
    domains = tuple(_domain(text) for text in acme.domains)
    if acme.directory not in ("letsencrypt", "letsencrypt-test") and not _URL.fullmatch(acme.directory):
        raise _wrong(f"tls.acme.directory is no address: {acme.directory[:80]}", "It is letsencrypt, or https://…")
    if acme.ca and not _FILE.fullmatch(acme.ca):
        raise _wrong("tls.acme.ca is no plain path", "Use a full path without blanks and quotes: /etc/weir/acme-ca.pem")
    if acme.email and not _MAIL.fullmatch(acme.email):
        raise _wrong(f"tls.acme.email is no address: {acme.email[:80]}", "Correct it in config.toml, or leave it out.")
    return domains


async def renew(home: Home, acme: Acme, *, deadline_s: float = DEADLINE_S) -> bool:
    """Get a certificate, or a new one when fewer than 30 days are left; whether there is another one than before.

    Talks to the network: call it once or twice a day. Raises Invalid for a configuration that can't work, Unavailable
    with what the client said last.
    """
    domains = check(acme)
    program = shutil.which(PROGRAM, path=PATH)
    if program is None:
        raise Unavailable(
            "the ACME client is not installed", hint="Type: apt-get install --no-install-recommends dehydrated"
        )
    directory = home.tls / "acme"
    await asyncio.to_thread(_prepare, home, acme, domains)
    served = directory / "certs" / "box" / "fullchain.pem"
    before = _bytes(served)
    code, said = await _run([program, "--cron", "--accept-terms", "--config", str(directory / "config")], deadline_s)
    if code != 0:
        raise Unavailable(f"no certificate was given for {', '.join(domains)}: {_reason(said)}", hint=_HINT)
    return _bytes(served) != before


_HINT = (
    "Each domain has to lead to port 80 of this box from the Internet (router, firewall, DNS). It is tried again by "
    "itself; the box's own certificate serves meanwhile."
)


def _domain(text: str) -> str:
    name = parse_name(text)
    if name.port is not None or ":" in name.name or "." not in name.name or name.name.replace(".", "").isdigit():
        raise _wrong(f"'{text[:80]}' is no domain that an authority knows", "Name domains of the DNS: plant.example")
    return name.name


def _prepare(home: Home, acme: Acme, domains: tuple[str, ...]) -> None:
    directory = make_private_dir(home.tls / "acme")
    challenges(home).mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomic(directory / "domains.txt", f"{' '.join(domains)} > box\n", 0o600)
    write_atomic(directory / "config", _configuration(home, acme), 0o600)


def _configuration(home: Home, acme: Acme) -> str:
    """dehydrated's configuration is read by a shell: every value is quoted for one."""
    values = {
        "CA": acme.directory,
        "BASEDIR": str(home.tls / "acme"),
        "DOMAINS_TXT": str(home.tls / "acme" / "domains.txt"),
        "WELLKNOWN": str(challenges(home)),
        "CHALLENGETYPE": "http-01",
        "KEY_ALGO": "prime256v1",
        "RENEW_DAYS": "30",
        "CONTACT_EMAIL": acme.email,
        # The script splits this at blanks, without quotes of its own.
        "CURL_OPTS": " ".join(["--max-time 60", *([f"--cacert {acme.ca}"] if acme.ca else [])]),
        "AUTO_CLEANUP": "yes",
    }
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items() if value)


async def _run(command: list[str], deadline_s: float) -> tuple[int, str]:
    """Its exit code and what it said. Nothing of it is left when this returns, also when it is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent"},
        start_new_session=True,
        umask=0o022,
    )
    assert process.stdout is not None
    said = bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            while chunk := await process.stdout.read(4096):
                said += chunk
                del said[:-SAID_BYTES]
            await process.wait()
    except TimeoutError:
        said += f"\nERROR: it did not end within {deadline_s:.0f} s".encode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await ended(process)
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")


def _reason(said: str) -> str:
    """What the authority or the script complains of, in one line."""
    details: list[str] = re.findall(r'"detail"\]?\s*[:\s]\s*"((?:[^"\\]|\\.){1,300})"', said)
    if details:
        return details[-1].replace('\\"', '"')
    lines = [line.strip(" +") for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line]
    return " ".join((errors or lines or ["it said nothing"])[-1].split())[:300]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _wrong(said: str, hint: str) -> Invalid:
    return Invalid(said, code="acme_configuration", hint=hint)
