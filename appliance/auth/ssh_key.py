"""A person's public key as SSH knows it: read by a library and written anew, so that nothing else is kept of the text.

Options and comments of the line, a certificate's extensions, a second line: none of them reaches sshd.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from msgspec import Struct

from appliance.errors import Invalid

LONGEST = 16 * 1024
RSA_BITS = (2048, 16384)  # NIST SP 800-131A; the upper end is OpenSSH's own
APPLICATION_BYTES = 64
# Keys of security tokens (sk-…) need a touch for each login.
TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_OURS = "Make one with: ssh-keygen -t ed25519"
_CODE = "invalid_ssh_key"


class PublicKey(Struct, frozen=True):
    """`body` is base64; `fingerprint` is `SHA256:…`, as `ssh-keygen -lf` prints it. `comment` is what people wrote."""

    type: str
    body: str
    fingerprint: str
    comment: str = ""


def read_public_key(text: str) -> PublicKey:
    """The one key that `text` holds, a line of a `.pub` file. Raises Invalid: what is wrong, and what to do."""
    if len(text) > LONGEST:
        raise _invalid("This is too long for a public key.", "Give the content of one file that ends in .pub.")
    if "PRIVATE KEY" in text:
        raise _invalid(
            "This is a private key. Weir needs the public one, and has not kept this.",
            "Keep the private key to yourself, and give the content of the file beside it that ends in .pub.",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) != 1:
        raise _invalid(f"One key at a time: here are {len(lines)} lines.", "Give the content of one .pub file.")
    type_, _, rest = lines[0].partition(" ")
    body, _, comment = rest.strip().partition(" ")
    _check_type(type_)
    blob = _blob(type_, body)
    return PublicKey(type_, base64.b64encode(blob).decode(), fingerprint(blob), comment.strip())


def fingerprint(blob: bytes) -> str:
    """As OpenSSH writes it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _check_type(type_: str) -> None:
    if type_ in TYPES:
        return
    if type_ == "ssh-dss":
        raise _invalid("DSA keys are weak, and OpenSSH refuses them.", _OURS)
    if "-cert-" in type_:
        hint = "Give the key itself: the .pub file without -cert in its name."
        raise _invalid("This is a certificate, not a key.", hint)
    raise _invalid(
        f"'{type_[:40]}' is no kind of key that is taken here.",
        f"A line begins with one of {', '.join(TYPES[:2])}, ssh-rsa, …, without options before it. {_OURS}",
    )


def _blob(type_: str, body: str) -> bytes:
    """The canonical form of the key; anything that differs from it is refused."""
    try:
        given = base64.b64decode(body, validate=True)
        key = load_ssh_public_key(f"{type_} {body}".encode())
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        hint = "Give the whole line of the .pub file, as ssh-keygen wrote it."
        raise _invalid("The key is damaged, or was not copied whole.", hint) from error
    if isinstance(key, rsa.RSAPublicKey) and not RSA_BITS[0] <= key.key_size <= RSA_BITS[1]:
        raise _invalid(f"An RSA key of {key.key_size} bits is not taken: {RSA_BITS[0]} at least.", _OURS)
    if not isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise _invalid("This kind of key is not taken here.", _OURS)
    own = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split(b" ")
    whole = base64.b64decode(own[1])
    if type_.startswith("sk-"):  # the library leaves out what makes it a key of a token
        whole = _of_token(type_, whole, given)
    elif own[0].decode() != type_:
        raise _invalid("The line names another kind of key than it holds.", "Copy the line of the .pub file again.")
    if whole != given:
        raise _invalid("The key is not written as OpenSSH writes it.", "Copy the line of the .pub file again.")
    return whole


def _of_token(type_: str, plain: bytes, given: bytes) -> bytes:
    """The key of a security token: the plain key's parts under the token's name, and the application it is for."""
    parts, left = [], plain
    while left:
        size = int.from_bytes(left[:4], "big")
        parts.append(left[4 : 4 + size])
        left = left[4 + size :]
    head = b"".join(_string(part) for part in (type_.encode(), *parts[1:]))
    application = given[len(head) + 4 :]
    if not application.startswith(b"ssh:") or len(application) > APPLICATION_BYTES:
        raise _invalid("This key of a security token is not for SSH.", "Make one with: ssh-keygen -t ed25519-sk")
    return head + _string(application)


def _string(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def _invalid(said: str, hint: str) -> Invalid:
    return Invalid(said, code=_CODE, hint=hint)
