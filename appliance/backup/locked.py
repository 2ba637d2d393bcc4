"""A short secret in the format of age, locked with a passphrase (https://age-encryption.org/v1, recipient `scrypt`).

pyrage can do this too, but takes as much memory as it fills in a second, half a gigabyte on a fast machine: more than
a small box has. Here the cost is fixed. What comes out is opened by pyrage, and by age.
"""

from __future__ import annotations

import base64
import hmac
import os

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

LOG_N = 16  # 64 MB for a moment, a fifth of a second on a PC; each guess of somebody else costs the same
_LABEL = b"age-encryption.org/v1/scrypt"


def lock(secret: bytes, passphrase: str) -> bytes:
    """A file of age with `secret` in it, which is at most 64 KiB."""
    file_key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
    wrapping = Scrypt(salt=_LABEL + salt, length=32, n=1 << LOG_N, r=8, p=1).derive(passphrase.encode())
    wrapped = ChaCha20Poly1305(wrapping).encrypt(bytes(12), file_key, None)
    head = f"age-encryption.org/v1\n-> scrypt {_text(salt)} {LOG_N}\n{_text(wrapped)}\n---".encode()
    mac = hmac.digest(_derived(file_key, b"", b"header"), head, "sha256")
    last_chunk = bytes(11) + b"\x01"  # the first one, and the last
    payload = ChaCha20Poly1305(_derived(file_key, nonce, b"payload")).encrypt(last_chunk, secret, None)
    return head + f" {_text(mac)}\n".encode() + nonce + payload


def _derived(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=salt or None, info=purpose).derive(key)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode().rstrip("=")
