"""What systemd keeps of instances that were removed: the limits that were set for their units.

Weir's account may set them and may not take the files away: `systemctl revert` would be a right for all units. So
root's daily tidying does it.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_UNIT = re.compile(r"weir-launcher@([a-z2-7]{26})\.service\.d")


class Leftovers:
    """Blocks. `control`: where systemd keeps what was set; `data`: the directories of instances; `launch`: the records
    of those that are placed, and of what was set for them."""

    def __init__(
        self,
        control: Path = Path("/etc/systemd/system.control"),
        data: Path = Path("/var/lib/private/weir-instances"),
        launch: Path = Path("/var/lib/weir/launch"),
    ) -> None:
        self._control, self._data, self._launch = control, data, launch

    def tidy(self) -> list[str]:
        """Remove what is set for units of no instance; their names. An instance has files, or was placed, or its
        limits are noted: a disk that is not there leaves everything as it is. Raises OSError."""
        found = self._control.iterdir() if self._control.is_dir() else ()
        names = [match[1] for path in found if (match := _UNIT.fullmatch(path.name)) and not self._known(match[1])]
        for name in names:
            shutil.rmtree(self._control / f"weir-launcher@{name}.service.d")
        return names

    def _known(self, name: str) -> bool:
        signs = (self._data / name, self._launch / f"{name}.json", self._launch / f"{name}.set")
        return not self._launch.is_dir() or any(os.path.lexists(path) for path in signs)
