"""The static pages that nginx shows by itself: why an instance does not answer, and where trust in the box begins."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import jinja2
from msgspec import Struct

from appliance.config import Home
from appliance.schema.trust import STEPS
from appliance.system import templates


class Link(Struct, frozen=True):
    href: str
    text: str


class Page(Struct, frozen=True):
    """What a page says. Everything is text and is escaped; `refresh_s` 0: it stays as it is."""

    title: str
    paragraphs: tuple[str, ...] = ()
    evidence: str = ""
    notes: tuple[str, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()  # for whom, and what to do
    links: tuple[Link, ...] = ()
    refresh_s: int = 0


# State of an instance (instance protocol §5) -> what a visitor reads, and after how many seconds the page looks again.
_STATES: dict[str, tuple[str, str, int]] = {
    "starting": ("{} is starting", "It will be shown here in a moment.", 3),
    "loading": ("{} is starting", "It will be shown here in a moment.", 3),
    "installing": ("{} is starting", "Its nodes are being installed.", 5),
    "importing": ("{} is starting", "Its flows are being imported.", 5),
    "rollback": ("{} is going back to a snapshot", "It will be shown here in a moment.", 5),
    "restarting": ("{} is restarting", "It will be shown here in a moment.", 3),
    "running": ("{} is starting", "It will be shown here in a moment.", 3),
    "stopping": ("{} is stopping", "Somebody stopped it.", 10),
    "suspending": ("{} is stopping", "Somebody suspended it.", 10),
    "stopped": ("{} is stopped", "Somebody stopped it. It is shown here again once it is started.", 15),
    "suspended": ("{} is suspended", "It is shown here again once it is started.", 30),
    "crashed": ("{} has crashed", "Its log says more. It is shown here again once it runs.", 10),
    "error": ("{} cannot be started", "The reason is below. It is shown here again once it runs.", 15),
}
_UNKNOWN_STATE = ("{} does not answer", "It is shown here again once it runs.", 10)


def render_stopped(home: Home, instance_id: str, name: str, state: str, reason: str = "", message: str = "") -> None:
    """Write the page that visitors of an instance see while it is not up. Quick; may be called at every change.

    Not flushed to the disk: the pages are written again at every start of the appliance. Raises OSError.
    """
    title, lead, refresh_s = _STATES.get(state, _UNKNOWN_STATE)
    page = Page(
        title=title.format(name or "This instance"),
        paragraphs=(lead,),
        evidence=message or reason,
        notes=(f"State: {state}" + (f" ({reason})" if reason and message else ""),),
        refresh_s=refresh_s,
    )
    _replace(directory(home) / f"{instance_id}.html", html(page))


def remove_stopped(home: Home, instance_id: str) -> None:
    """Forget the page of a deleted instance."""
    (directory(home) / f"{instance_id}.html").unlink(missing_ok=True)


def write_pages(home: Home, fingerprint: str, names: tuple[str, ...]) -> None:
    """The pages that belong to the box: CA page, platform away, instance away or just gone. Raises OSError."""
    directory(home).mkdir(parents=True, exist_ok=True)
    for name, page in {**_FIXED, "ca": _ca(fingerprint, names)}.items():
        _replace(directory(home) / f"{name}.html", html(page))


def directory(home: Home) -> Path:
    return home.nginx / "pages"


def html(page: Page) -> str:
    """The page as a complete document."""
    return _template().render(
        title=page.title,
        paragraphs=page.paragraphs,
        evidence=page.evidence,
        notes=page.notes,
        steps=page.steps,
        links=page.links,
        refresh_s=page.refresh_s,
    )


_FIXED = {
    "platform": Page(
        title="Weir is starting",
        paragraphs=("The platform does not answer yet. This page looks again by itself.",),
        notes=("Instances keep running meanwhile. On the box, 'weir status' says more.",),
        refresh_s=3,
    ),
    "away": Page(
        title="This instance is not running",
        paragraphs=("It is shown here once it runs.",),
        refresh_s=5,
    ),
    "gone": Page(
        title="This instance stopped answering",
        paragraphs=("It ended or does not answer at the moment. This page looks again by itself.",),
        refresh_s=3,
    ),
}


def _ca(fingerprint: str, names: tuple[str, ...]) -> Page:
    return Page(
        title="Trust this box",
        paragraphs=(
            "Weir on this box makes its own certificates. Install its CA certificate once on this device, "
            "and browsers trust the box and all its instances.",
            "Compare the fingerprint (SHA-256) with the one that 'weir status' shows on the box before you trust it:",
        ),
        evidence=fingerprint,
        links=(Link("/ca.crt", "Download the certificate"), Link("/open", "Open Weir")),
        steps=tuple(STEPS.items()),
        notes=(f"Names of this box: {', '.join(names)}",),
    )


@cache
def _template() -> jinja2.Template:
    return templates.load("nginx", "page.html.j2", html=True)


def _replace(path: Path, text: str) -> None:
    """Never seen half-written; unchanged content is not written again."""
    encoded = text.encode()
    try:
        if path.read_bytes() == encoded:
            return
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(encoded)
    temporary.replace(path)
