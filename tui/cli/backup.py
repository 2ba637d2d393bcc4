"""`weir backup …` at a running box."""

from __future__ import annotations

import getpass
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import msgspec

from appliance.schema.backups import Backup, BackupKey, Backups, BackupSchedule, BackupWork
from tui.cli.box import Box
from tui.cli.deletion import confirm
from tui.cli.session import Session, print_json, print_table, say, tell
from tui.errors import BoxError, Refused, Usage
from tui.text import size, visible
from tui.wire import decode

WAIT_S = 20  # one question about how it goes; it is answered as soon as it is done
_EVERY = {"off": "never", "hour": "every hour", "day": "every day", "week": "every week"}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def create(session: Session, args: Namespace) -> None:
    """Make one and wait for it. Raises BoxError with what went wrong."""
    body: dict[str, Any] = {"due": args.due}
    if args.packages is not None:
        body["packages"] = args.packages == "on"
    if args.to is not None:
        body["target"] = args.to
    with session.box() as box:
        if (passphrase := _new_passphrase(session, box, args)) is not None:
            body["passphrase"] = passphrase
        work = decode(box.post("/backups", body), BackupWork)
        if not work.running or args.detach:
            _tell_work(work, args, f"{work.step}; weir backup list shows what becomes of it")
            return
        _follow(box, work)
        answer = box.get(f"/backups/{work.id}")
    made = decode(answer, Backup)
    for each in made.lacks:
        say(f"not whole: {each}")
    said = f"{made.file}: {size(made.size_bytes)}, {made.instances} instances, {made.files} files, {made.took_s:.1f} s"
    tell(answer, said, as_json=args.json)


def list_all(session: Session, args: Namespace) -> None:
    """Print them. Raises BoxError."""
    with session.box() as box:
        answer = box.get("/backups")
    if args.json:
        print_json(answer)
        return
    known = decode(answer, Backups)
    if not known.backups:
        print("No backups yet. Make one with: weir backup create")
    else:
        print_table(["ID", "MADE (UTC)", "SIZE", "OPENS WITH", "PROVEN", "FILE"], [_row(b) for b in known.backups])
    print(f"Schedule: {_planned(known.schedule)}")
    if known.work is not None and known.work.running:
        print(f"Under way: {visible(known.work.step)}")


def verify(session: Session, args: Namespace) -> None:
    """Prove one. Raises BoxError with what does not come back to life."""
    with session.box() as box:
        found = _find(box, args.backup)
        body = _opened_with(session, args, found)
        work = decode(box.post(f"/backups/{found.id}/verify", body), BackupWork)
        _follow(box, work)
        answer = box.get(f"/backups/{found.id}")
    proven = decode(answer, Backup)
    said = f"{proven.file} is good: everything in it was restored beside the box and started, without its flows"
    tell(answer, said, as_json=args.json)


def schedule(session: Session, args: Namespace) -> None:
    """Show or change it. Raises BoxError."""
    given = {"every": args.every, "at": args.at, "weekday": args.weekday, "keep": args.keep, "target": args.to}
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if args.packages is not None:
        body["packages"] = args.packages == "on"
    with session.box() as box:
        if body:
            answer = box.put("/backups/schedule", body)
        else:
            answer = msgspec.json.encode(decode(box.get("/backups"), Backups).schedule)
    tell(answer, f"Backups are made {_planned(decode(answer, BackupSchedule))}", as_json=args.json)


def key(session: Session, args: Namespace) -> None:
    """Make one, and show its secret this once. Raises BoxError."""
    with session.box() as box:
        answer = box.post("/backups/key", {"recipient": args.recipient})
    if args.json:
        print_json(answer)
        return
    made = decode(answer, BackupKey)
    if made.secret is None:
        print(f"Backups are made for {made.recipient} from now on")
        return
    print(f"# created by weir\n# public key: {made.recipient}\n{made.secret}")
    sys.stdout.flush()
    say("It is shown this once. Keep it away from the box, on paper or in a safe: without it no backup opens.")


def delete(session: Session, args: Namespace) -> None:
    """Delete one with its file. Raises BoxError."""
    with session.box() as box:
        found = _find(box, args.backup)
        if not args.yes:
            confirm(session, found.id, f"The backup {visible(found.file)} is deleted for good.")
        answer = box.delete(f"/backups/{found.id}")
    tell(answer, f"{found.file} is deleted", as_json=args.json)


