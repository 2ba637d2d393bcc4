"""`weir ca …`: how phones and PCs come to trust the box."""

from __future__ import annotations

import io
import ipaddress
import os
import sys
from pathlib import Path

from appliance.schema.box import BoxName, BoxNames, BoxStatus
from appliance.schema.trust import STEPS
from tui.cli.session import Session, print_object, say
from tui.errors import Refused
from tui.text import visible
from tui.wire import decode


def show(session: Session, *, as_json: bool) -> None:
    """Print page, fingerprint and the steps for each system. Raises BoxError."""
    status, names = _asked(session)
    page = enrolment(status, names)
    if as_json:
        print_object({"page": page, "fingerprint": status.appliance.ca_fingerprint, "steps": STEPS})
        return
    print(f"Open on the phone or PC:  {visible(page)}      (weir ca qr draws it as a code)")
    print("Compare the fingerprint (SHA-256) there with this one before you trust it:")
    print(f"  {visible(status.appliance.ca_fingerprint or 'there is no authority yet')}")
    for system, steps in STEPS.items():
        print(f"{system + ':':<15} {steps}")


def qr(session: Session, *, name: str, as_json: bool) -> None:
    """Draw the page's address. Raises BoxError."""
    status, names = _asked(session)
    page = enrolment(status, names, name)
    if as_json:
        print_object({"page": page})
        return
    print(drawn(page, colours=sys.stdout.isatty(), ascii_only=not _draws_blocks()), end="")
    print(visible(page))
    print(f"SHA-256 {visible(status.appliance.ca_fingerprint)}")


def save(session: Session, file: str, *, as_json: bool) -> None:
    """Write the certificate (PEM). Raises BoxError, Refused when the file can't be written."""
    with session.box() as box:
        pem = box.page("/ca.crt")
    if file == "-":
        sys.stdout.write(pem.decode())
        return
    try:
        Path(file).write_bytes(pem)
    except OSError as error:
        raise Refused(f"{file} can't be written: {error.strerror}", status=0, hint="Name another file.") from error
    print_object({"file": file}) if as_json else say(f"the authority's certificate is in {file}")


def enrolment(status: BoxStatus, names: list[BoxName], wanted: str = "") -> str:
    """The page that needs no trust yet. By an address where there is one: phones look up few names."""
    host = wanted or _reachable(names)
    port = status.appliance.http_port
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{shown}{'' if port == 80 else f':{port}'}/"


def drawn(text: str, *, colours: bool, ascii_only: bool = False) -> str:
    """A QR code in characters, two rows in one line. With colours it is dark on light whatever the terminal is."""
    import segno

    code = segno.make(text, error="m", micro=False)
    if ascii_only:
        rows = [[bool(cell) for cell in row] for row in code.matrix_iter(border=2)]
        return "".join("".join("  " if dark else "##" for dark in row) + "\n" for row in rows)
    out = io.StringIO()
    code.terminal(out=out, compact=True, border=2)
    lines = out.getvalue().splitlines()
    return "".join(f"\033[97;40m{line}\033[0m\n" if colours else f"{line}\n" for line in lines)


def _asked(session: Session) -> tuple[BoxStatus, list[BoxName]]:
    with session.box() as box:
        return decode(box.get("/box/status"), BoxStatus), decode(box.get("/box/names"), BoxNames).names


def _reachable(names: list[BoxName]) -> str:
    usable = [each.name for each in names if each.name not in ("localhost", "127.0.0.1", "::1")]
    addresses = [name for name in usable if _is_v4(name)]
    return (addresses or usable or ["localhost"])[0]


def _is_v4(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).version == 4
    except ValueError:
        return False


def _draws_blocks() -> bool:
    encoding = (sys.stdout.encoding or "ascii").lower()
    return encoding.startswith("utf") and os.environ.get("TERM") != "dumb"
