"""Keeps ports off the network: one table of nftables that lets only this machine itself reach them.

Needs root and the program nft. The table has the box's own name, so that boxes and other firewalls are not touched.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from appliance.system.ending import ended

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
NFT_S = 10.0
_OPENS = "tcp flags syn / syn,ack"


class Ports(Struct, frozen=True):
    """A range of TCP ports, both ends in it."""

    first: int
    last: int


class GuardFailed(Exception):
    """The ports can't be kept off the network; the text says why."""


def table_of(home: Path) -> str:
    """The name of this box's table."""
    return f"weir_{hashlib.sha256(str(home).encode()).hexdigest()[:8]}"


def rules(table: str, ports: Sequence[Ports]) -> str:
    """The whole table as nft reads it; read again it replaces itself in one step. Pure."""
    # Only what opens a connection: the answers to this machine's own may come to a port that lies in a range.
    listed = ", ".join(f"{each.first}-{each.last}" for each in ports)
    return (
        f"add table inet {table}\n"
        f"delete table inet {table}\n"
        f"table inet {table} {{\n"
        "  chain input {\n"
        "    type filter hook input priority -10; policy accept;\n"
        f'    iifname != "lo" tcp dport {{ {listed} }} {_OPENS} counter drop\n'
        "  }\n"
        "}\n"
    )


async def ensure(table: str, ports: Sequence[Ports]) -> None:
    """See to it that the table is there and says this. Raises GuardFailed."""
    shown = await _nft("list", "table", "inet", table, missing_is_fine=True)
    if "syn" in shown and all(f"{each.first}-{each.last}" in shown for each in ports):
        return
    await _nft("-f", "-", given=rules(table, ports))


async def remove(table: str) -> None:
    """Take the table away; gone already is fine. Raises GuardFailed."""
    await _nft("-f", "-", given=f"add table inet {table}\ndelete table inet {table}\n")


async def _nft(*arguments: str, given: str = "", missing_is_fine: bool = False) -> str:
    program = shutil.which("nft", path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")
    if program is None:
        raise GuardFailed("the program nft is not installed (apt-get install nftables)")
    if os.geteuid() != 0:
        raise GuardFailed("this takes root")
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(NFT_S):
            said, complaint = await process.communicate(given.encode())
    except TimeoutError as error:
        raise GuardFailed(f"nft did not end within {NFT_S:.0f} s") from error
    finally:
        await ended(process)
    if process.returncode != 0 and not missing_is_fine:
        lines = complaint.decode(errors="replace").strip().splitlines()
        raise GuardFailed(f"nft refuses: {lines[0] if lines else process.returncode}")
    return said.decode(errors="replace") if process.returncode == 0 else ""
