"""People's keys for SSH over the API, and what is made of their text."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from appliance.auth.ssh_key import read_public_key
from appliance.errors import Invalid
from appliance.model import Role
from appliance.services.ssh_keys import KEPT_PER_USER
from tests.people_box import People, people_box


def line(comment: str = "") -> str:
    """A fresh key as it stands in a .pub file."""
    made = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return f"{made.decode()} {comment}".strip()


def of_token(name: bytes, *parts: bytes) -> str:
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (name, *parts))
    return f"{name.decode()} {base64.b64encode(blob).decode()}"


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048"])
def test_a_key_is_kept_as_openssh_writes_it(kind: str, tmp_path: Path) -> None:
    name, _, bits = kind.partition("-")
    file = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", name, "-N", "", "-C", "ann@desk", "-f", str(file)]
    subprocess.run([*command, *(["-b", bits] if bits else [])], check=True, timeout=60)
    text = file.with_suffix(".pub").read_text()
    key = read_public_key(f"\n# mine\n{text}\n")
    assert f"{key.type} {key.body} ann@desk\n" == text and key.comment == "ann@desk"
    listed = subprocess.run(
        ["ssh-keygen", "-lf", f"{file}.pub"], capture_output=True, text=True, check=True, timeout=10
    )
    assert listed.stdout.split()[1] == key.fingerprint


def test_a_key_of_a_security_token_stays_one() -> None:
    point = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    text = of_token(b"sk-ssh-ed25519@openssh.com", point, b"ssh:")
    assert read_public_key(text).body == text.split()[1]
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    raw = curve.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    text = of_token(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", raw, b"ssh:work")
    assert read_public_key(text).body == text.split()[1]
    with pytest.raises(Invalid, match="not for SSH|damaged"):
        read_public_key(of_token(b"sk-ssh-ed25519@openssh.com", point, b"https://elsewhere"))


def test_what_is_no_good_key_is_refused_with_the_reason() -> None:
    good = line()
    kind, body = good.split()
    weak = rsa.generate_private_key(65537, 1024).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    own = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    blob = base64.b64decode(body)
    longer = base64.b64encode(blob + b"\0").decode()
    for text, why in (
        ("", "0 lines"),
        (f"{good}\n{line()}", "2 lines"),
        (own.decode(), "private key"),
        (weak.decode(), "1024 bits"),
        (f"ssh-dss {body}", "DSA"),
        (f'command="id" {good}', "no kind of key"),
        (f"restrict {good}", "no kind of key"),
        (f"ssh-ed25519-cert-v01@openssh.com {body}", "certificate"),
        (f"{kind} {body[:-8]}", "damaged"),
        (f"{kind} {longer}", "damaged"),
        (f"{kind} {body[:20]}\x00{body[20:]}", "damaged"),
        (f"ssh-rsa {body}", "damaged|another kind"),
        (kind, "damaged"),
        ("x" * 20000, "too long"),
    ):
        with pytest.raises(Invalid, match=why) as told:
            read_public_key(text)
        assert told.value.hint, text[:40]


async def test_own_keys_are_kept_listed_and_removed(people: People) -> None:
    made = await people.root.ok("POST", "/user/ssh-keys", {"key": line("desk of ann")})
    assert made["name"] == "desk of ann" and made["fingerprint"].startswith("SHA256:") and made["usedAt"] is None
    assert (await people.root.ok("GET", "/user/ssh-keys")) == {"count": 1, "keys": [made]}
    named = await people.root.ok("POST", "/user/ssh-keys", {"key": line("x"), "name": " laptop "})
    assert named["name"] == "laptop"
    assert (await people.root.ok("POST", "/user/ssh-keys", {"key": line("\x1b[2J")}))["name"] == "ssh-ed25519"
    assert (await people.root("POST", "/user/ssh-keys", {"key": line(), "name": "a\nb"})).status == 400
    await people.root.ok("DELETE", f"/user/ssh-keys/{made['id']}")
    assert (await people.root("DELETE", f"/user/ssh-keys/{made['id']}")).status == 404
    assert (await people.events())[:2] == ["user.ssh-key.deleted", "user.ssh-key.created"]


async def test_a_key_is_one_persons(people: People) -> None:
    ann, key = await people.add("ann"), line()
    await people.root.ok("POST", "/user/ssh-keys", {"key": key})
    again = await people.root("POST", "/user/ssh-keys", {"key": f"{key} with a comment"})
    assert (again.status, again.code) == (409, "duplicate_ssh_key")
    other = await people.root("POST", f"/users/{ann.id}/ssh-keys", {"key": key})
    assert (other.status, other.code) == (409, "duplicate_ssh_key") and "admin" not in other.text
    await people.root.ok("POST", f"/users/{ann.id}/ssh-keys", {"key": line()})
    assert (await ann.ok("GET", "/user/ssh-keys"))["count"] == 1


async def test_keys_of_others_are_for_administrators(people: People) -> None:
    ann, boss = await people.add("ann", Role.OWNER), await people.add("boss", admin=True)
    made = await people.root.ok("POST", f"/users/{ann.id}/ssh-keys", {"key": line()})
    assert (await ann("GET", f"/users/{boss.id}/ssh-keys")).status == 403
    assert (await ann("DELETE", f"/users/{ann.id}/ssh-keys/{made['id']}")).status == 403
    assert (await boss.ok("GET", f"/users/{ann.id}/ssh-keys"))["keys"] == [made]
    # A token would outlive itself so.
    for who, path in ((boss, f"/users/{ann.id}/ssh-keys"), (ann, "/user/ssh-keys")):
        assert (await who("POST", path, {"key": line()})).status == 403
    await boss.ok("DELETE", f"/users/{ann.id}/ssh-keys/{made['id']}")
    assert (await boss("GET", "/users/nobody/ssh-keys")).status == 404


async def test_there_is_an_end_to_keys(people: People) -> None:
    for _ in range(KEPT_PER_USER):
        await people.root.ok("POST", "/user/ssh-keys", {"key": line()})
    refused = await people.root("POST", "/user/ssh-keys", {"key": line()})
    assert refused.status == 400 and str(KEPT_PER_USER) in refused.text


async def test_keys_go_with_their_user(people: People) -> None:
    ann, key = await people.add("ann"), line()
    await people.root.ok("POST", f"/users/{ann.id}/ssh-keys", {"key": key})
    await people.root.ok("DELETE", f"/users/{ann.id}")
    await people.root.ok("POST", "/user/ssh-keys", {"key": key})
