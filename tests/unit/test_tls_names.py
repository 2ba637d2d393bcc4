"""Names and certificates of the box."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Config, Home, Ingress
from appliance.errors import Invalid
from appliance.system import tls
from appliance.system.tls import AcceptedName, ensure, parse_name

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
NAMES = [AcceptedName("plant.example", 8443), AcceptedName("box"), AcceptedName("10.0.0.7"), AcceptedName("::1")]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def leaf(home: Home) -> x509.Certificate:
    return x509.load_pem_x509_certificate((home.tls / "box.crt").read_bytes())


def ca(home: Home) -> x509.Certificate:
    return x509.load_pem_x509_certificate((home.tls / "ca.crt").read_bytes())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Plant.Example", AcceptedName("plant.example")),
        ("plant.example.", AcceptedName("plant.example")),
        ("plant.example:8443", AcceptedName("plant.example", 8443)),
        ("192.0.2.7:443", AcceptedName("192.0.2.7", 443)),
        ("2001:DB8::7", AcceptedName("2001:db8::7")),
        ("[2001:db8:0::7]:8443", AcceptedName("2001:db8::7", 8443)),
        ("[::1]", AcceptedName("::1")),
        ("bücher.example", AcceptedName("xn--bcher-kva.example")),
        ("my_box", AcceptedName("my_box")),
    ],
)
def test_names_are_read(text: str, name: AcceptedName) -> None:
    assert parse_name(text) == name


NO_NAMES = [
    *("", ".", "a b", "https://plant.example", "plant.example/x", "a..b", "-a", "a-", "x" * 64, "*.a"),
    *("a;b", 'a"b', "a$b", "{a}", "a\nb", "1.2.3.4:5:6", "[::1", "[::1]:", "[::1]x", "[a]b"),
    *("fe80::1%eth0", "[fe80::1%eth0]:8443", 'fe80::1%a"b', "192.168.1.300", "1234", "plant.1"),
    *("plant.example:0", "plant.example:65536", "plant.example:x"),
]


@pytest.mark.parametrize("text", NO_NAMES)
def test_what_no_browser_could_use_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_name(text)
    assert caught.value.hint


@given(st.text(max_size=30))
def test_a_name_never_holds_more_than_a_name(text: str) -> None:
    try:
        name = parse_name(text)
    except Invalid:
        return
    assert set(name.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-:")


def test_configured_names_come_first_and_loopback_last() -> None:
    config = Config(ingress=Ingress(names=["plant.example:8443", "box"]))
    names = tls.accepted_names(config, "Box.lan", addresses=["10.0.0.7", "fd00::7"])
    assert [name.name for name in names] == [
        "plant.example",
        *("box", "box.lan", "box.local", "10.0.0.7", "fd00::7", "localhost", "127.0.0.1", "::1"),
    ]


def test_wrong_configured_name_is_an_error_but_a_strange_host_name_is_not() -> None:
    with pytest.raises(Invalid, match="not a host name"):
        tls.accepted_names(Config(ingress=Ingress(names=["a b"])), "box", addresses=[])
    names = tls.accepted_names(Config(), "strange host!", addresses=[])
    assert [name.name for name in names] == ["localhost", "127.0.0.1", "::1"]


def test_own_addresses_are_usable_from_elsewhere() -> None:
    for address in tls.box_addresses():
        assert not address.startswith(("127.", "169.254.", "fe80"))


def test_authority_is_what_a_browser_sends() -> None:
    assert AcceptedName("box").authority(443) == "box"
    assert AcceptedName("box").authority(8443) == "box:8443"
    assert AcceptedName("::1", 9443).authority(443) == "[::1]:9443"


def test_leaf_is_signed_has_all_names_and_private_keys(home: Home) -> None:
    files = ensure(home, NAMES, now=NOW)
    leaf(home).verify_directly_issued_by(ca(home))
    found = leaf(home).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == ["plant.example", "box"]
    assert [str(a) for a in found.get_values_for_type(x509.IPAddress)] == ["10.0.0.7", "::1"]
    assert leaf(home).not_valid_after_utc - leaf(home).not_valid_before_utc <= timedelta(days=398)
    for key in ("ca.key", "box.key"):
        assert stat.S_IMODE((home.tls / key).stat().st_mode) == 0o600
    assert files.changed
    constraints = ca(home).extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)


def test_nothing_changes_while_it_is_good(home: Home) -> None:
    ensure(home, NAMES, now=NOW)
    before = leaf(home)
    again = ensure(home, list(reversed(NAMES)), now=NOW + timedelta(days=330))
    assert not again.changed
    assert leaf(home) == before


@pytest.mark.parametrize("change", ["added", "removed", "old", "key lost", "key of another", "broken"])
def test_leaf_is_renewed_and_the_ca_stays(home: Home, change: str) -> None:
    ensure(home, NAMES, now=NOW)
    authority, before, names, now = ca(home), leaf(home), NAMES, NOW
    match change:
        case "added":
            names = [*NAMES, AcceptedName("new.example")]
        case "removed":
            names = NAMES[:-1]
        case "old":
            now = NOW + timedelta(days=340)
        case "key lost":
            (home.tls / "box.key").unlink()
        case "key of another":
            (home.tls / "box.key").write_bytes((home.tls / "ca.key").read_bytes())
        case "broken":
            (home.tls / "box.crt").write_text("not a certificate")
    assert ensure(home, names, now=now).changed
    assert leaf(home) != before
    assert ca(home) == authority
    assert not ensure(home, names, now=now).changed


def test_lost_ca_key_makes_a_new_ca_and_leaf(home: Home) -> None:
    ensure(home, NAMES, now=NOW)
    before = ca(home)
    (home.tls / "ca.key").unlink()
    assert ensure(home, NAMES, now=NOW).changed
    assert ca(home) != before
    assert ca(home).subject != before.subject
    leaf(home).verify_directly_issued_by(ca(home))


def test_clock_of_1970_and_of_2090(home: Home) -> None:
    """A box without a clock makes certificates that are good once the time is known, or renews them."""
    ensure(home, NAMES, now=datetime(1970, 1, 1, tzinfo=UTC))
    authority = ca(home)
    assert authority.not_valid_before_utc <= NOW <= authority.not_valid_after_utc
    ensure(home, NAMES, now=NOW)
    assert ca(home) == authority
    assert leaf(home).not_valid_before_utc <= NOW <= leaf(home).not_valid_after_utc
    ensure(home, NAMES, now=datetime(2040, 1, 1, tzinfo=UTC))
    assert ensure(home, NAMES, now=NOW).changed, "made while the clock ran ahead"
    assert leaf(home).not_valid_before_utc <= NOW


def test_many_at_once_leave_one_pair(home: Home) -> None:
    threads = [threading.Thread(target=ensure, args=(home, NAMES)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    leaf(home).verify_directly_issued_by(ca(home))
    assert not ensure(home, NAMES).changed


def test_fingerprint_is_the_one_people_compare(home: Home) -> None:
    ensure(home, NAMES)
    text = tls.fingerprint(home.tls / "ca.crt")
    assert len(text.split(":")) == 32
    assert text == text.upper()
