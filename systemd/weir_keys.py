#!/usr/bin/python3 -IS
"""sshd's AuthorizedKeysCommand for the account `weir`: may whoever offers this key come in, and with which ticket?

    weir_keys.py SOCKET ADMINISTRATORS WEIR FINGERPRINT TYPE KEY

sshd gives the last three (%f %t %k), of a key that it has read itself; what is printed is that key, never one that
somebody sent, behind options that are written here. So nothing a user or the appliance says becomes an option of sshd.
Runs as an account of its own that may do nothing but ask at SOCKET. It has two seconds, with Python's start.

When nobody answers there, the keys of administrators, known by their fingerprints in the file ADMINISTRATORS, open
`weir doctor` and nothing else. Standard library only, and little of it: sshd starts this for every key that is offered.
"""

import re
import signal
import socket
import sys

ANSWER_S = 1.5
DEADLINE_S = 2
ANSWER = re.compile(rb"TICKET (wst_[A-Za-z0-9_-]{43})\n|NO\n")
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
KEY = re.compile(r"[A-Za-z0-9+/]{40,16384}={0,2}")
TYPES = frozenset(
    (
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-rsa",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    )
)


def main(arguments: list[str]) -> int:
    """Print at most one line of authorized_keys(5). 0 unless called wrongly: sshd goes by what is printed."""
    if len(arguments) != 6:
        sys.stderr.write(__doc__ or "")
        return 2
    where, administrators, weir, fingerprint, kind, key = arguments
    if not FINGERPRINT.fullmatch(fingerprint) or kind not in TYPES or not KEY.fullmatch(key):
        return 0
    signal.alarm(DEADLINE_S)  # the end, whatever we wait for
    try:
        answer = asked(where, fingerprint, kind)
    except OSError:
        answer = None
    if answer is None:
        rest = "--rescue" if known(administrators, fingerprint) else ""
    else:
        rest = f"--ticket {answer}" if answer else ""
    if rest:
        sys.stdout.write(f'restrict,pty,command="exec {weir} {rest}" {kind} {key}\n')
    return 0


def asked(where: str, fingerprint: str, kind: str) -> str | None:
    """The ticket; empty when the key may not come; None when the answer is none. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(ANSWER_S)
        door.connect(where)
        door.sendall(f"KEY {fingerprint} {kind}\n".encode())
        said = b""
        while not said.endswith(b"\n") and len(said) < 100 and (more := door.recv(100)):
            said += more
    found = ANSWER.fullmatch(said)
    return None if found is None else (found[1] or b"").decode()


def known(administrators: str, fingerprint: str) -> bool:
    """Whether the appliance has noted this key as an administrator's, when it last ran."""
    try:
        with open(administrators, encoding="ascii") as file:  # noqa: PTH123 - pathlib loads as long as all the rest
            return fingerprint in file.read(1024 * 1024).split("\n")
    except (OSError, UnicodeDecodeError):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
