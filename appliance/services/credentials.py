"""The key that an instance's credentials are encrypted with, and Node-RED's way of encrypting them."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS, BoxSecrets

_IV_BYTES = 16


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
