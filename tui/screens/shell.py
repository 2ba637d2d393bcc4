"""Opens a shell of an instance: the screens rest meanwhile, and come back as they were."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from appliance.schema.instances import Instance
from tui import remote_shell, shell
from tui.errors import BoxError
from tui.signs import Kind
from tui.text import visible

if TYPE_CHECKING:
    from tui.screens.frame import Frame


def open_shell(frame: Frame, each: Instance) -> None:
    """Say as whom and where, and open it when that is agreed to."""
    status = frame.known.status
    if status is None:
        frame.say("the box has not told yet where its directory is", Kind.BAD)
        return
    here = frame.profile.files and frame.owner.client.address.socket is not None
    if status.appliance.sandbox or not here:
        whose = "its own user, in its sandbox" if status.appliance.sandbox else "the box's account, which owns it all"
        frame.confirm(each.name, f"for a shell as {whose}", lambda: _by_the_box(frame, each, whose))
    else:
        _in_directory(frame, each, Path(status.appliance.home))


def _in_directory(frame: Frame, each: Instance, home: Path) -> None:
    """On the box itself, where instances have no sandbox."""
    try:
        here = shell.place(home, each.id)
    except BoxError as error:
        frame.refused(error)
        return
    power = ", which owns the whole box" if here.owns_box else ""

    def go() -> None:
        frame.run_worker(_recorded(frame, each, here), exit_on_error=False, name="shell")

    frame.confirm(each.name, f"for a shell as {here.user}{power}", go)


def _by_the_box(frame: Frame, each: Instance, whose: str) -> None:
    """The box opens it, and writes down who asked."""
    try:
        with frame.owner.suspend():
            said = f"weir: a shell of {visible(each.name)} as {whose}; 'exit' goes back."
            print(said, flush=True)  # noqa: T201 - the terminal is the user's now
            remote_shell.run(frame.owner.client.address, each.id)
    except SuspendNotSupported:
        frame.say("this terminal cannot be lent to a shell", Kind.BAD)
    except BoxError as error:
        frame.refused(error)
    else:
        frame.say(f"the shell of {each.name} has ended")
    finally:
        frame.owner.refresh(layout=True)


async def _recorded(frame: Frame, each: Instance, here: shell.Place) -> None:
    """No shell is opened of which the audit log does not know."""
    try:
        await frame.owner.client.post(f"/projects/{each.id}/shells", {"account": here.user})
    except BoxError as error:
        frame.refused(error, "no shell was opened")
    else:
        _open(frame, each, here)


def _open(frame: Frame, each: Instance, here: shell.Place) -> None:
    try:
        with frame.owner.suspend():
            print(_greeting(each, here), flush=True)  # noqa: T201 - the terminal is the user's now
            code = shell.run(here, [shell.login_shell(), "-i"])
    except SuspendNotSupported:
        frame.say("this terminal cannot be lent to a shell", Kind.BAD)
    except BoxError as error:
        frame.refused(error)
    else:
        frame.say(f"the shell of {each.name} has ended{f' with status {code}' if code else ''}")
    finally:
        frame.owner.refresh(layout=True)


def _greeting(each: Instance, here: shell.Place) -> str:
    lines = [f"weir: a shell of {visible(each.name)} as {here.user} in {visible(str(here.directory))}."]
    if here.owns_box:
        lines.append("      This account owns the whole box: all instances, the database and the keys.")
    lines.append("      'exit' goes back to the screens; should the terminal look odd afterwards, type: reset")
    return "\n".join(lines) if sys.stdout.isatty() else ""
