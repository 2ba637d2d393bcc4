"""The box's own CA and the certificate of its web server, made and renewed without anybody's help."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import logging
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from appliance.config import Config, Home
from appliance.errors import Invalid
from appliance.system.files import write_atomic
from appliance.system.given import Given, names_of

log = logging.getLogger(__name__)

# A box without a clock of its own wakes up in 1970. No certificate is ever dated before this, and a CA is
# valid from this day on, so that it stays good when the clock is set.
NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
CA_VALID = timedelta(days=20 * 365)
# Browsers refuse leaves that run longer than 398 days (Apple: 825 for a CA that the user added).
LEAF_VALID = timedelta(days=367)
LEAF_BACKDATED = timedelta(days=30)
RENEW_BEFORE = timedelta(days=30)

Key = ec.EllipticCurvePrivateKey

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


class AcceptedName(Struct, frozen=True):
    """A name or address under which browsers reach this box: lower case, ASCII, IPv6 without brackets.

    `port` is the platform's port as browsers see it, None when it is the one nginx listens on.
    """

    name: str
    port: int | None = None

    @property
    def host(self) -> str:
        """As it stands in a URL: IPv6 in brackets."""
        return f"[{self.name}]" if ":" in self.name else self.name

    def authority(self, https_port: int) -> str:
        """What a browser sends as Host to the platform: name and port; no port when that is 443."""
        port = self.port or https_port
        return self.host if port == 443 else f"{self.host}:{port}"


class TlsFiles(Struct, frozen=True):
    """Absolute paths, the names in the certificate, and whether this call wrote anything."""

    ca: Path
    cert: Path
    key: Path
    names: tuple[str, ...]
    changed: bool


def parse_name(text: str) -> AcceptedName:
    """Read `plant.example`, `plant.example:8443`, `192.0.2.7`, `[2001:db8::7]:8443`; raises Invalid with the reason."""
    wanted = text.strip()
    host, port = _split_port(wanted)
    if port is not None and not 0 < port < 65536:
        raise Invalid(f"'{text}': {port} is not a port", code="invalid_name", hint="Ports are 1 to 65535.")
    address = _address(host)
    if address is not None:
        return AcceptedName(address, port)
    return AcceptedName(_dns_name(host, text), port)


def _split_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        match = re.fullmatch(r"\[([^]]+)\](?::(\d{1,5}))?", text)
        return (match[1], int(match[2]) if match[2] else None) if match else (text, None)
    host, colon, port = text.rpartition(":")
    if colon and ":" not in host and re.fullmatch(r"\d{1,5}", port):
        return host, int(port)
    return text, None


def _address(host: str) -> str | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # fe80::1%eth0 is an address, but URLs and certificates know no zones.
    return None if "%" in host else str(address)


def _dns_name(host: str, text: str) -> str:
    hint = "Write a host name or an address, with a port if it differs: plant.example or plant.example:8443."
    try:
        name = host.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise Invalid(f"'{text}' is not a host name", code="invalid_name", hint=hint) from error
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise Invalid(f"'{text}' is not a host name", code="invalid_name", hint=hint)
    if name.rpartition(".")[2].isdigit():  # browsers read it as an address: https://url.spec.whatwg.org/#host-parsing
        raise Invalid(f"'{text}' is not a valid IPv4 address", code="invalid_name", hint=hint)
    return name


def accepted_names(
    config: Config, host: str, *, addresses: Sequence[str] | None = None, local: str | None = None
) -> list[AcceptedName]:
    """Every name of the box, the one to show people first: the configured ones, the host name, its addresses, loopback.

    `addresses` are the box's own; read from the kernel when None. `local`: the name under which mDNS announces it, else
    the host's. Raises Invalid for a wrong configured name.
    """
    found = configured_names(config)
    found += [n for text in (host, local or f"{host.split('.')[0]}.local") if (n := _of_box(text)) is not None]
    own = box_addresses() if addresses is None else addresses
    found += [AcceptedName(text) for text in (*own, "localhost", "127.0.0.1", "::1")]
    return list(dict.fromkeys(found))


def configured_names(config: Config) -> list[AcceptedName]:
    """Those of config.toml; in the access mode `host` the domain of the instances is the platform's last.

    Raises Invalid for a wrong one.
    """
    ingress = config.ingress
    domain = [ingress.domain] if ingress.mode == "host" and ingress.domain else []
    return [parse_name(text) for text in (*ingress.names, *domain)]


def _of_box(text: str) -> AcceptedName | None:
    """The box's host name if it can be one in a URL: an odd one must not keep Weir from starting."""
    try:
        name = parse_name(text)
    except Invalid:
        log.warning("the host name %r cannot be used in a URL; it is left out of the accepted names", text)
        return None
    return name if name.port is None and name.name != "localhost" else None


