"""The names under which browsers reach the box: those of config.toml, the box's own, and those that were added."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable, Sequence

from appliance.config import Config
from appliance.errors import Conflict, Invalid, NotFound
from appliance.events import Event
from appliance.model import Subject
from appliance.schema.box import BoxName, BoxNames
from appliance.services.context import Context, Recorder
from appliance.store import box, instances
from appliance.store.engine import Tx
from appliance.system import tls
from appliance.system.access import access_of
from appliance.system.tls import AcceptedName, parse_name

log = logging.getLogger(__name__)

CHANGED = "box.names"  # the event; its body is the tuple of all added names
MOST = 64
LONGEST = 270  # a host name, brackets, a port
OWN_KEPT_S = 10.0


class AcceptedNames:
    """All accepted names, the one to show people first; those that were added come last, so that adding one changes
    no address that is shown. May be called from any thread. The machine's own are read again after ten seconds."""

    def __init__(
        self,
        config: Config,
        *,
        host: Callable[[], str] = socket.gethostname,
        addresses: Callable[[], Sequence[str]] = tls.box_addresses,
        local: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.https_port = config.listen.https
        self._config = config
        self._host = host
        self._addresses = addresses
        self._local = local
        self._own: tuple[AcceptedName, ...] = ()
        self._read_at = -OWN_KEPT_S
        self._added: tuple[AcceptedName, ...] = ()
        self._written: Sequence[str] = ()  # what `authorities` says; empty: to be made anew

    def __call__(self) -> list[AcceptedName]:
        return list(dict.fromkeys((*self.own(), *self._added)))

    def own(self) -> tuple[AcceptedName, ...]:
        """Those of config.toml and of the box itself: they are accepted without being kept anywhere."""
        if time.monotonic() - self._read_at >= OWN_KEPT_S:
            host, addresses = self._host(), self._addresses()
            self._own = tuple(tls.accepted_names(self._config, host, addresses=addresses, local=self._local()))
            self._read_at = time.monotonic()
            self._written = ()
        return self._own

    def accept(self, added: Sequence[AcceptedName]) -> None:
        """From now on these are the added ones."""
        self._added = tuple(added)
        self._written = ()

    def authorities(self) -> Sequence[str]:
        """As browsers write them to the platform. Asked several times for each row of a list."""
        self.own()
        if not self._written:
            self._written = tuple(name.authority(self.https_port) for name in self())
        return self._written

    def source(self, name: AcceptedName) -> str:
        """Who names it: `config`, `box` or `added`."""
        if name in tls.configured_names(self._config):
            return "config"
        return "box" if name in self.own() else "added"

    def find(self, wanted: AcceptedName, among: Iterable[AcceptedName]) -> AcceptedName | None:
        """The one that is the same to a browser: the port that nginx listens on may be left out."""
        asked = wanted.authority(self.https_port)
        return next((name for name in among if name.authority(self.https_port) == asked), None)


class Accepted:
    """Shows, adds and removes accepted names. A change is in force once it is stored: `names` hears of it from the
    bus, as do the certificate and nginx."""

    def __init__(self, context: Context, audit: Recorder, names: AcceptedNames) -> None:
        self._context = context
        self._audit = audit
        self._names = names
        self._access = access_of(context.config)
        context.bus.listen(self._hear)

    async def load(self) -> None:
        """Accept what was added before. Once, before names are used."""
        self._names.accept(_read(await self._context.store.read(box.names)))

    def all(self) -> BoxNames:
        """Every accepted name with its source, the one to show people first."""
        shown = [self._shown(name) for name in self._names()]
        return BoxNames(count=len(shown), names=shown)

    async def add(self, subject: Subject, text: str) -> BoxName:
        """Accept a name; one that is accepted already is answered as it is, and nothing changes.

        Raises Invalid: not a name that a browser could use, or more than 64 would be added.
        """
        name = _parse(text)
        own = self._names.find(name, self._names.own())
        if own is not None:
            return self._shown(own)
        return self._shown(await self._context.store.write(lambda tx: self._add(tx, subject, name)))

    async def remove(self, subject: Subject, text: str) -> None:
        """Accept a name no longer. Raises Invalid for no name, Conflict for one that was not added, NotFound."""
        name = _parse(text)
        own = self._names.find(name, self._names.own())
        await self._context.store.write(lambda tx: self._remove(tx, subject, name, own))

    def _add(self, tx: Tx, subject: Subject, name: AcceptedName) -> AcceptedName:
        kept = box.names(tx)
        known = self._names.find(name, _read(kept))
        if known is not None:
            return known
        self._check_free(tx, name)
        if len(kept) >= MOST:
            hint = "Remove one that is not needed: weir name list, then weir name remove NAME."
            raise Invalid(f"{MOST} names have been added; there can't be more.", code="too_many_names", hint=hint)
        self._keep(tx, subject, [*kept, written(name)], {"old": None, "new": written(name), "dif": "created"})
        return name

    def _check_free(self, tx: Tx, name: AcceptedName) -> None:
        """The platform's names come first in nginx: an instance that has this one would be unreachable."""
        label, _, _ = name.name.partition(".")
        if name.name == self._access.own_host(label) and instances.name_taken(tx, label):
            raise Conflict(
                f"{name.name} is the address of the instance '{label}'.",
                code="name_taken",
                hint=f"Choose another name, or rename the instance: weir instance set {label} name=OTHER",
            )

    def _remove(self, tx: Tx, subject: Subject, name: AcceptedName, own: AcceptedName | None) -> None:
        kept = box.names(tx)
        found = self._names.find(name, _read(kept))
        if found is None:
            raise self._fixed(own) if own is not None else _unknown(name, _read(kept))
        left = [text for text in kept if found not in _read([text])]
        self._keep(tx, subject, left, {"old": written(found), "new": None, "dif": "deleted"})

    def _keep(self, tx: Tx, subject: Subject, names: list[str], change: dict[str, str | None]) -> None:
        box.set_names(tx, names)
        update = {"key": "ingress.names", **change}
        self._audit.record(
            tx,
            "platform.settings.updated",
            subject=subject,
            scope_type="platform",
            scope_id=None,
            body={"updates": [update]},
        )
        tx.after_commit(Event(CHANGED, "box", body=tuple(_read(names))))

    def _hear(self, event: Event) -> None:
        if event.kind == CHANGED:
            self._names.accept(event.body)

    def _shown(self, name: AcceptedName) -> BoxName:
        return BoxName(name=name.name, port=name.port, source=self._names.source(name))

    def _fixed(self, own: AcceptedName) -> Conflict:
        if self._names.source(own) == "config":
            hint = "Take it out of ingress.names (or ingress.domain) in config.toml and start the box again."
            return Conflict(f"{written(own)} is named in config.toml.", code="name_not_added", hint=hint)
        hint = "It follows this machine's host name and addresses by itself; localhost always stays."
        return Conflict(f"{written(own)} is a name of the box itself.", code="name_not_added", hint=hint)


def written(name: AcceptedName) -> str:
    """As people write it and as it is kept: `plant.example:8443`, `[2001:db8::7]`; `parse_name` reads it back."""
    return name.host if name.port is None else f"{name.host}:{name.port}"


def _parse(text: str) -> AcceptedName:
    if len(text) > LONGEST:
        hint = "Write a host name or an address, with a port if it differs: plant.example or plant.example:8443."
        raise Invalid(f"A name has at most {LONGEST} characters, this one {len(text)}.", code="invalid_name", hint=hint)
    return parse_name(text)


def _read(texts: Iterable[str]) -> list[AcceptedName]:
    """One that cannot be used (kept by another version) must not keep the box from starting."""
    names = []
    for text in texts:
        try:
            names.append(parse_name(text))
        except Invalid as error:
            log.warning("an added name is left out: %s", error)
    return names


def _unknown(name: AcceptedName, kept: list[AcceptedName]) -> NotFound:
    near = [written(each) for each in kept if each.name == name.name]
    hint = f"Did you mean {' or '.join(near)}?" if near else "weir name list shows the names that were added."
    return NotFound(f"{written(name)} was not added to the names of this box.", hint=hint)
