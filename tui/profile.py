"""How the screens use the terminal: colours, characters, rates. Decided before textual is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Profile(Struct, frozen=True):
    """`low` is for a slow line: 16 colours, few repaints. Rates are seconds."""

    low: bool = False
    colour: bool = True
    ascii: bool = False
    repaint_s: float = 0.1  # changes of a screen are gathered this long
    status_s: float = 10.0  # how often the header's numbers are asked for
    rest_s: float = 300.0  # nobody typed for so long: the header's numbers rest
    files: bool = True  # files of this machine may be read and written: not for who came by a one-time ticket

    @property
    def dot(self) -> str:
        return "|" if self.ascii else "·"

    @property
    def dash(self) -> str:
        return "-" if self.ascii else "–"

    @property
    def more(self) -> str:
        """Ends a text that is cut."""
        return "~" if self.ascii else "…"


def choose(environ: Mapping[str, str], *, rich: bool, low: bool, encoding: str, files: bool = True) -> Profile:
    """The profile for this terminal: low over SSH unless `rich` is asked for."""
    slow = low or (not rich and bool(environ.get("SSH_CONNECTION")))
    colour = not environ.get("NO_COLOR") and environ.get("TERM") not in ("dumb", "vt100", "vt220")
    # In the C locale Python itself writes UTF-8 (PEP 540); who asks for that locale has a terminal that can't show it.
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    ascii_only = locale in ("C", "POSIX") or encoding.replace("-", "").lower() != "utf8"
    if slow:
        return Profile(low=True, colour=colour, ascii=ascii_only, repaint_s=0.5, status_s=30.0, files=files)
    return Profile(colour=colour, ascii=ascii_only, files=files)


def textual_switches(profile: Profile, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment for textual, which reads it when it is loaded; what the user has set stays."""
    wanted = {"ESCDELAY": "100"}
    if profile.low:
        wanted = {
            "ESCDELAY": "250",  # https://github.com/Textualize/textual/issues/4816
            "TEXTUAL_COLOR_SYSTEM": "standard",
            "TEXTUAL_ANIMATIONS": "none",
            "TEXTUAL_FPS": "10",
            "TEXTUAL_SMOOTH_SCROLL": "0",
            "TEXTUAL_DISABLE_KITTY_KEY": "1",
        }
    return {name: value for name, value in wanted.items() if name not in environ}
