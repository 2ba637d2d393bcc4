"""Snapshots over the web part: what a client may send, and what it is told; nothing is written by what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.web_box import API, WebBox, web_box

FILE: dict[str, Any] = {"name": "it", "flows": {"flows": [{"id": "a", "type": "tab"}]}, "settings": {}}
SEALED = {"name": "it", "flows": {"flows": [], "credentials": {"$": "0" * 32 + "AAAA"}}, "settings": {}}


async def send(box: WebBox, path: str, body: bytes, kind: str = "application/json") -> tuple[int, Any]:
    headers = {"Content-Type": kind}
    async with box.client("api").post(f"{API}{path}", data=io.BytesIO(body), headers=headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text else None


def file(instance_id: str, **fields: Any) -> bytes:
    return json.dumps({"ownerId": instance_id, "ownerType": "instance", "snapshot": FILE, **fields}).encode()


async def test_bad_input_is_refused_with_the_codes_of_the_reference_and_nothing_is_written(home: Path) -> None:
    async with web_box(home) as box:
        made = await box.instance("line-1")
        deep = b'{"ownerId":"%s","snapshot":{"name":"x","flows":%s}}' % (
            made.id.encode(),
            b"[" * 10_000 + b"]" * 10_000,
        )
        cases: list[tuple[bytes, str, int, str]] = [
            (b"", "application/json", 400, "invalid_request"),
            (b"[]", "application/json", 400, "invalid_request"),
            (b"{", "application/json", 400, "invalid_request"),
            (deep, "application/json", 400, ""),
            (file(made.id), "text/plain", 415, ""),
            (file("nowhere"), "application/json", 404, "not_found"),
            (file(made.id, ownerType="device"), "application/json", 400, "bad_request"),
            (file(made.id, snapshot=[]), "application/json", 400, "invalid_request"),
            (file(made.id, snapshot={}), "application/json", 400, "bad_request"),
            (file(made.id, snapshot=SEALED), "application/json", 400, "bad_request"),
            (
                file(made.id, snapshot=SEALED, credentialSecret="x"),
                "application/json",
                403,
                "invalid_credentials_secret",
            ),
            (file(made.id, components={"envVars": "some"}), "application/json", 400, "invalid_request"),
            (b" " * (24 * 1024 * 1024 + 1), "application/json", 413, ""),
        ]
        for body, kind, status, code in cases:
            answer = await send(box, "/snapshots/import", body, kind)
            assert answer[0] == status and answer[1]["code"] == (code or answer[1]["code"]), (body[:80], answer)
        rollback = f"/projects/{made.id}/actions/rollback"
        assert (await send(box, rollback, b'{"snapshot":"nowhere"}'))[1]["code"] == "invalid_snapshot"
        assert (await send(box, rollback, b"{}"))[0] == 400
        assert (await box.services.snapshots.list(made.id)).count == 0


@pytest.mark.parametrize("more", [{}, {"unknown": 1, "credentialSecret": None, "components": None}])
async def test_what_the_reference_knows_is_taken(home: Path, more: dict[str, Any]) -> None:
    async with web_box(home) as box:
        made = await box.instance("line-1")
        status, came = await send(box, "/snapshots/import", file(made.id, **more))
        assert status == 200 and came["ownerType"] == "instance" and came["projectId"] == made.id
        status, exported = await send(box, f"/snapshots/{came['id']}/export", b'{"credentialSecret":"x"}')
        assert status == 200 and exported["flows"] == FILE["flows"]
        assert exported["settings"] == {"settings": {}, "env": {}, "modules": {}}
        status, refused = await send(box, f"/projects/{made.id}/snapshots/{came['id']}/export", b"{}")
        assert (status, refused["code"]) == (400, "bad_request")
        assert (
            await send(box, f"/projects/{made.id}/actions/rollback", json.dumps({"snapshot": came["id"]}).encode())
        ) == (
            200,
            {"status": "okay"},
        )
        assert await box.services.storage.get(made.id, "flows") == json.dumps(FILE["flows"]["flows"]).encode()
