"""The command `weir`: runs one command and turns what happened into an exit code.

Commands import what they need when they run: `weir --help` loads no HTTP library and no command the screens.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from tui.address import Wanted
from tui.cli import (
    backup_commands,
    catalogue_commands,
    library_commands,
    limit_options,
    operations_commands,
    people_commands,
    snapshot_commands,
    ssh_keys,
    upgrade_commands,
)
from tui.cli.parser import build, parse
from tui.cli.session import Session, warn
from tui.errors import BoxError

INTERRUPTED = 130
CLOSED_PIPE = 141  # as a program that SIGPIPE ends: scripts with pipefail know it
Command = Callable[[Session, Namespace], bool | None]


def main() -> None:
    """Run one command and exit: 0 done, 1 refused, 2 wrong usage, 130 interrupted, 141 nobody reads the output."""
    try:
        code = _complete(sys.argv[2:]) if sys.argv[1:2] == ["--complete"] else run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = CLOSED_PIPE
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise SystemExit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name; the exit code. Usage errors exit by themselves, as argparse does."""
    if "--ticket" in arguments[-2:-1] or arguments[-1:] == ["--rescue"]:
        return _over_ssh(arguments)
    return _run(arguments)


def _run(arguments: Sequence[str], session: Session | None = None) -> int:
    args = parse(build(COMMANDS), arguments)
    wanted = Wanted(
        home=args.home, url=args.url, token=args.token, token_file=args.token_file, ca=args.ca, box=args.box
    )
    try:
        if session is not None:
            from tui.cli import ssh

            ssh.refuse(session, args.command, wanted)
        well = COMMANDS[args.command](session or Session(wanted, os.environ), args)
    except BoxError as error:
        sys.stdout.flush()
        warn(error.message, error.hint)
        return error.exit_code
    return 1 if well is False else 0


def _over_ssh(arguments: Sequence[str]) -> int:
    """sshd starts this, as its configuration says; what the person typed comes in the environment."""
    from tui.cli import ssh

    if arguments[-1] == "--rescue":
        return ssh.rescue()
    return ssh.log_in(arguments[:-2], arguments[-1], lambda session, words: _run(words, session))


def _complete(given: Sequence[str]) -> int:
    """Print what may stand at a shell's cursor, one word a line."""
    from tui.cli.completing import complete

    words, code = complete(build(COMMANDS), given, os.environ)
    print("\n".join(words), end="\n" if words else "")
    return code


def bare(session: Session, args: Namespace) -> None:
    """`weir` alone: the screens on a terminal, else the status."""
    if session.on_terminal:
        _open_screens(session, rich=False, low=False)
    else:
        status(session, args)


def ui(session: Session, args: Namespace) -> None:
    """Open the screens."""
    _open_screens(session, rich=args.rich, low=args.low)


def status(session: Session, args: Namespace) -> None:
    """The box and its instances at a glance."""
    from tui.cli.status import show_status

    show_status(session, as_json=args.json)


def doctor(session: Session, args: Namespace) -> bool:
    """Look for problems and say what to do; exit 1 when there are any."""
    from tui.cli.doctor import examine

    return examine(session, as_json=args.json)


def problems(session: Session, args: Namespace) -> None:
    """What is wrong with the box: why, what was seen, what to do."""
    from tui.cli.doctor import show_problems

    show_problems(session, as_json=args.json)


def host(session: Session, args: Namespace) -> None:
    """The machine: processors, memory, disks, temperature, certificates."""
    from tui.cli.host import show_host

    show_host(session, as_json=args.json)


def create(session: Session, args: Namespace) -> None:
    """Make an instance and start it; the box's defaults for what is left out."""
    from tui.cli.instances import create_instance

    create_instance(
        session,
        args.name,
        flows=args.flows,
        application=args.application,
        of={"stack": args.stack, "projectType": args.type, "template": args.template},
        wait=args.wait,
        timeout_s=args.timeout,
        as_json=args.json,
    )


def list_(session: Session, args: Namespace) -> None:
    """All instances with their states."""
    from tui.cli.instances import list_instances

    list_instances(session, as_json=args.json)


def show(session: Session, args: Namespace) -> None:
    """One instance: its state and why, address, processes."""
    from tui.cli.instances import show_instance

    show_instance(session, args.name, as_json=args.json)


def set_(session: Session, args: Namespace) -> None:
    """Change an instance: name, stack, settings, and what is done when its flows crash or hang."""
    from tui.cli.supervision import set_instance

    set_instance(session, args.name, args.settings, as_json=args.json)


def start(session: Session, args: Namespace) -> None:
    """Start an instance."""
    _act(session, args, "start")


