"""Makes a box that is down the box of a backup. Until the last step nothing of it is touched, and that step is a swap
which a power cut delays but does not halve (`system.swap`)."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from appliance import config as configuration
from appliance import ports
from appliance.auth.secrets import SEALED_FOR_CREDENTIALS, open_box
from appliance.backup import container, crypt
from appliance.backup.content import BOX_KEY, DATABASE, Head
from appliance.backup.handed import DIRECTORY, set_aside
from appliance.backup.unpack import Unpacked, unpack
from appliance.backup.work import translated
from appliance.config import Home
from appliance.errors import Conflict, Invalid
from appliance.model import SYSTEM
from appliance.store import afresh, audit, instances, integrity, offline
from appliance.store.engine import Tx
from appliance.store.migrate import ensure_schema
from appliance.store.schema_version import HEAD
from appliance.store.values import to_ms
from appliance.system.files import make_private_dir, remove_all
from appliance.system.sockets import port_free
from appliance.system.swap import Move, staging, swap

Say = Callable[[str, float], None]
EVENT = "platform.backup.restored"


class Wanted(Struct, frozen=True):
    """Which backup, what opens it, and whether a box with instances is to be replaced."""

    file: Path
    passphrase: str | None = None
    secrets: tuple[str, ...] = ()
    replace: bool = False


class Restored(Struct, frozen=True, rename="camel"):
    """What the box is now. `notes`: what people should know; `kept`: where what was there before lies."""

    made_at: str
    host: str
    instances: list[str]
    files: int
    notes: list[str]
    kept: str
    took_s: float


def restore(home: Home, wanted: Wanted, say: Say) -> Restored:
    """Do it; the caller holds the lock of the box. Raises WeirError: then the box is as it was. Blocks."""
    began = time.monotonic()
    if not wanted.replace:
        refuse_used(home)
    seen = container.opened(wanted.file)
    secrets = container.keys(seen, passphrase=wanted.passphrase, secrets=wanted.secrets)
    begun: Path | None = None
    try:
        begun = staging(home.root)
        say("unpacking", 0.1)
        whole = opened_into(wanted.file, seen, secrets, begun / "new")
        say("bringing the database up to date", 0.7)
        bring_up_to_date(begun / "new")
        notes = _adopt(begun / "new", home, whole, wanted.file)
        say("putting it in place", 0.9)
        kept = _put(home, begun, notes)
    except OSError as error:
        raise translated(error, begun or home.root) from error
    return Restored(
        made_at=whole.head.madeAt,
        host=whole.head.host,
        instances=[each.name for each in whole.head.instances],
        files=len(whole.manifest.files),
        notes=notes,
        kept=kept,
        took_s=round(time.monotonic() - began, 3),
    )


def refuse_used(home: Home) -> None:
    """Raises Conflict when the box has instances that somebody would miss."""
    if not home.database.exists() or home.database.stat().st_size == 0:
        return
    hint = "Add --replace to put the backup in its place; what is there is kept beside it until you remove it."
    if offline.schema(home.database) != HEAD:
        raise Conflict(f"There is a box at {home.root} already, of another version.", code="box_in_use", hint=hint)
    with offline.transaction(home.database) as tx:
        names = afresh.worth_keeping(tx)
    if names:
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise Conflict(f"The box at {home.root} has instances: {shown}.", code="box_in_use", hint=hint)


def opened_into(file: Path, seen: container.Opened, secrets: Sequence[str], directory: Path) -> Unpacked:
    """Decrypt and unpack into `directory`, which is made anew; everything in it is checked. Raises Invalid, OSError."""
    remove_all(directory)
    make_private_dir(directory)
    with crypt.decrypting(container.reading(file, seen), secrets) as plain:
        whole = unpack(plain, directory, machine=platform.machine())
    if said := integrity.damage(directory / DATABASE):
        raise crypt.damaged(f"its database is not whole: {said}")
    return whole


def bring_up_to_date(directory: Path) -> None:
    """Migrate the database and prove that the key of the box belongs to it. Raises Invalid, WeirError."""
    database = directory / DATABASE
    revision = offline.schema(database)
    if revision > HEAD:
        raise Invalid(
            f"This backup was made by a newer Weir (its database has schema {revision}, this one knows {HEAD}).",
            code="backup_newer",
            hint="Install that version, or a later one, and restore it with that.",
        )
    ensure_schema(database)
    remove_all(database.parent / "backups")  # the copy from before: the backup is that
    box = open_box(directory / BOX_KEY, database=database)
    with offline.transaction(database) as tx:
        for row in instances.every(tx):
            if (sealed := instances.sealed_secret(tx, row.id)) is not None:
                box.unseal(SEALED_FOR_CREDENTIALS, row.id, sealed)


def _adopt(new: Path, home: Home, whole: Unpacked, file: Path) -> list[str]:
    notes = [f"not in the backup: {each.path} ({each.why})" for each in whole.manifest.lacks[:10]]
    if whole.head.packages and whole.head.machine != platform.machine():
        notes.append("modules were left out, they are of another kind of processor: each start installs them")
    with offline.transaction(new / DATABASE) as tx:
        if found := afresh.begin(tx):
            notes.append(f"{found} personal tokens are in force, also such as were deleted since: weir token list")
        _record(tx, whole.head, file)
    notes += _ports(new, home) + _configuration(new, home)
    set_aside(new, configuration.load(home.root).placer)
    return notes


def _record(tx: Tx, head: Head, file: Path) -> None:
    body = {"backup": {"madeAt": head.madeAt, "host": head.host, "version": head.version, "file": file.name}}
    entry = audit.NewEntry(
        at=to_ms(datetime.now(UTC)),
        event=EVENT,
        scope_type="platform",
        scope_id=None,
        team_id=None,
        instance_id=None,
        user_id=None,
        username=SYSTEM.username,
        trigger_type="system",
        source=None,
        body=body,
    )
    audit.write(tx, entry)


def _ports(new: Path, home: Home) -> list[str]:
    """The ports of the box that was, where they are free on this machine; else those that this box has or chooses."""
    file = new / "state" / "ports.toml"
    kept = ports.read(file) or {}
    taken = [str(port) for name, port in sorted(kept.items()) if not name.endswith("_base") and not port_free(port)]
    if not taken:
        return []
    file.unlink()
    own = home.state / "ports.toml"
    if own.exists():
        file.write_bytes(own.read_bytes())
    return [f"other ports than before, since {', '.join(taken)} are taken on this machine: weir status shows them"]


def _configuration(new: Path, home: Home) -> list[str]:
    """In development the configuration is Weir's to write. Of an installed box it is root's, who decides."""
    config = new / "config"
    if not config.is_dir():
        return []
    if home.configuration == home.root:
        for path in config.iterdir():
            path.rename(new / path.name)
        config.rmdir()
        return []
    remove_all(new / "state" / "config-of-backup")  # of a restore before this backup
    config.rename(new / "state" / "config-of-backup")
    where = home.state / "config-of-backup"
    return [f"the configuration of the backup lies in {where}: copy what you want of it to {home.configuration}"]


def _put(home: Home, begun: Path, notes: list[str]) -> str:
    """Swap; where what was there before lies, or nothing where there was nothing worth it."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    had = home.database.exists()
    old = home.root / f"before-restore-{stamp}" if had else begun / "old"
    new = begun / "new"
    make_private_dir(new / "instances")
    names = sorted(path.name for path in new.iterdir())
    moves = [Move(str(new / name), str(home.root / name), str(old / name)) for name in names]
    if (home.root / "launch").exists():  # what was placed by the box that was
        make_private_dir(begun / "launch")
        moves.append(Move(str(begun / "launch"), str(home.root / "launch"), str(old / "launch")))
    swap(home.root, moves, drop=[])
    if had:
        notes.append(f"what was there before is in {old}: remove it when you no longer need it")
        if (home.root / "state" / DIRECTORY).exists():
            notes.append("files of instances that are replaced are kept in launcher/before-restore-… of each instance")
    return str(old) if had else ""
