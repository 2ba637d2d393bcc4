"""A certificate of somebody else's: looked at before it is served, and the box's own serves while it can't be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance.config import Acme, Config, Home, Ingress, Tls
from appliance.errors import Invalid
from appliance.services.health import certificate
from appliance.system import acme, certificates, given
from appliance.system.tls import AcceptedName

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
NAMES = [AcceptedName("plant.example"), AcceptedName("box")]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "h")


def signed(names: list[str], key: Key, *, days: int = 60, since: datetime = NOW - timedelta(days=1)) -> bytes:
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Somebody's authority")])
    signer = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
        .sign(signer, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def pem(key: Key, passphrase: bytes | None = None) -> bytes:
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


class Files:
    """A certificate and a key as somebody would put them on the box."""

    def __init__(self, directory: Path) -> None:
        self.cert, self.key = directory / "own.crt", directory / "own.key"
        self.private: Key = rsa.generate_private_key(65537, 2048)
        self.put()

    def put(self, names: tuple[str, ...] = ("plant.example",), **how: object) -> None:
        self.cert.write_bytes(signed(list(names), self.private, **how))  # type: ignore[arg-type]
        self.key.write_bytes(pem(self.private))

    def config(self, *names: str) -> Config:
        return Config(tls=Tls(certificate=str(self.cert), key=str(self.key)), ingress=Ingress(names=list(names)))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def served(home: Home) -> x509.Certificate:
    return x509.load_pem_x509_certificate((home.tls / "box.crt").read_bytes())


def test_it_is_served_and_given_up_again(home: Home, files: Files) -> None:
    own = certificates.ensure(home, Config(), NAMES, now=NOW)
    assert set(own.names) == {"plant.example", "box"}
    used = certificates.ensure(home, files.config(), NAMES, now=NOW)
    assert (used.changed, used.names) == (True, ("plant.example",))
    assert (home.tls / "box.crt").read_bytes() == files.cert.read_bytes()
    assert (home.tls / "box.key").stat().st_mode & 0o777 == 0o600
    assert not certificates.ensure(home, files.config(), NAMES, now=NOW).changed, "written once"
    files.put(("plant.example",), days=90)
    assert certificates.ensure(home, files.config(), NAMES, now=NOW).changed, "a renewed one is taken up"
    back = certificates.ensure(home, Config(), NAMES, now=NOW)
    assert back.changed and given.names_of(served(home)) == {"plant.example", "box"}


def refusal(files: Files, now: datetime = NOW) -> tuple[str, str]:
    with pytest.raises(Invalid) as error:
        given.read(files.cert, files.key, now)
    return error.value.message, error.value.hint


def test_what_is_wrong_with_it_is_said(files: Files, tmp_path: Path) -> None:
    files.key.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    assert "is not the key of" in refusal(files)[0]
    files.key.write_bytes(pem(files.private, b"secret"))
    said, hint = refusal(files)
    assert "has a passphrase" in said and "openssl pkey" in hint
    files.key.write_text("nonsense")
    assert "holds no private key" in refusal(files)[0]
    files.put()
    files.cert.write_text("nonsense")
    assert "holds no certificate" in refusal(files)[0]
    files.put()
    files.cert.write_bytes(files.cert.read_bytes() + signed(["other.example"], files.private))
    assert "are no chain" in refusal(files)[0]
    files.put()
    assert "has ended on 2027-04-29" in refusal(files, NOW + timedelta(days=90))[0]
    said, hint = refusal(files, NOW - timedelta(days=30))
    assert "is good from" in said and "timedatectl" in hint
    files.cert.write_bytes(b"x" * 300_000)
    assert "too large" in refusal(files)[0]
    files.cert.unlink()
    assert "can't be read" in refusal(files)[0]


def test_one_that_cant_be_used_is_a_problem_and_the_boxs_own_serves(home: Home, files: Files) -> None:
    config = files.config("plant.example")
    certificates.ensure(home, config, NAMES, now=NOW)
    assert certificate.judge(home, NOW, config) == []
    late = NOW + timedelta(days=80)
    assert set(certificates.ensure(home, config, NAMES, now=late).names) == {"plant.example", "box"}
    (trouble,) = certificate.judge(home, late, config)
    assert trouble.key == "certificate_unusable" and "has ended" in trouble.cause
    half = Config(tls=Tls(certificate=str(files.cert)))
    (trouble,) = certificate.judge(home, NOW, half)
    assert "belong together" in trouble.cause


def test_names_that_it_is_not_good_for_are_a_problem(home: Home, files: Files) -> None:
    files.put(("*.plant.example", "plant.example"))
    for name, good in (("plant.example", True), ("a.plant.example", True), ("a.b.plant.example", False)):
        found = certificate.judge(home, NOW, files.config(name))
        assert [trouble.key for trouble in found] == ([] if good else ["certificate_names"]), name


@pytest.mark.parametrize(
    ("acme_", "said"),
    [
        (Acme(domains=["plant.example"]), "terms"),
        (Acme(domains=["192.0.2.7"], agree=True), "no domain"),
        (Acme(domains=["box"], agree=True), "no domain"),
        (Acme(domains=["plant.example:8443"], agree=True), "no domain"),
        (Acme(domains=["plant.example$(id)"], agree=True), "not a host name"),
        (Acme(domains=["plant.example"], directory="file:///etc/passwd", agree=True), "no address"),
        (Acme(domains=["plant.example"], email="a b@c", agree=True), "no address"),
        (Acme(domains=["plant.example"], ca="/a b", agree=True), "no plain path"),
    ],
)
def test_what_no_authority_would_take_is_refused(acme_: Acme, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        acme.check(acme_)
