"""What Node-RED needs of a boot grant, kept for a start without the appliance.

The flow's own process is given all of it at each start, so the file tells its user nothing new. The launcher's own
token, the secret of its API, the key of its spool and the ticket never come here.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import msgspec
from msgspec import Struct

from launcher.files import read_regular, write_durable
from launcher.schema import BootGrant

log = logging.getLogger(__name__)
_LARGEST_BYTES = 64 * 1024


class _Kept(Struct, frozen=True):
    nodeRedToken: str
    clientID: str
    clientSecret: str
    credentialSecret: str
    teamID: str
    brokerURL: str = ""
    brokerUsername: str = ""
    brokerPassword: str = ""


class GrantCache:
    """One file in the instance's directory, mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, grant: BootGrant) -> None:
        """Keep what Node-RED needs; a disk that does not take it costs only the next start without the appliance."""
        kept = msgspec.convert(msgspec.to_builtins(grant), _Kept)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durable(self._path, msgspec.json.encode(kept))
        except OSError as error:
            log.warning("what Node-RED needs can't be kept for later: %s", error.strerror)
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)  # the one before is worth nothing any more

    def tidy(self) -> None:
        """Remove what launchers that were killed while they wrote have left beside it."""
        for path in self._path.parent.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                path.unlink()

    def load(self) -> BootGrant | None:
        """A grant that opens nothing of the launcher's own; None where nothing usable is kept."""
        try:
            content = read_regular(self._path, _LARGEST_BYTES)
            kept = msgspec.json.decode(content or b"", type=_Kept)
        except (OSError, msgspec.DecodeError):
            return None
        return BootGrant(token="", apiSecret="", **msgspec.structs.asdict(kept))


def renewal(grant: BootGrant) -> dict[str, str]:
    """What a running Node-RED takes over from a new grant."""
    fresh = {"nodeRedToken": grant.nodeRedToken, "clientID": grant.clientID, "clientSecret": grant.clientSecret}
    if not grant.brokerURL:
        return fresh
    broker = {"brokerUsername": grant.brokerUsername, "brokerPassword": grant.brokerPassword}
    return {**fresh, "brokerURL": grant.brokerURL, **broker}
