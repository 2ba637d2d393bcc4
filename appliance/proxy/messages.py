"""The way to the message broker through nginx: websockets at the platform's own address, TLS at a port of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from appliance.config import Config
from appliance.proxy.model import Messages

# Debian builds the module apart (libnginx-mod-stream); others build it in.
MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
BUILT_IN = "--with-stream "
INSTALL = "Install it: sudo apt-get install --no-install-recommends libnginx-mod-stream   (or set broker.tls_port = 0)"
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


class StreamModule:
    """What nginx needs to pass on what is no HTTP; looked for until it is found."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._found: str | None = None
        self.refused = ""  # why nginx does not take the one that was found

    def find(self) -> str | None:
        """The file to load, empty where it is built in; None where there is none. Blocks for milliseconds."""
        if self._found is None and not self.refused:
            self._found = self._look()
        return None if self.refused else self._found

    def _look(self) -> str | None:
        if MODULE.exists():
            return str(MODULE)
        program = shutil.which(self._program, path=_SBIN)
        if program is None:
            return None
        said = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=10, check=False).stderr
        return "" if BUILT_IN in f"{said} " else None


def door(config: Config, module: str | None, taken: set[int]) -> Messages | None:
    """What nginx is told of the broker; None where there is none. A port that another program has is left out."""
    broker = config.broker
    if not broker.enabled:
        return None
    tls = broker.tls_port if module is not None and broker.tls_port not in taken else 0
    return Messages(
        port=broker.port if tls else 0,
        websocket_port=broker.websocket_port,
        tls_port=tls,
        module=module or "",
    )
