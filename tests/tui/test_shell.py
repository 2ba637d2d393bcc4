"""A shell of an instance, the user's own editor, and another box, from the real `weir` on a real terminal."""

from __future__ import annotations

import os
import pwd
import termios
from pathlib import Path

import pytest

from tests.support import eventually
from tests.tui.fakebox import FakeBox, running
from tests.tui.test_terminal import Terminal, terminal
from tui import shell
from tui.errors import BoxError

NOBODY = pwd.getpwnam("nobody")


def since(line: Terminal, at: int) -> str:
    """What came since then, without escapes."""
    whole, line.wire = line.wire, line.wire[at:]
    try:
        return line.text
    finally:
        line.wire = whole


async def opened(box: FakeBox, home: Path, line: Terminal, *, uid: int | None = None) -> Path:
    """Open a shell in the directory of plant-a."""
    directory = home / "instances" / box.find("plant-a")["id"]
    directory.mkdir(parents=True)
    if uid is not None:
        os.chown(directory, uid, uid)
    await eventually(lambda: "plant-test" in line.text, 15)
    await eventually(lambda: "mem 61%" in line.text)
    before = len(line.wire)
    line.press(b":shell plant-a\r")
    await eventually(lambda: "for a shell as" in since(line, before))
    line.press(b"plant-a\r")
    await eventually(lambda: "a shell of plant-a as" in since(line, before))
    return directory


async def test_a_shell_opens_and_the_screen_comes_back_intact(box: FakeBox, home: Path) -> None:
    async with terminal(home, controlling=True, WEIR_TOKEN="") as line:
        await eventually(lambda: "plant-a" in line.text, 15)
        raw = termios.tcgetattr(line.master)[3]
        directory = await opened(box, home, line)
        assert "owns the whole box" in line.text
        # The audit log knows before anybody can type.
        assert box.asked("POST", "/shells") == [{"account": pwd.getpwuid(os.geteuid()).pw_name}]
        at = len(line.wire)
        # The program leaves mouse reports on and its terminal in a bad way, as a crashed one does.
        line.press(b"pwd; tty; env | grep -c WEIR; stty -echo; printf '\\033[?1000h'; echo do''ne\r")
        await eventually(lambda: "done" in since(line, at))
        said = since(line, at)
        assert str(directory) in said
        assert "/dev/pts/" in said
        assert "0\r\n" in said
        at = len(line.wire)
        line.press(b"exit 3\r")
        await eventually(lambda: "ended with status 3" in since(line, at))
        await eventually(lambda: "plant-test" in since(line, at))
        assert b"\x1b[?1000l" in line.wire[at:]
        assert termios.tcgetattr(line.master)[3] == raw
        at = len(line.wire)
        line.press(b"?")
        await eventually(lambda: "Keys" in since(line, at))
        line.press(b"qq")
        await eventually(lambda: line.process.returncode == 0)
        assert termios.tcgetattr(line.master)[3] & termios.ECHO


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
async def test_it_is_the_instances_user_who_cannot_reach_our_terminal(box: FakeBox, home: Path) -> None:
    for each in (home, *home.parents):
        if each.owner() == "root" and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o711)
    async with terminal(home) as line:
        await opened(box, home, line, uid=NOBODY.pw_uid)
        assert "owns the whole box" not in line.text
        at = len(line.wire)
        line.press(b"id -un; id -G; echo \"$0\"; kill -0 $PPID || echo not''ours; echo e''nd\r")
        await eventually(lambda: "end" in since(line, at), what=since(line, 0)[-1500:])
        said = since(line, at)
        assert "nobody\r\n" in said
        assert f"{NOBODY.pw_gid}\r\n" in said or f"{NOBODY.pw_uid}\r\n" in said
        assert "notours" in said
        line.press(b"sleep 600 & exit\r")  # what is left behind does not hold the screens
        await eventually(lambda: "the shell of plant-a has ended" in since(line, at))
        line.press(b"q")
        await eventually(lambda: line.process.returncode == 0)