def box_addresses() -> list[str]:
    """Addresses of this box that another machine can use: no loopback, no link-local; IPv4 first, stable order."""
    found = [
        ipaddress.ip_address(entry.address.partition("%")[0])
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family.name in ("AF_INET", "AF_INET6")
    ]
    usable = {a for a in found if not (a.is_loopback or a.is_link_local or a.is_unspecified or a.is_multicast)}
    return [str(a) for a in sorted(usable, key=lambda a: (a.version, int(a)))]


def ensure(
    home: Home, names: Iterable[AcceptedName], *, now: datetime | None = None, given: Given | None = None
) -> TlsFiles:
    """The box's CA, and a certificate for exactly these names; both made or renewed when needed.

    Renewed when a name is added or removed, less than 30 days are left, or the clock was wrong when it was made.
    One that is `given` is served as it is, in the same files. The CA stays for 20 years. Blocking (a few ms; disk
    flushes): call it in a thread. Raises OSError when the disk refuses.
    """
    today = max(now or datetime.now(UTC), NOT_BEFORE)
    wanted = tuple(dict.fromkeys(name.name for name in names)) or ("localhost",)
    home.tls.mkdir(parents=True, exist_ok=True)  # instances read ca.crt; the keys are 0600
    with _one_at_a_time(home.tls):
        return _ensure(home, wanted, today, given)


@contextlib.contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Two writers would leave the key of one with the certificate of the other. Held for milliseconds."""
    with (directory / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _ensure(home: Home, wanted: tuple[str, ...], today: datetime, given: Given | None) -> TlsFiles:
    ca_cert, ca_key, new_ca = _ensure_ca(home.tls, wanted[0], today)
    if given is not None:
        return TlsFiles(*_files(home), tuple(sorted(given.names)), _put(home.tls, given))
    fresh = not new_ca and _leaf_is_good(home.tls, ca_cert, wanted, today)
    if not fresh:
        _issue(home.tls, ca_cert, ca_key, wanted, today)
    return TlsFiles(*_files(home), wanted, not fresh)


def _files(home: Home) -> tuple[Path, Path, Path]:
    return home.tls / "ca.crt", home.tls / "box.crt", home.tls / "box.key"


def _put(directory: Path, given: Given) -> bool:
    """Serve a certificate of others; whether anything was written. A crash between the two is made good next time."""
    cert, key = directory / "box.crt", directory / "box.key"
    with contextlib.suppress(FileNotFoundError):
        if (cert.read_bytes(), key.read_bytes()) == (given.chain, given.key):
            return False
    write_atomic(key, given.key, mode=0o600)
    write_atomic(cert, given.chain, mode=0o644)
    return True


def fingerprint(certificate: Path) -> str:
    """SHA-256 of the certificate as people compare it: `AB:CD:…`."""
    digest = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def _ensure_ca(
    directory: Path, host: str, today: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey, bool]:
    found = _pair(directory / "ca.crt", directory / "ca.key")
    if found is not None and found[0].not_valid_after_utc > today:
        return (*found, False)
    if (directory / "ca.crt").exists():
        log.warning("the box's CA is expired or broken; a new one is made and has to be trusted again by browsers")
    key = ec.generate_private_key(ec.SECP256R1())
    # Two boxes must be told apart in a browser's list, also when both are called "raspberrypi".
    subject = _subject(f"Weir {host[:40]} {secrets.token_hex(2)}")
    certificate = (
        _builder(subject, subject, key.public_key(), NOT_BEFORE, today + CA_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_pair(directory / "ca.crt", directory / "ca.key", certificate, key)
    return certificate, key, True


def _issue(
    directory: Path,
    ca: x509.Certificate,
    ca_key: Key,
    names: tuple[str, ...],
    today: datetime,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(today + LEAF_VALID, ca.not_valid_after_utc)
    certificate = (
        _builder(_subject(names[0][:64]), ca.subject, key.public_key(), today - LEAF_BACKDATED, until)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_pair(directory / "box.crt", directory / "box.key", certificate, key)


def _leaf_is_good(directory: Path, ca: x509.Certificate, names: tuple[str, ...], today: datetime) -> bool:
    found = _pair(directory / "box.crt", directory / "box.key")
    if found is None or not _issued_by(found[0], ca) or names_of(found[0]) != set(names):
        return False
    left = found[0].not_valid_after_utc - today
    # More than a fresh one has: it was made while the clock ran ahead.
    return RENEW_BEFORE <= left <= LEAF_VALID + timedelta(days=1) and found[0].not_valid_before_utc <= today


def _issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, InvalidSignature):
        return False
    return True


def _pair(cert: Path, key: Path) -> tuple[x509.Certificate, Key] | None:
    """A certificate and the key that belongs to it, or None: missing, unreadable, or not a pair (a crash between)."""
    try:
        certificate = x509.load_pem_x509_certificate(cert.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != certificate.public_key():
        return None
    return certificate, private


def _write_pair(cert: Path, key: Path, certificate: x509.Certificate, private: Key) -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomic(key, private.private_bytes(*form), mode=0o600)
    write_atomic(cert, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )


def _subject(common_name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Weir"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(ipaddress.ip_address(name))
