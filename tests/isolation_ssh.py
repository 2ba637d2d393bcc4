"""The isolation matrix's rows about SSH, written by hand like those of `tests/isolation_table.py`."""

from __future__ import annotations

from appliance.web.routes.rows import API
from tests.isolation_table import A, Row

# What only somebody hears who was let in.
INSIDE = ("There is no such key of this user.", "There is no such login over SSH.", "There is no such user.")

SSH: dict[str, Row] = {
    f"GET {API}/user/ssh-keys": Row(role=type(A).NONE, read=True, account=True),
    f"DELETE {API}/user/ssh-keys/{{id}}": Row(role=type(A).NONE, account=True),
    f"GET {API}/users/{{id}}/ssh-keys": Row(role=A, read=True),
    f"DELETE {API}/users/{{id}}/ssh-keys/{{key}}": Row(role=A),
    f"DELETE {API}/ssh/session": Row(role=type(A).NONE, account=True),
}
# What outlives a token needs the person.
ONLY_ON_THE_SOCKET = {
    f"POST {API}/user/ssh-keys": {
        "key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    },
    f"POST {API}/users/{{id}}/ssh-keys": {
        "key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"
    },
}
