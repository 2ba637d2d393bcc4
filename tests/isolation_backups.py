"""The isolation matrix's rows about backups, written by hand like those of `tests/isolation_table.py`: a backup is
everything, so administrators only."""

from __future__ import annotations

from appliance.web.routes.backups import BACKUP
from appliance.web.routes.rows import API
from tests.isolation_table import A, Row

BACKUPS: dict[str, Row] = {
    f"GET {API}/backups": Row(role=A, read=True),
    f"GET {API}/backups/work": Row(role=A, read=True),
    f"GET {API}/backups/{BACKUP}": Row(role=A, read=True),
    f"POST {API}/backups": Row(role=A, body={"due": True}),
    f"POST {API}/backups/{{backup}}/verify": Row(role=A, body={"passphrase": "correct horse"}),
    f"PUT {API}/backups/schedule": Row(role=A, body={"keep": 3}),
    f"DELETE {API}/backups/work": Row(role=A),
    f"DELETE {API}/backups/{BACKUP}": Row(role=A),
}
# What only somebody hears who was let in.
INSIDE = (
    "There is no backup '",
    "Nothing is being done.",
    "No backup was made since",
    "No files wait for this instance.",
)
# Refused to every token, also an administrator's.
ONLY_ON_THE_SOCKET = {
    f"POST {API}/backups/key": {"recipient": "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"}
}
# A token begins the backup that the box is set up to make. How one opens and where it goes is for people to say, who
# hear at the box that this is no place.
BY_PEOPLE_ONLY = (
    (f"POST {API}/backups", {"target": "relative"}, 400),
    (f"POST {API}/backups", {"target": "relative", "passphrase": "correct horse battery"}, 400),
    (f"POST {API}/backups", {"due": True, "passphrase": "correct horse battery"}, 202),  # and nothing is due
    (f"PUT {API}/backups/schedule", {"target": "relative"}, 400),
)
