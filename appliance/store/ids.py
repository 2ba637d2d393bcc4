"""Public names of rows: opaque, random, safe to read out over a telephone."""

from __future__ import annotations

import secrets
import uuid

# Without 0 O o, 1 l I: 56 letters, so ten of them carry 58 bits.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"
LENGTH = 10


def new_id() -> str:
    """A fresh id of ten characters for anything but an instance; a clash is caught by the unique column."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def new_instance_id() -> str:
    """A fresh id of an instance: UUID version 4 in its usual spelling."""
    return str(uuid.uuid4())
