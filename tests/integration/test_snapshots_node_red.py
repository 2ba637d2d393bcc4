"""Credentials of a snapshot, encrypted anew by us, opened by Node-RED's own code; and the other way round."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from appliance.errors import Forbidden
from appliance.schema.snapshots import ImportSnapshot
from appliance.services import credentials, snapshot_content, snapshot_file
from appliance.store.snapshots import Content
from tests.support import built_stack

# Node-RED's runtime keeps credentials in this module; it needs no editor and no flows.
SCRIPT = """
const [, , dir, given] = process.argv;
const paths = [dir + "/node_modules/node-red"];
const module_ = require(require.resolve("@node-red/runtime/lib/nodes/credentials.js", { paths }));
const { secret, sealed, add } = JSON.parse(given);
const log = { warn() {}, debug() {}, trace() {}, error() {}, info() {}, _: (text) => text };
const store = {};
const settings = {
    available: () => true,
    get: (key) => (key === "credentialSecret" ? secret : store[key]),
    set: async (key, value) => { store[key] = value; },
    delete: async (key) => { delete store[key]; },
};
module_.init({ settings, log, nodes: {} });
(async () => {
    await module_.load(sealed);
    for (const [id, value] of Object.entries(add ?? {})) { await module_.add(id, value); }
    if (add) { module_.dirty(); }
    const known = Object.fromEntries(["n1", "n2"].map((id) => [id, module_.get(id) ?? null]));
    const exported = add ? await module_.export() : null;
    console.log(JSON.stringify({ known, exported }));
})().catch((error) => { console.log(JSON.stringify({ error: error.code ?? String(error) })); });
"""
pytestmark = pytest.mark.real


def node_red(tmp_path: Path, secret: str, sealed: Any, add: Any = None) -> Any:
    stack = built_stack()
    script = tmp_path / "open.js"
    script.write_text(SCRIPT)
    given = json.dumps({"secret": secret, "sealed": sealed, "add": add})
    done = subprocess.run(
        [stack.node, str(script), stack.node_red, given], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def test_node_red_opens_what_was_exported_and_what_was_imported(tmp_path: Path) -> None:
    secrets = {"n1": {"password": "swördfish \U0001f41f"}, "n2": {"token": "t" * 5000}}
    own, travel, other = credentials.new_secret(), "travelling", credentials.new_secret()
    sealed = node_red(tmp_path, own, {}, add=secrets)["exported"]
    assert set(sealed) == {"$"}
    content = Content(b'[{"id":"n1"}]', msgspec.json.encode(sealed), {}, {}, {})
    file = snapshot_content.rekey(content, own, travel)
    assert node_red(tmp_path, travel, msgspec.json.decode(file.credentials))["known"] == secrets
    fields = {
        "name": Raw(b'"it"'),
        "flows": Raw(b'{"flows":[],"credentials":' + file.credentials + b"}"),
        "settings": Raw(b"{}"),
    }
    came = snapshot_file.read(ImportSnapshot(owner_id="x", snapshot=fields, credential_secret=travel), other, 100_000)
    assert node_red(tmp_path, other, msgspec.json.decode(came.content.credentials))["known"] == secrets
    assert node_red(tmp_path, own, msgspec.json.decode(came.content.credentials)) != {"known": secrets}
    with pytest.raises(Forbidden):
        snapshot_file.read(ImportSnapshot(owner_id="x", snapshot=fields, credential_secret="no"), other, 100_000)
