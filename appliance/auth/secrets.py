"""The key of the box and what is made from it; tokens and how they are kept.

Tokens are 256 random bits, so a plain SHA-256 at rest is enough; only passwords need a slow hash.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.errors import Internal, Unavailable
from appliance.system.files import make_private_dir, write_atomic

KEY_BYTES = 32
# A purpose that more than one service seals and opens for; the name is the instance's id.
SEALED_FOR_CREDENTIALS = "credential_secret"
_NONCE_BYTES = 12
_SEAL = "v1:"


def new_token(prefix: str) -> str:
    """`prefix_` and 43 base64url characters: 256 random bits."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> str:
    """What is kept of a token: SHA-256 in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that tells nothing."""
    return hmac.compare_digest(one.encode(), other.encode())


class BoxSecrets:
    """Everything that hangs on the key of this box."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a box key has {KEY_BYTES} bytes")
        self._key = key
        self._cipher = AESGCM(self._derive("seal", ()))

    def derive(self, purpose: str, *parts: str) -> str:
        """64 hex characters, the same for the same purpose and parts as long as the box has its key."""
        return self._derive(purpose, parts).hex()

    def seal(self, purpose: str, name: str, secret: str) -> str:
        """`secret` for the database; opens only under the same purpose and name, so rows can't be swapped."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), _label(purpose, (name,)))
        return _SEAL + base64.urlsafe_b64encode(nonce + sealed).decode()

    def unseal(self, purpose: str, name: str, sealed: str) -> str:
        """What `seal` was given. Raises Internal when it was not sealed with this key under this name."""
        try:
            raw = base64.urlsafe_b64decode(sealed.removeprefix(_SEAL))
            label = _label(purpose, (name,))
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], label).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Internal(
                f"A stored secret ({purpose} of {name}) does not open with the key of this box.",
                code="sealed_with_another_key",
                hint="The file state/box.key is not the one this database was written with: put that one back.",
            ) from error

    def _derive(self, purpose: str, parts: tuple[str, ...]) -> bytes:
        return hmac.digest(self._key, _label(purpose, parts), "sha256")


def open_box(file: Path, *, database: Path) -> BoxSecrets:
    """The secrets of the box whose key is in `file`; a box without database gets a new key.

    Raises Unavailable when the key is lost or unreadable: without it the database's sealed secrets can't be used.
    """
    try:
        key = file.read_bytes()
    except FileNotFoundError:
        key = _make_key(file, database)
    except OSError as error:
        raise Unavailable(
            f"The key of this box, {file}, cannot be read: {error.strerror}.",
            code="box_key_unreadable",
            hint="It must belong to the account that Weir runs as, with mode 0600.",
        ) from error
    if len(key) != KEY_BYTES:
        raise Unavailable(
            f"The key of this box, {file}, has {len(key)} bytes instead of {KEY_BYTES}.",
            code="box_key_damaged",
            hint="Put it back from a backup.",
        )
    return BoxSecrets(key)


def _make_key(file: Path, database: Path) -> bytes:
    if database.exists():
        raise Unavailable(
            f"The key of this box, {file}, is lost, but its database {database} is there.",
            code="box_key_lost",
            hint="Put the key back from a backup; without it the instances' credential secrets can't be opened.",
        )
    key = secrets.token_bytes(KEY_BYTES)
    try:
        make_private_dir(file.parent)
        write_atomic(file, key, 0o600)
    except OSError as error:
        raise Unavailable(
            f"The key of this box can't be written to {file}: {error.strerror}.",
            code="box_key_unwritten",
            hint="Weir's account needs a writable state directory with free space.",
        ) from error
    return key


def _label(purpose: str, parts: tuple[str, ...]) -> bytes:
    """Unambiguous: each part is preceded by its length."""
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in (text.encode() for text in (purpose, *parts)))
