"""`python -m appliance`: the verbs that are the server itself. Everything else is the command `weir`."""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.config import Home, default_home
from appliance.errors import WeirError

SERVICE_ACCOUNT = "_weir"


def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 refused with cause and next step on stderr, 2 wrong usage, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    home = Home(Path(arguments.home).absolute())
    try:
        _become_owner(home)
        return int(arguments.run(home, arguments) or 0)
    except WeirError as error:
        print(f"weir: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"      {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m appliance", description="Run one Weir box.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--home", default=str(default_home()), help="directory of the box (default: %(default)s)")
    serve = verbs.add_parser("serve", parents=[shared], help="run the appliance in the foreground")
    serve.set_defaults(run=_serve)
    up = verbs.add_parser("up", parents=[shared], help="start the box and wait until it is ready")
    up.add_argument("--detach", action="store_true", help="do not open the terminal UI")
    up.set_defaults(run=_up)
    down = verbs.add_parser("down", parents=[shared], help="stop everything of the box")
    down.set_defaults(run=_down)
    migrate = verbs.add_parser("migrate", parents=[shared], help="bring the database up to date")
    migrate.set_defaults(run=_migrate)
    restore = verbs.add_parser("restore", parents=[shared], help="make this box, which is down, the box of a backup")
    _restore_options(restore)
    restore.set_defaults(run=_restore)
    doctor = verbs.add_parser("doctor", parents=[shared], help="what is wrong, seen from the box's directory, as JSON")
    doctor.set_defaults(run=_doctor)
    stack = verbs.add_parser("stack", help="Node-RED stacks").add_subparsers(required=True, metavar="VERB")
    build = stack.add_parser("build", parents=[shared], help="build a stack unless it is built")
    build.add_argument("name", nargs="?", default="", metavar="NAME")
    build.add_argument("--node-red", default="", metavar="VERSION", help="5, 4.1 or a whole version, instead of NAME")
    build.set_defaults(run=_build)
    launcher = verbs.add_parser("launcher", help="the published launcher").add_subparsers(required=True, metavar="VERB")
    install = launcher.add_parser("install", parents=[shared], help="install the published launcher unless it is there")
    install.add_argument("--json", action="store_true", help="print the configuration that uses it as JSON")
    install.set_defaults(run=_install)
    return parser


def _restore_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the backup")
    parser.add_argument("--passphrase-file", metavar="FILE", help="holds its passphrase, instead of being asked")
    parser.add_argument("--key-file", metavar="FILE", help="holds its key, AGE-SECRET-KEY-1…")
    parser.add_argument("--replace", action="store_true", help="also when the box has instances; these are kept beside")
    parser.add_argument("--json", action="store_true", help="print what was restored as JSON")


def _become_owner(home: Home) -> None:
    """On an installed box nothing of this runs as root: what it wrote would be root's, and what it read may have been
    put there by somebody else. Raises WeirError."""
    if not home.installed or os.geteuid() != 0:
        return
    from appliance.errors import Unavailable

    try:
        account = pwd.getpwnam(SERVICE_ACCOUNT)
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    except (KeyError, OSError) as error:
        hint = "Run install.sh again: it makes the account."
        raise Unavailable(f"cannot become the account {SERVICE_ACCOUNT}: {error}", hint=hint) from error
    os.environ["HOME"] = str(home.root)


def _serve(home: Home, _: argparse.Namespace) -> int:
    import gc

    from appliance.system.lean import absent, one_heap, trim

    one_heap()
    # What is loaded now stays: looking for garbage in it would take a fifth of the start. `main` turns it on again.
    gc.disable()
    # Launchers are asked over plain HTTP on loopback: a TLS connection would fail, not be believed. bcrypt is for the
    # keys of SSH.
    with absent("ssl", "bcrypt"):
        import asyncio

        from appliance.main import serve
    trim()

    return asyncio.run(serve(home.root))


def _not_systemds(home: Home, verb: str) -> None:
    """Raises Invalid on an installed box: its parts are units."""
    from appliance.errors import Invalid

    if home.installed:
        doors = "weir.socket weir-web.socket " if verb == "stop" else ""
        hint = f"Type: sudo systemctl {verb} {doors}weir"
        raise Invalid("systemd runs this box", code="installed", hint=hint)


def _up(home: Home, arguments: argparse.Namespace) -> int:
    _not_systemds(home, "start")
    from appliance.up import up

    up(home, _say)
    if not arguments.detach and sys.stdin.isatty() and sys.stdout.isatty():
        _say("\nq leaves the screens; the box goes on running until ./dev down or weir down.")
        os.environ["WEIR_HOME"] = str(home.root)
        os.execv(sys.executable, [sys.executable, "-P", "-m", "tui"])  # noqa: S606 - this terminal becomes the UI's
    return 0


def _down(home: Home, _: argparse.Namespace) -> None:
    _not_systemds(home, "stop")
    from appliance.up import down

    down(home, _say)


def _migrate(home: Home, _: argparse.Namespace) -> None:
    from appliance.main import lock_of, prepare
    from appliance.store.migrate import ensure_schema

    prepare(home)
    lock = lock_of(home)
    lock.acquire()
    ensure_schema(home.database, report=_say)
    _say(f"The database {home.database} is up to date.")
    lock.release()


def _restore(home: Home, arguments: argparse.Namespace) -> None:
    from appliance.backup.offline import run

    run(home, arguments, _say)


def _doctor(home: Home, _: argparse.Namespace) -> int:
    import msgspec

    from appliance.doctor import examine

    findings = examine(home)
    _say(msgspec.json.encode(findings).decode())
    return 0 if all(finding.ok for finding in findings) else 1


def _build(home: Home, arguments: argparse.Namespace) -> None:
    from appliance.system import stacks
    from appliance.up import build_stack

    name = arguments.name or (stacks.name_of(arguments.node_red) if arguments.node_red else stacks.DEFAULT)
    build_stack(home, name, _say, repair=True)
    _say(f"The stack {name} is built.")
    if home.api_socket.exists():
        _offer(home, name)


def _install(home: Home, arguments: argparse.Namespace) -> None:
    import json

    from appliance.system import published

    quiet = arguments.json
    published.install(home, lambda step, fraction: None if quiet else _say(f"launcher: {fraction:4.0%} {step}"))
    command = json.dumps(published.command(home))
    if quiet:
        _say(json.dumps({"version": published.version(), "command": published.command(home)}))
        return
    _say(f"The published launcher {published.version()} is installed. To use it for all instances, write in")
    _say(f"{home.config_file} and restart the box:\n\n[launcher]\ncommand = {command}")


def _offer(home: Home, name: str) -> None:
    """Let the running box make instances on it at once; one that does not run finds it at its next start."""
    from appliance.boxapi import get, post
    from appliance.errors import Unavailable
    from appliance.system import stacks

    try:
        listed = get(home, "/stacks?filter=all")["stacks"]
        if any(name in (each["name"], each["properties"].get("build")) for each in listed):
            return
        version = stacks.versions()[name]
        types = get(home, "/project-types")["types"]
        body = {"name": name, "label": f"Node-RED {version}", "properties": {"nodered": version, "memory": "256"}}
        post(home, "/stacks", {**body, "projectType": types[0]["id"] if types else None})
        _say(f"Instances can run on it: weir instance set NAME stack={name}")
    except Unavailable as error:
        _say(f"The box was not told: {error.message} It finds the stack at its next start.")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
