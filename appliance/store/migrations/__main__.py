"""Bring one database to the newest schema, in a process of its own: `python -m appliance.store.migrations FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config


def upgrade(database: Path) -> None:
    """Run every migration that `database` lacks, all in one transaction; an absent file is created."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database"] = database
    command.upgrade(config, "head")


if __name__ == "__main__":
    upgrade(Path(sys.argv[1]))
