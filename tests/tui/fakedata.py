"""What the fake box answers: objects as the API shows them, and events as they stand on the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
TEAM = {"id": "team1", "name": "ops"}
FINGERPRINT = ":".join(["AB"] * 32)


def instance(number: int, name: str, state: str = "running", message: str = "", **meta: Any) -> Json:
    """An instance as the API shows it; `meta` overrides fields of its live state."""
    created = (datetime.now(UTC) - timedelta(days=12)).isoformat()
    ident = f"00000000-0000-4000-8000-{number:012d}"
    links = {"self": f"/api/v1/projects/{ident}"}
    return {
        "id": ident,
        "name": name,
        "safeName": name.lower(),
        "url": f"https://pi4.local:{10000 + number}/",
        "hostname": "pi4.local",
        "createdAt": created,
        "updatedAt": created,
        "links": links,
        "application": {"id": "app1", "name": "First application", "description": "", "links": links},
        "team": dict(TEAM),
        "projectType": {"id": "type1", "name": "Default"},
        "stack": {"id": "stack1", "name": "nr5", "label": "Node-RED 5", "properties": {}, "links": links},
        "template": {"id": "tmpl1", "name": "Default", "links": links},
        "settings": {},
        "launcherSettings": {},
        "desired": "stopped" if state == "stopped" else "running",
        "ports": {"public": 10000 + number, "node_red": 12080 + number, "launcher": 13080 + number},
        "meta": {
            "state": state,
            "versions": {"node": "24.19.0", "node-red": "5.0.7", "launcher": "0.1.0"},
            "reason": "",
            "message": message,
            "restarts": 0,
            "since": created,
            "launcherPid": 4000 + number,
            "nodeRedPid": 5000 + number,
            **meta,
        },
    }


def log_entry(text: Any, level: str = "info", *, at: int = 0, **more: Any) -> Json:
    """A log entry; `at` counts entries, so that stamps grow."""
    return {"ts": f"{1_795_000_000_000 + at * 10:013d}0000", "level": level, "msg": text, "src": "ab12", **more}


def stacks() -> Json:
    """The one stack that there is."""
    links = {"self": ""}
    stack = {"id": "stack1", "name": "nr5", "label": "Node-RED 5", "active": True, "properties": {}}
    stack |= {"createdAt": datetime.now(UTC).isoformat(), "links": links, "built": True, "instanceCount": 2}
    return {"meta": {}, "count": 1, "stacks": [stack]}


def teams() -> Json:
    """The one team, of which whoever asks is an owner."""
    team = {**TEAM, "slug": "ops", "avatar": "", "suspended": False, "links": {"self": ""}, "role": 50}
    return {"meta": {}, "count": 1, "teams": [team | {"instanceCount": 2, "memberCount": 1}]}


def applications() -> Json:
    """Those of the team."""
    now = datetime.now(UTC).isoformat()
    made = {"id": "app1", "name": "First application", "description": "", "links": {"self": ""}}
    return {"count": 1, "applications": [made | {"createdAt": now, "updatedAt": now}]}


def short(each: Json) -> Json:
    """An instance as the status of the box shows it."""
    meta = each["meta"]
    pids = {"launcher_pid": meta["launcherPid"], "node_red_pid": meta["nodeRedPid"]}
    known = {"id": each["id"], "name": each["name"], "state": meta["state"], "url": each["url"]}
    return known | pids | {"reason": meta["reason"], "message": meta["message"]}


def event(kind: str, data: Any, ident: str) -> bytes:
    """One event of a stream, as it stands on the wire."""
    return f"id: {ident}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()
