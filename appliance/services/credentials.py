"""The key that an instance's credentials are encrypted with, and Node-RED's way of encrypting them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS, BoxSecrets
from appliance.errors import Forbidden

_IV_BYTES = 16
_IV_HEX = 2 * _IV_BYTES


def new_secret() -> str:
    """64 hex characters, for the life of one instance."""
    return secrets.token_hex(32)


def seal(box: BoxSecrets, instance_id: str, secret: str) -> str:
    """The secret as it is kept in the database."""
    return box.seal(SEALED_FOR_CREDENTIALS, instance_id, secret)


def encrypt(plain: bytes, secret: str) -> str:
    """The `$` of a credentials file: IV in hex, then AES-256-CTR in base64 (platform model §5)."""
    iv = os.urandom(_IV_BYTES)
    key = hashlib.sha256(secret.encode()).digest()
    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return iv.hex() + base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()


def decrypt(cipher: str, secret: str) -> bytes:
    """What was encrypted. The scheme can't tell a wrong secret from the right one: look at what comes out.

    Raises Forbidden `invalid_credentials_secret` for what is no cipher text at all.
    """
    try:
        iv = bytes.fromhex(cipher[:_IV_HEX])
        sealed = base64.b64decode(cipher[_IV_HEX:], validate=True)
    except (ValueError, binascii.Error) as error:
        raise wrong_secret() from error
    if len(iv) != _IV_BYTES:
        raise wrong_secret()
    key = hashlib.sha256(secret.encode()).digest()
    decryptor = Cipher(algorithms.AES(key), modes.CTR(iv)).decryptor()
    return decryptor.update(sealed) + decryptor.finalize()


def wrong_secret() -> Forbidden:
    """The error for credentials that don't open."""
    return Forbidden(
        "The credentials don't open with this credential secret.",
        code="invalid_credentials_secret",
        hint="Give the secret that they were exported with. Nothing was changed.",
    )
