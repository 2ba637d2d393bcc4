"""The boxes that a user knows: a TOML file with where each is and where its token lies. No secret is in it."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tui.address import Address, Wanted, find
from tui.errors import BoxError, Usage

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
LARGEST_BYTES = 1024 * 1024
SECRETS = frozenset({"token", "password", "secret"})


class KnownBox(Struct, frozen=True, forbid_unknown_fields=True):
    """One box: at `url` with the token in `token_file`, or on this machine in the directory `home`."""

    url: str = ""
    token_file: str = ""
    ca: str = ""
    home: str = ""


class Boxes(Struct, frozen=True):
    """What the file says. `mistakes` are sentences about what is left out of it."""

    path: Path
    known: dict[str, KnownBox] = {}
    mistakes: tuple[str, ...] = ()


def file_path(environ: Mapping[str, str]) -> Path:
    """Where the file is: WEIR_BOXES, else `weir/boxes.toml` in the user's configuration."""
    named = environ.get("WEIR_BOXES", "")
    config = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    return Path(named) if named else config / "weir" / "boxes.toml"


def read(environ: Mapping[str, str]) -> Boxes:
    """The file; without one no boxes. Never raises: what is wrong is in `mistakes`."""
    path = file_path(environ)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return Boxes(path, mistakes=(f"{path} is larger than 1 MB",))
        return parse(path.read_text("utf-8"), path)
    except FileNotFoundError:
        return Boxes(path)
    except (OSError, UnicodeDecodeError) as error:
        return Boxes(path, mistakes=(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}",))


def parse(text: str, path: Path) -> Boxes:
    """The file's content; wrong entries are left out and told."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Boxes(path, mistakes=(f"{path} is no TOML: {error}",))
    table = document.pop("boxes", {})
    mistakes = [f"{path}: '{each}' is unknown; there is [boxes.NAME]" for each in document]
    known: dict[str, KnownBox] = {}
    for name, entry in table.items() if isinstance(table, dict) else ():
        why = _wrong(name, entry)
        if why:
            mistakes.append(f"{path}: [boxes.{name}] {why}")
        else:
            known[name] = msgspec.convert(entry, KnownBox)
    return Boxes(path, known, tuple(mistakes))


def _wrong(name: str, entry: Any) -> str:
    if not NAME.fullmatch(name):
        return "has a name with other characters than letters, digits, - and _"
    if isinstance(entry, dict) and SECRETS & entry.keys():
        return "holds a secret, which does not belong here: put it into a file and name that with token_file"
    try:
        found = msgspec.convert(entry, KnownBox)
    except msgspec.ValidationError as error:
        return f"is wrong: {error}"
    return "" if bool(found.url) is not bool(found.home) else "needs either a url or a home"


def address(each: KnownBox, environ: Mapping[str, str]) -> Address:
    """The address of a known box, with the token read from its file. Raises Usage."""
    return find(_wanted(each), _without_others(environ))


def named(name: str, environ: Mapping[str, str]) -> Address:
    """The address of the box of that name. Raises Usage naming what is known."""
    return address(_known(name, environ), environ)


def meant(wanted: Wanted, environ: Mapping[str, str]) -> tuple[Wanted, Mapping[str, str]]:
    """A command line that names a known box, as one that says where it is; and the environment that goes with it.

    Raises Usage when the box is not known, or another one is named beside.
    """
    if wanted.home or wanted.url:
        raise Usage("--box and another option name two boxes", hint="Give one of them.")
    found = _wanted(_known(wanted.box, environ))
    given = {"token": wanted.token, "token_file": wanted.token_file, "ca": wanted.ca}
    if wanted.token or wanted.token_file:
        found = msgspec.structs.replace(found, token_file="")
    return msgspec.structs.replace(found, **{key: value for key, value in given.items() if value}), _without_others(
        environ
    )


def _known(name: str, environ: Mapping[str, str]) -> KnownBox:
    found = read(environ)
    if name not in found.known:
        names = ", ".join(found.known) or "none"
        hint = found.mistakes[0] if found.mistakes else f"{found.path} has: {names}. The screen :box adds one."
        raise Usage(f"no box is known as '{name}'", hint=hint)
    return found.known[name]


def _wanted(each: KnownBox) -> Wanted:
    return Wanted(home=_file(each.home), url=each.url, token_file=_file(each.token_file), ca=_file(each.ca))


def _without_others(environ: Mapping[str, str]) -> dict[str, str]:
    """A token of the environment, or its box, is meant for another box than one that is named."""
    return {name: value for name, value in environ.items() if name not in ("WEIR_TOKEN", "WEIR_HOME")}


def add(environ: Mapping[str, str], name: str, each: KnownBox) -> None:
    """Write a further box to the end of the file, whose comments stay. Raises BoxError."""
    path = file_path(environ)
    before = read(environ)
    if name in before.known:
        raise BoxError(f"a box is known as '{name}' already", hint="Give another name, or forget that one first.")
    why = _wrong(name, msgspec.to_builtins(each))
    if why:
        raise BoxError(f"'{name}' {why}", hint="Correct it.")
    fields = msgspec.structs.asdict(each)
    lines = [f"[boxes.{name}]", *(f"{key} = {_quoted(value)}" for key, value in fields.items() if value)]
    text = _text(path)
    _write(path, f"{text.rstrip()}\n\n" if text.strip() else "", "\n".join(lines) + "\n", name, there=True)


def forget(environ: Mapping[str, str], name: str) -> None:
    """Take a box out of the file; all else in it stays. Raises BoxError."""
    path = file_path(environ)
    kept: list[str] = []
    inside = False
    for line in _text(path).splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = re.match(rf"""\s*\[\s*boxes\s*\.\s*["']?{re.escape(name)}["']?\s*\]""", line) is not None
        if not inside:
            kept.append(line)
    _write(path, "".join(kept), "", name, there=False)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise BoxError(f"cannot read {path}: {error}", hint="Mend the file.") from error


def _write(path: Path, before: str, more: str, name: str, *, there: bool) -> None:
    """Whole or not at all, and only when it then says what it is to say."""
    text = before + more
    after = parse(text, path)
    if (name in after.known) is not there:
        why = after.mistakes[0] if after.mistakes else "it is written in another way than this one"
        raise BoxError(f"{path} is not changed: {why}", hint="Change it by hand.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd, scratch = tempfile.mkstemp(prefix=".weir-", dir=path.parent)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(scratch).replace(path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BoxError(f"cannot write {path}: {error.strerror or error}", hint="Is there room on the disk?") from error


def _quoted(value: str) -> str:
    """A basic string of TOML: JSON's, with the one character more that TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _file(text: str) -> str:
    return str(Path(text).expanduser()) if text else ""