async def test_nothing_is_opened_unless_the_name_was_typed(box: FakeBox, home: Path) -> None:
    (home / "instances" / box.find("plant-a")["id"]).mkdir(parents=True)
    async with terminal(home) as line:
        await eventually(lambda: "mem 61%" in line.text, 15)
        line.press(b"s")
        await eventually(lambda: "for a shell as" in line.text)
        line.press(b"y\r")
        await eventually(lambda: "nothing was done" in line.text)


async def test_no_shell_of_which_the_audit_log_does_not_know(box: FakeBox, home: Path) -> None:
    ident = box.find("plant-a")["id"]
    (home / "instances" / ident).mkdir(parents=True)
    refusal = {"code": "forbidden", "error": "That needs the role admin.", "hint": ""}
    box.refuse[f"POST /api/v1/projects/{ident}/shells"] = (403, refusal)
    async with terminal(home) as line:
        await eventually(lambda: "mem 61%" in line.text, 15)
        line.press(b"s")
        await eventually(lambda: "for a shell as" in line.text)
        line.press(b"plant-a\r")
        await eventually(lambda: "no shell was opened: That needs the role admin." in line.text)
        assert "a shell of plant-a as" not in line.text


async def test_the_end_of_the_terminal_ends_the_shell(box: FakeBox, home: Path) -> None:
    async with terminal(home) as line:
        await opened(box, home, line)
        at = len(line.wire)
        line.press(b"echo pid=$$.\r")
        await eventually(lambda: "pid=" in since(line, at).partition("echo pid=$$.")[2])
        await eventually(lambda: since(line, at).rpartition("pid=")[2].partition(".")[0].isdigit())
        pid = int(since(line, at).rpartition("pid=")[2].partition(".")[0])
        line.close()
        await eventually(lambda: line.process.returncode is not None, 8)
        await eventually(lambda: not Path(f"/proc/{pid}").exists(), 8)


async def test_the_users_own_editor_edits_and_the_built_in_one_goes_on(
    box: FakeBox, home: Path, tmp_path: Path
) -> None:
    box.instances[0]["settings"] = {"env": [{"name": "TEXT", "value": "one\ntwo"}]}
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf \'three\\nfour\' > "$1"; ls -l "$1" > "$0.mode"\n')
    editor.chmod(0o755)
    async with terminal(home, EDITOR=str(editor)) as line:
        await eventually(lambda: "plant-test" in line.text, 15)
        line.press(b":env plant-a\r")
        await eventually(lambda: "TEXT" in line.text)
        line.press(b"\r")
        await eventually(lambda: "^G editor" in line.text)
        line.press(b"\x07")
        await eventually(lambda: "three" in line.text)
        line.press(b"\x13")
        asked = await eventually(lambda: box.asked("PUT", f"/projects/{box.instances[0]['id']}"))
        assert asked[0]["settings"]["env"][0]["value"] == "three\nfour"
        mode = editor.with_suffix(".mode")
        assert mode.read_text().startswith("-rw-------")


async def test_the_screens_go_to_another_box(box: FakeBox, home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    config = tmp_path / "boxes.toml"
    config.write_text(f'[boxes.other]\nhome = "{other}"\n')
    async with running(other) as there:
        there.add("only-there")
        async with terminal(home, WEIR_BOXES=str(config)) as line:
            await eventually(lambda: "plant-test" in line.text, 15)
            assert "only-there" not in line.text
            line.press(b":box other\r")
            await eventually(lambda: "only-there" in line.text)
            await line.quiet()
            line.press(b"q")
            await eventually(lambda: line.process.returncode == 0)


def test_whose_directory_it_is_decides(tmp_path: Path) -> None:
    with pytest.raises(BoxError, match="cannot look at"):
        shell.place(tmp_path, "nothing")
    (tmp_path / "instances" / "a").mkdir(parents=True)
    here = shell.place(tmp_path, "a")
    assert (here.uid, here.owns_box) == (os.geteuid(), True)
    kept = shell.environment(here, {"TERM": "x", "WEIR_TOKEN": "secret", "SSH_AUTH_SOCK": "/x", "PATH": "/evil"})
    assert kept["TERM"] == "x"
    assert not {"WEIR_TOKEN", "SSH_AUTH_SOCK"} & kept.keys()
    assert "/evil" not in kept["PATH"]