def stop(session: Session, args: Namespace) -> None:
    """Stop the flows; the launcher stays."""
    _act(session, args, "stop")


def restart(session: Session, args: Namespace) -> None:
    """Restart the flows."""
    _act(session, args, "restartSafe" if args.safe else "kill" if args.now else "restart")


def suspend(session: Session, args: Namespace) -> None:
    """Stop the instance with its launcher, so that it takes no memory."""
    _act(session, args, "suspend")


def _act(session: Session, args: Namespace, action: str) -> None:
    from tui.cli.instances import act

    act(session, args.name, action, wait=args.wait, timeout_s=args.timeout, as_json=args.json)


def delete(session: Session, args: Namespace) -> None:
    """Delete an instance with its flows and files."""
    from tui.cli.instances import delete_instance

    delete_instance(session, args.name, yes=args.yes, wait=args.wait, timeout_s=args.timeout, as_json=args.json)


def logs(session: Session, args: Namespace) -> None:
    """What an instance writes to its console."""
    from tui.cli.logs import show_logs

    show_logs(
        session,
        args.name,
        count=args.lines,
        follow=args.follow,
        as_json=args.json,
        since=args.since,
        until=args.until,
    )


def crashes(session: Session, args: Namespace) -> None:
    """When and why Node-RED ended unasked, with its last lines."""
    from tui.cli.crashes import show_crashes

    show_crashes(session, args.name, count=args.lines, as_json=args.json)


def resources(session: Session, args: Namespace) -> None:
    """Processor, memory, event loop and messages of the last hours."""
    from tui.cli.resources import show_resources

    show_resources(session, args.name, as_json=args.json)


def flows(session: Session, args: Namespace) -> None:
    """The flows of an instance as they are in the database."""
    from tui.cli.records import show_flows

    show_flows(session, args.name, as_json=args.json)


def kept(session: Session, args: Namespace) -> None:
    """Deploys made while Weir was away that could not be stored; list, write, restore or discard them."""
    from tui.cli.kept import kept_deploys

    kept_deploys(
        session,
        args.name,
        args.kept,
        out=args.out,
        restore=args.restore,
        discard=args.discard,
        as_json=args.json,
    )


def audit(session: Session, args: Namespace) -> None:
    """Who did what, newest first."""
    from tui.cli.records import show_audit

    show_audit(session, args)


def open_(session: Session, args: Namespace) -> None:
    """Print the address of the editor; open it where there is a browser."""
    from tui.cli.instances import open_instance

    open_instance(session, args.name)


def name_add(session: Session, args: Namespace) -> None:
    """Let browsers reach the box under a further name."""
    from tui.cli.names import add_name

    add_name(session, args.name, as_json=args.json)


def name_list(session: Session, args: Namespace) -> None:
    """The names under which browsers reach the box."""
    from tui.cli.names import list_names

    list_names(session, as_json=args.json)


def name_remove(session: Session, args: Namespace) -> None:
    """Take back a name that was added."""
    from tui.cli.names import remove_name

    remove_name(session, args.name, as_json=args.json)


def appliance(session: Session, args: Namespace) -> None:
    """A verb that is the appliance itself."""
    from tui.cli.others import become_appliance

    become_appliance(session, args.command.split(), args.rest)


def _open_screens(session: Session, *, rich: bool, low: bool) -> None:
    from tui.__main__ import open_screens

    files = session.over_ssh is None
    open_screens(session.address, session.environ, rich=rich, low=low, files=files)


COMMANDS: dict[str, Command] = {
    "": bare,
    "status": status,
    "doctor": doctor,
    "problems": problems,
    "host": host,
    "ui": ui,
    "instance create": create,
    "instance list": list_,
    "instance show": show,
    "instance set": set_,
    "instance start": start,
    "instance stop": stop,
    "instance restart": restart,
    "instance suspend": suspend,
    "instance delete": delete,
    "instance logs": logs,
    "instance crashes": crashes,
    "instance resources": resources,
    "instance flows": flows,
    "instance kept": kept,
    "instance open": open_,
    "audit": audit,
    "name add": name_add,
    "name list": name_list,
    "name remove": name_remove,
    "stack build": appliance,
    "launcher install": appliance,
    **limit_options.COMMANDS,
    **catalogue_commands.COMMANDS,
    **people_commands.COMMANDS,
    **ssh_keys.COMMANDS,
    **snapshot_commands.COMMANDS,
    **library_commands.COMMANDS,
    **backup_commands.COMMANDS,
    **operations_commands.COMMANDS,
    **upgrade_commands.COMMANDS,
    "up": appliance,
    "down": appliance,
    "serve": appliance,
    "migrate": appliance,
}

if __name__ == "__main__":
    main()
