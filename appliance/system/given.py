"""A certificate that somebody else signed: files named in config.toml, or what the ACME client was given.

It is looked at before it is served. What is wrong with it is said, and the box's own certificate serves meanwhile.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat
from msgspec import Struct

from appliance.config import Config, Home
from appliance.errors import Invalid

LARGEST_BYTES = 256 * 1024
_FORM = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Given(Struct, frozen=True):
    """PEM as nginx takes it, the leaf first; `names` are those of the leaf, `until` its end."""

    chain: bytes
    key: bytes
    names: frozenset[str]
    until: datetime


def acme_pair(home: Home) -> tuple[Path, Path]:
    """Where the ACME client leaves certificate and key."""
    directory = home.tls / "acme" / "certs" / "box"
    return directory / "fullchain.pem", directory / "privkey.pem"


def given(home: Home, config: Config, now: datetime) -> Given | None:
    """The certificate that is to be served in place of the box's own; None where the box's own is wanted, or the ACME
    client has none yet. Blocks for two files. Raises Invalid: why it can't be used, and what to do."""
    tls = config.tls
    if tls.certificate or tls.key:
        if not (tls.certificate and tls.key):
            hint = "Set both tls.certificate and tls.key in config.toml, or neither."
            raise _invalid("tls.certificate and tls.key belong together, and one of them is empty", hint)
        return read(Path(tls.certificate), Path(tls.key), now)
    cert, key = acme_pair(home)
    if not tls.acme.domains or not cert.exists():
        return None
    return read(cert, key, now)


def read(cert: Path, key: Path, now: datetime) -> Given:
    """The pair in these files, looked at. Raises Invalid."""
    chain = _chain(cert)
    private = _key(key)
    leaf = chain[0]
    if private.public_key().public_bytes(*_FORM) != leaf.public_key().public_bytes(*_FORM):
        hint = "In the certificate's file the box's certificate comes first, those of the authorities after it."
        raise _invalid(f"{key} is not the key of the first certificate in {cert}", hint)
    _check_chain(cert, chain)
    _check_dates(cert, leaf, now)
    pem = (Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption())
    return Given(
        chain=b"".join(each.public_bytes(Encoding.PEM) for each in chain),
        key=private.private_bytes(*pem),
        names=frozenset(names_of(leaf)),
        until=leaf.not_valid_after_utc,
    )


def names_of(leaf: x509.Certificate) -> set[str]:
    """The names and addresses that a certificate is good for; of a wildcard, with its star."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = names.get_values_for_type(x509.IPAddress)
    return {*(each.lower() for each in names.get_values_for_type(x509.DNSName)), *map(str, addresses)}


def uncovered(names: Iterable[str], covered: frozenset[str]) -> list[str]:
    """Those of `names` (without ports) that a browser would refuse with such a certificate."""
    return [name for name in names if not _covers(name, covered)]


def _covers(name: str, covered: frozenset[str]) -> bool:
    if name in covered:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        _, dot, parent = name.partition(".")
        return bool(dot) and f"*.{parent}" in covered
    return False


def _chain(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_content(file))
    except ValueError as error:
        raise _invalid(
            f"{file} holds no certificate: {error}", "It has to be PEM: -----BEGIN CERTIFICATE-----"
        ) from error


def _key(file: Path) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        found = serialization.load_pem_private_key(_content(file), password=None)
    except TypeError as error:
        hint = f"Nobody is there to type it: openssl pkey -in {file} -out FILE writes one without."
        raise _invalid(f"the key in {file} has a passphrase", hint) from error
    except ValueError as error:
        raise _invalid(f"{file} holds no private key", "It has to be PEM: -----BEGIN PRIVATE KEY-----") from error
    if not isinstance(found, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise _invalid(f"the key in {file} is of a kind that browsers refuse", "Use an RSA or an elliptic curve key.")
    return found


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise _invalid(f"{file} is too large for a certificate or key", "Correct the path in config.toml ([tls]).")
        return file.read_bytes()
    except OSError as error:
        hint = "Correct the path in config.toml ([tls]), or let Weir's account read the file."
        raise _invalid(f"{file} can't be read: {error.strerror}", hint) from error


def _check_chain(file: Path, chain: list[x509.Certificate]) -> None:
    for each, issuer in zip(chain, chain[1:], strict=False):
        try:
            each.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            hint = (
                "Each certificate in the file has to be signed by the one after it; leave out what is not of the chain."
            )
            raise _invalid(f"the certificates in {file} are no chain", hint) from error


def _check_dates(file: Path, leaf: x509.Certificate, now: datetime) -> None:
    if leaf.not_valid_after_utc <= now:
        said = f"the certificate in {file} has ended on {leaf.not_valid_after_utc:%Y-%m-%d}"
        raise _invalid(said, "Put a renewed one in its place; it is taken up within a minute.")
    if leaf.not_valid_before_utc > now:
        said = f"the certificate in {file} is good from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"
        raise _invalid(
            said, f"Look at the clock of this box (timedatectl), which says {now.astimezone(UTC):%Y-%m-%d %H:%M}."
        )


def _invalid(said: str, hint: str) -> Invalid:
    return Invalid(said, code="certificate_unusable", hint=hint)
