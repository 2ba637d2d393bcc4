"""Keys of people for SSH, and logins made with them."""

from __future__ import annotations

from appliance.schema.common import Body, Wire
from appliance.schema.users import User


class CreateSshKey(Body):
    """`POST /user/ssh-keys`. `key` is a line of a `.pub` file; without `name` the key's comment is its name."""

    key: str
    name: str = ""


class SshKey(Wire):
    """A public key. `fingerprint` is `SHA256:…`, as `ssh-keygen -lf` prints it; `used_at` the last login with it."""

    id: str
    name: str
    type: str
    fingerprint: str
    created_at: str
    used_at: str | None = None


class SshKeys(Wire):
    count: int
    keys: list[SshKey]


class BeginSshSession(Body):
    """`POST /ssh/session`. `address`: where the person comes from, as sshd told; kept in the audit log as said."""

    ticket: str
    address: str = ""


class SshSession(Wire):
    """What a ticket is traded for: a token for the box's own socket, kept in memory only."""

    token: str
    expires_at: str
    user: User