def cancel(session: Session, args: Namespace) -> None:
    """End what is under way. Raises BoxError."""
    with session.box() as box:
        answer = box.delete("/backups/work")
    tell(answer, "It is ended; nothing of it stays", as_json=args.json)


def passphrase_of(file: str) -> str:
    """The first line of a file. Raises Usage."""
    try:
        return Path(file).read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"cannot read {file}: {error}", hint="Name a file whose first line is the passphrase.") from error


def _new_passphrase(session: Session, box: Box, args: Namespace) -> str | None:
    """None where the key of the box is to be used."""
    if args.passphrase_file:
        return passphrase_of(args.passphrase_file)
    if args.due or not args.passphrase and decode(box.get("/backups"), Backups).schedule.recipient:
        return None
    if not session.on_terminal:
        raise Usage(
            "there is no key for backups, and nobody to ask for a passphrase",
            hint="Type: weir backup key, or give --passphrase-file FILE.",
        )
    first = getpass.getpass("Passphrase for this backup: ")
    if getpass.getpass("Once more: ") != first:
        raise BoxError("the two are not the same", hint="Nothing was made; try again.")
    return first


def _opened_with(session: Session, args: Namespace, found: Backup) -> dict[str, str]:
    if args.key_file:
        try:
            return {"key": Path(args.key_file).read_text("utf-8").strip()[-1000:]}
        except (OSError, UnicodeDecodeError) as error:
            raise Usage(f"cannot read {args.key_file}: {error}", hint="Name the file with the key.") from error
    if args.passphrase_file:
        return {"passphrase": passphrase_of(args.passphrase_file)}
    if not session.on_terminal:
        raise Usage("a backup is opened to prove it", hint="Give --key-file FILE or --passphrase-file FILE.")
    if found.passphrase:
        return {"passphrase": getpass.getpass("Passphrase of the backup: ")}
    return {"key": getpass.getpass("Key of the backup (AGE-SECRET-KEY-1…): ")}


def _follow(box: Box, work: BackupWork) -> None:
    """Until it is done, telling each step. Raises BoxError with its reason when it failed."""
    told = ""
    while work.running:
        if work.step != told:
            told = work.step
            say(f"{work.fraction:4.0%}  {visible(told)}")
        # A step is told soon, the end at once: the box answers then.
        work = decode(box.get("/backups/work", {"wait": "1" if work.fraction < 1 else str(WAIT_S)}), BackupWork)
    if work.error is not None:
        raise BoxError(work.error, hint=work.hint or "")


def _find(box: Box, wanted: str) -> Backup:
    """By id, the beginning of one, or `latest`. Raises Refused."""
    known = decode(box.get("/backups"), Backups).backups
    if wanted == "latest" and known:
        return known[0]
    if not known:
        raise Refused("there are no backups yet", status=404, hint="Make one with: weir backup create")
    found = [each for each in known if wanted and each.id.startswith(wanted)]
    if len(found) != 1:
        why = "there is no backup" if not found else "more than one backup begins with"
        raise Refused(f"{why} '{wanted}'", status=404, hint="weir backup list shows them.")
    return found[0]


def _tell_work(work: BackupWork, args: Namespace, said: str) -> None:
    tell(msgspec.json.encode(work), said, as_json=args.json)


def _row(each: Backup) -> list[str]:
    made = each.made_at[:16].replace("T", " ")
    return [each.id, made, size(each.size_bytes), _opens(each), _proven(each), each.file]


def _opens(backup: Backup) -> str:
    return "passphrase" if backup.passphrase else f"{backup.recipients[0][:12]}…" if backup.recipients else ""


def _proven(backup: Backup) -> str:
    if backup.verify_error is not None:
        return "IT FAILED"
    return backup.verified_at[:16].replace("T", " ") if backup.verified_at else "never"


def _planned(plan: BackupSchedule) -> str:
    if plan.every == "off":
        return "only when somebody asks: weir backup schedule --every day"
    when = f"{_EVERY[plan.every]} at {plan.at}" if plan.every != "hour" else f"{_EVERY['hour']} at minute {plan.at[3:]}"
    day = f" on {_DAYS[plan.weekday]}" if plan.every == "week" else ""
    where = f"to {visible(plan.target)}" if plan.target else "to the box's own folder"
    with_ = ", with installed modules" if plan.packages else ""
    return f"{when}{day}, {where}{with_}; {plan.keep} are kept; the next one: {plan.next_at}"
