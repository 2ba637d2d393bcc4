"""What an audit log's entries speak of: what the platform wrote, and nothing that a flow made up."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.schema.audit import AuditEntry, AuditScope, AuditTrigger
from appliance.services.associations import associations


def entry(event: str, body: dict[str, Any], source: str | None = None) -> AuditEntry:
    scope, trigger = AuditScope(id="p", type="project"), AuditTrigger(id=None, type="system", name="weir")
    return AuditEntry(id="1", created_at="", event=event, scope=scope, trigger=trigger, body=body, source=source)


@pytest.mark.parametrize("source", ["launcher", "node-red", "published"])
def test_a_flow_names_nothing(source: str) -> None:
    body = {"sourceProject": {"id": "../../../evil", "name": "Click here"}}
    assert associations([entry("project.start-failed", body, source)], "https://box")["instances"] == []


def test_what_the_platform_wrote_is_linked_once_by_its_newest_name() -> None:
    log = [entry("project.updated", {"project": {"id": "p", "name": name}}) for name in ("new", "old")]
    (found,) = associations(log, "https://box")["instances"]
    assert found == {"id": "p", "name": "new", "links": {"self": "https://box/api/v1/projects/p"}}
