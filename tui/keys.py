"""What the key table means: which key does what, what footer, help and documents say of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tui.action import Action
from tui.keytable import ACTIONS, ANYWHERE, INSTANCE, INSTANCES, KEPT_KEYS, LOGS, SCOPES, TABLE
from tui.screens.registry import PLACES, Place

__all__ = ["ACTIONS", "ANYWHERE", "INSTANCE", "INSTANCES", "LOGS", "SCOPES", "TABLE", "Action", "Keys"]
Offers = Callable[[Action | Place], bool]
SHOWN = {"slash": "/", "colon": ":", "question_mark": "?", "left_square_bracket": "[", "right_square_bracket": "]"}
SHOWN |= {"minus": "-", "escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn"}


def anything(_offered: Action | Place) -> bool:
    """For who may do everything, where everything is to be had."""
    return True


class Keys:
    """The key table together with somebody's own keys: textual's names of keys by the name of an action."""

    def __init__(self, own: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._own = own or {}
        self._maps: dict[tuple[str, ...], dict[str, Action]] = {}

    def keymap(self, scopes: Sequence[str]) -> dict[str, Action]:
        """Key to action; of two actions with one key, that of the scope named first. One's own keys win within their
        scope, but never those of KEPT_KEYS; built-in keys stay where nothing else is put on them."""
        wanted = tuple(scopes)
        if wanted not in self._maps:
            found: dict[str, Action] = {}
            for scope in wanted:
                of_scope = [each for each in ACTIONS if each.scope == scope]
                for each in of_scope:
                    for key in self._own.get(each.name, ()):
                        if key not in KEPT_KEYS:
                            found.setdefault(key, each)
                for each in of_scope:
                    for key in each.keys:
                        found.setdefault(key, each)
            self._maps[wanted] = found
        return self._maps[wanted]

    def shown_key(self, action: Action) -> str:
        """The key that people are told."""
        own = self._own.get(action.name)
        return key_name(own[0]) if own else action.shown_key

    def footer(self, scopes: Sequence[str], cells: int, offers: Offers = anything) -> list[tuple[str, str]]:
        """Keys and labels that fit on one line, `?` always among them."""
        found = [each for scope in scopes for each in ACTIONS if each.scope == scope]
        shown = [(self.shown_key(each), each.label) for each in found if each.shown and offers(each)]
        keep = [pair for pair in shown if pair[1] == "help"]
        for pair in shown:
            if pair not in keep and sum(len(key) + len(label) + 3 for key, label in [*keep, pair]) <= cells + 2:
                keep.append(pair)
        return [pair for pair in shown if pair in keep]

    def help_rows(self, offers: Offers = anything, first: Sequence[str] = ()) -> list[tuple[str, str, str]]:
        """Key, `:` word and explanation of every action, grouped by scope; a group starts with a row of its title.

        The scopes of `first` come first: those of the screen that asks.
        """
        rows: list[tuple[str, str, str]] = []
        here = {scope: SCOPES[scope] for scope in first}
        for scope, title in {**here, **SCOPES}.items():
            found = [each for each in ACTIONS if each.scope == scope and offers(each)]
            if found:
                rows.append(("", "", title))
            for each in found:
                keys = self._own.get(each.name, ()) + each.keys
                rows.append((" ".join(map(key_name, keys)), f":{each.command}" if each.command else "", each.help))
        rows.append(("", "", "Screens"))
        rows += [("", f":{place.word}", place.help) for place in PLACES if offers(place)]
        return rows


def key_name(key: str) -> str:
    """A key as people read it: `^R` for `ctrl+r`."""
    if key.startswith("ctrl+"):
        return f"^{key[5:].upper()}"
    return SHOWN.get(key, key if len(key) == 1 else key.capitalize())


def actions(scopes: Sequence[str]) -> list[Action]:
    """The actions of these scopes, in the table's order."""
    return [each for each in ACTIONS if each.scope in scopes]


def commands() -> dict[str, list[Action]]:
    """Word after `:` to what it may mean, screen by screen."""
    found: dict[str, list[Action]] = {}
    for each in ACTIONS:
        if each.command:
            found.setdefault(each.command, []).append(each)
    return found


def place_of(word: str) -> Place | None:
    """The screen that a word names, by its own or another of its names."""
    for place in PLACES:
        if word == place.word or word in place.aliases:
            return place
    return None


def document() -> str:
    """`docs/keys.md`: the table for who has no terminal at hand."""
    lines = [HEAD]
    for key, command, text in Keys().help_rows():
        if not key and not command:
            lines += [f"\n## {text}\n", "| key | command | does |", "| --- | --- | --- |"]
        else:
            shown = " ".join(f"`{each}`" for each in key.split()) if key else ""
            lines.append(f"| {shown} | {f'`{command}`' if command else ''} | {text} |")
    lines.append("\n## Keys of your own\n\n" + OWN)
    lines += ["| name | built-in keys |", "| --- | --- |"]
    lines += [f"| `{each.name}` | {' '.join(f'`{key}`' for key in each.keys)} |" for each in ACTIONS]
    return "\n".join(lines) + "\n"


HEAD = """# Keys

Made from the key table (`tui/keytable.py`) by `python -m tui.keys > docs/keys.md`; a test checks that it is current.

Every action can also be typed as a command after `:`, for terminals that lose keys; Tab completes, Up brings back what
was typed before. `:restart plant-a` names an instance; without a name the one under the cursor is meant.

`/` filters: `/plant` shows lines with that text, `/!plant` those without, `/state=running` compares a column,
`/state=running !test` joins both. In logs the whole text is looked for."""
OWN = """In `~/.config/weir/keys.toml`, or the file that `WEIR_KEYS` names:

```toml
[keys]
"instance.restart" = "f5"
"table.page_down" = ["ctrl+n", "pagedown"]
```

Left is the name of an action below, right one key or several, as textual calls them. The built-in keys go on working
unless another action got them; `:` `?` `Esc` `Enter` and `q` can't be given away. A mistake in the file is told with
its line when the screens open; the rest of the file counts.
"""

if __name__ == "__main__":
    import sys

    sys.stdout.write(document())
