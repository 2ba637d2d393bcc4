"""Style names as looks. The terminal's own background always stays; colour only repeats what signs and words say."""

from __future__ import annotations

from rich.style import Style

from tui.profile import Profile
from tui.signs import Kind

# Okabe and Ito's palette: told apart by colour-blind people too.
WONG = {Kind.UP: "#56b4e9", Kind.CHANGING: "#e69f00", Kind.BAD: "#d55e00", Kind.ODD: "#cc79a7"}
SIXTEEN = {Kind.UP: "bright_blue", Kind.CHANGING: "yellow", Kind.BAD: "bright_red", Kind.ODD: "magenta"}
# Prefixes of logs that are shown together; told apart by their text too.
PREFIXES = ("#56b4e9", "#e69f00", "#cc79a7", "#009e73", "#f0e442", "#d55e00")
PREFIXES_16 = ("bright_cyan", "yellow", "magenta", "green", "bright_blue", "red")
LEVELS = {"error": Kind.BAD, "fatal": Kind.BAD, "warn": Kind.CHANGING, "system": Kind.UP}


class Theme:
    """Looks for one profile."""

    def __init__(self, profile: Profile) -> None:
        self.more = profile.more
        self._plain = Style()
        self._styles = {
            "title": Style(bold=True),
            "name": Style(bold=not profile.low),
            "key": Style(bold=True),
            "head": Style(bold=True),
            "banner": Style(bold=True, reverse=True),
            "tab": Style(reverse=True),
            "dim": Style(dim=not profile.low),
        }
        if profile.colour:
            colours = SIXTEEN if profile.low else WONG
            self._styles |= {name: Style(color=colour) for name, colour in colours.items()}
            several = PREFIXES_16 if profile.low else PREFIXES
            self._styles |= {f"prefix{at}": Style(color=colour) for at, colour in enumerate(several)}
        else:
            self._styles |= {Kind.BAD: Style(bold=True)}

    def style(self, name: str, *, cursor: bool = False, stale: bool = False) -> Style:
        """The look of a style name; the row under the cursor is reversed as a whole, in one colour."""
        if cursor:
            return Style(reverse=True)
        found = self._styles.get(name, self._plain)
        return found + Style(dim=True) if stale else found
