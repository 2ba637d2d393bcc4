"""Encryption by the age format (https://age-encryption.org/v1), so that the standard `age` opens what Weir wrote.

The content is encrypted for X25519 keys, as a stream. With a passphrase the key is a fresh one, and lies beside the
content in a small file that age encrypts with the passphrase: that is how age itself protects a key.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyrage
from msgspec import Struct
from pyrage import passphrase as scrypt
from pyrage import x25519

from appliance.backup import locked
from appliance.errors import Invalid

LEAST_CHARACTERS = 8
_SECRET = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{58}")


class WrongKey(Invalid):
    """What was given does not open this backup."""


class Pair(Struct, frozen=True):
    """A key: `recipient` encrypts and may be known, `secret` opens."""

    recipient: str
    secret: str


def new_pair() -> Pair:
    """A fresh key."""
    identity = x25519.Identity.generate()
    return Pair(str(identity.to_public()), str(identity))


def recipient_of(secret: str) -> str:
    """The public half. Raises Invalid for what is no key of age."""
    return str(_identity(secret).to_public())


def checked_recipient(text: str) -> str:
    """A recipient as it is kept. Raises Invalid."""
    try:
        return str(x25519.Recipient.from_str(text.strip()))
    except pyrage.RecipientError as error:
        raise Invalid(
            "This is no recipient of age.",
            hint="It begins with age1…; the secret half (AGE-SECRET-KEY-1…) stays with you.",
        ) from error


def checked_passphrase(text: str) -> str:
    """A passphrase that may protect a backup. Raises Invalid."""
    if len(text) < LEAST_CHARACTERS:
        hint = "Take several words: whoever has the file can try as many passphrases as he likes."
        raise Invalid(f"A passphrase of a backup has at least {LEAST_CHARACTERS} characters.", hint=hint)
    return text


def lock(secret: str, passphrase: str) -> bytes:
    """A key, encrypted with a passphrase; `age -d -i` takes it as it is. Costs time and memory on purpose."""
    return locked.lock(f"{secret}\n".encode(), checked_passphrase(passphrase))


def unlock(content: bytes, passphrase: str) -> str:
    """What was locked. Raises WrongKey."""
    try:
        return str(scrypt.decrypt(content, passphrase).decode()).strip()
    except (pyrage.DecryptError, UnicodeDecodeError) as error:
        raise WrongKey(
            "The passphrase does not open this backup.",
            code="wrong_passphrase",
            hint="Type it as it was when the backup was made.",
        ) from error


def secrets_in(text: str) -> list[str]:
    """The keys in a file of age-keygen or of ours: comments and blanks are left out."""
    return _SECRET.findall(text)


class _Noting:
    """A file that remembers the error it failed with: what comes out of pyrage has lost its number."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def read(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except OSError as error:
            self.error = error
            raise

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def encrypt(source: BinaryIO, target: BinaryIO, recipients: Sequence[str]) -> None:
    """All of `source`, as a stream. Raises OSError of either."""
    keys = [x25519.Recipient.from_str(each) for each in recipients]
    ends = _Noting(source), _Noting(target)
    try:
        pyrage.encrypt_io(*ends, keys)
    except (pyrage.EncryptError, OSError) as error:
        raise _first(ends) or OSError(str(error)) from error


def decrypt(source: BinaryIO, target: BinaryIO, secrets: Sequence[str]) -> None:
    """All of `source`, as a stream; what came out is not whole unless this returns.

    Raises WrongKey, Invalid `backup_damaged`, OSError of either file.
    """
    keys = [_identity(each) for each in secrets]
    ends = _Noting(source), _Noting(target)
    try:
        pyrage.decrypt_io(*ends, keys)
    except (pyrage.DecryptError, OSError) as error:
        if (noted := _first(ends)) is not None:
            raise noted from error
        if "no matching keys" in str(error).lower():
            raise WrongKey(
                "This key does not open the backup.",
                code="wrong_key",
                hint="`weir backup list` shows the recipient of each; the secret was shown when that key was made.",
            ) from error
        raise damaged("it was cut or changed") from error


@contextmanager
def decrypting(source: BinaryIO, secrets: Sequence[str]) -> Iterator[BinaryIO]:
    """The content as a stream, decrypted in a thread of its own; `source` is closed. Leaving the block raises what
    `decrypt` raises, whatever the block made of a stream that ended too early."""
    near, far = os.pipe()
    failure: list[BaseException] = []

    def run() -> None:
        with open(far, "wb") as pipe:  # noqa: PTH123 - a descriptor, no path
            try:
                decrypt(source, pipe, secrets)
            except BaseException as error:  # noqa: BLE001 - carried over to the thread that reads
                failure.append(error)

    thread = threading.Thread(target=run, name="decrypting")
    with open(near, "rb", buffering=1 << 20) as plain:  # noqa: PTH123 - a descriptor, no path
        thread.start()
        try:
            yield plain
            while plain.read(1 << 20):
                pass  # the end proves that nothing was cut off
        except Invalid as error:
            plain.close()
            thread.join()
            raise _deeper(failure, error) from error
        finally:
            plain.close()
            thread.join()
            source.close()
    if failure:
        raise failure[0]


def _deeper(failure: list[BaseException], error: Invalid) -> BaseException:
    """A broken pipe is what we made by closing it; anything else is why the stream was no good."""
    return next((each for each in failure if not isinstance(each, BrokenPipeError)), error)


def _first(ends: Sequence[_Noting]) -> OSError | None:
    return next((each.error for each in ends if each.error is not None), None)


def damaged(why: str) -> Invalid:
    """The error for a file that was changed, cut or is something else."""
    return Invalid(
        f"This backup is damaged: {why}.",
        code="backup_damaged",
        hint="Take another copy of it or another backup; nothing was changed.",
    )


def secrets_from(file: Path) -> list[str]:
    """The keys in a file. Raises Invalid."""
    try:
        found = secrets_in(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"The key file {file} can't be read: {error}.", hint="Name a file with AGE-SECRET-KEY-1…."
        ) from error
    if not found:
        raise Invalid(f"{file} holds no key of age.", hint="A line of it begins with AGE-SECRET-KEY-1….")
    return found


def _identity(secret: str) -> x25519.Identity:
    try:
        return x25519.Identity.from_str(secret.strip())
    except pyrage.IdentityError as error:
        raise Invalid("This is no secret key of age.", hint="It begins with AGE-SECRET-KEY-1….") from error
