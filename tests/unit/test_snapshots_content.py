"""Export → import of a snapshot is identity, whatever is in it; nothing in a file can be read without its secret."""

from __future__ import annotations

import string
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from appliance.errors import Forbidden, Invalid
from appliance.schema.snapshots import Components, ImportSnapshot
from appliance.services import credentials, snapshot_content, snapshot_file
from appliance.store.snapshots import Content

OWN, GIVEN, ELSEWHERE = "1" * 64, "what was given", "2" * 64
LIMIT = 1_000_000

text = st.text(st.characters(codec="utf-8"), max_size=40)
plain = text.map(lambda words: words.replace("\0", ""))  # what settings and variables may be
json_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
nodes = st.lists(
    st.fixed_dictionaries({"id": text.filter(bool), "type": text}, optional={"x": json_value}),
    max_size=5,
    unique_by=lambda node: node["id"],
)
names = st.text(string.ascii_letters + "_", min_size=1, max_size=12).filter(lambda name: not name.startswith("FF_"))
variables = st.lists(
    st.fixed_dictionaries({"name": names, "value": plain, "hidden": st.booleans()}),
    max_size=5,
    unique_by=lambda entry: entry["name"],
)
modules = st.dictionaries(
    st.text(string.ascii_lowercase, min_size=1, max_size=12), st.sampled_from(["*", "~1.2.3", "^4.0.0"]), max_size=4
)
own_settings = st.fixed_dictionaries(
    {},
    optional={
        "disableEditor": st.booleans(),
        "header": st.fixed_dictionaries({"title": plain}),
        "httpNodeAuth": st.fixed_dictionaries(
            {"type": st.sampled_from(["", "basic"]), "user": plain}, optional={"pass": plain.filter(bool)}
        ),
        "palette": st.fixed_dictionaries({}, optional={"npmrc": text.filter(bool), "allowInstall": st.booleans()}),
        "timeZone": st.sampled_from(["UTC", "Europe/Oslo"]),
    },
)


def captured(flows: Any, secrets: Any, own: Any, listed: Any, env: Any) -> Content:
    sealed = {"$": credentials.encrypt(msgspec.json.encode(secrets), OWN)} if secrets else {}
    values = {**own, "env": env}
    return snapshot_content.capture(msgspec.json.encode(flows), msgspec.json.encode(sealed), values, listed, OWN)


def exported(content: Content, secret: str) -> dict[str, Any]:
    """As the service makes the file; what a client gets, as plain JSON."""
    turned = snapshot_content.rekey(content, OWN, secret)
    file = {
        "name": "it",
        "flows": {"flows": Raw(turned.flows), "credentials": Raw(turned.credentials)},
        "settings": msgspec.to_builtins(snapshot_content.settings_of(turned)),
        "secretCheck": snapshot_content.check_mark(secret),
    }
    return msgspec.json.decode(msgspec.json.encode(file))  # type: ignore[no-any-return]


def taken(file: dict[str, Any], secret: str | None, **parts: Any) -> Content:
    fields = {key: Raw(msgspec.json.encode(value)) for key, value in file.items()}
    body = ImportSnapshot(
        owner_id="x", snapshot=fields, credential_secret=secret, components=Components(**parts) if parts else None
    )
    return snapshot_file.read(body, ELSEWHERE, LIMIT).content


def clear(content: Content, secret: str) -> dict[str, Any]:
    """All that a rollback would write, in clear."""
    sealed = msgspec.json.decode(content.credentials)
    opened = msgspec.json.decode(credentials.decrypt(sealed["$"], secret)) if sealed else {}
    restored = snapshot_content.restored(content, {}, {}, secret)
    return {"flows": msgspec.json.decode(content.flows), "credentials": opened, "settings": restored}


@settings(max_examples=150, deadline=None)
@given(
    nodes, st.dictionaries(text, st.dictionaries(text, text, max_size=2), max_size=3), own_settings, modules, variables
)
def test_export_and_import_is_identity(flows: Any, secrets: Any, own: Any, listed: Any, env: Any) -> None:
    content = captured(flows, secrets, own, listed, env)
    before = clear(content, OWN)
    file = exported(content, GIVEN)
    assert clear(taken(file, GIVEN), ELSEWHERE) == before
    assert before["flows"] == flows and before["credentials"] == secrets
    expected = {entry["name"]: (entry["value"], entry["hidden"]) for entry in env}
    back = {entry["name"]: (entry["value"], entry.get("hidden", False)) for entry in before["settings"].get("env", [])}
    assert back == expected


@settings(max_examples=60, deadline=None)
@given(text.filter(lambda secret: secret not in ("", GIVEN)))
def test_a_wrong_secret_is_always_known(wrong: str) -> None:
    content = captured([], {"n1": {"password": "p"}}, {}, {}, [])
    with pytest.raises(Forbidden) as refused:
        taken(exported(content, GIVEN), wrong)
    assert refused.value.code == "invalid_credentials_secret"


def test_a_wrong_secret_is_known_by_the_mark_where_there_is_nothing_else() -> None:
    content = captured([], {}, {}, {}, [{"name": "A", "value": "x", "hidden": True}])
    with pytest.raises(Forbidden):
        taken(exported(content, GIVEN), "another")


def test_nothing_secret_is_in_a_file_in_clear() -> None:
    own = {
        "httpNodeAuth": {"type": "basic", "user": "u", "pass": "$2b$hash-of-it"},
        "palette": {"npmrc": "//_auth=hunter2"},
    }
    content = captured(
        [], {"n1": {"password": "swordfish"}}, own, {}, [{"name": "KEY", "value": "topsecret", "hidden": True}]
    )
    whole = msgspec.json.encode(exported(content, GIVEN))
    shown = msgspec.json.encode(snapshot_content.settings_of(snapshot_content.without_secrets(content)))
    for secret in (b"hash-of-it", b"hunter2", b"swordfish", b"topsecret"):
        assert secret not in whole and secret not in shown and secret not in msgspec.json.encode(content)
    assert b"KEY" in whole and b"KEY" in shown and b'"$"' not in shown


def test_encrypted_without_a_secret_is_refused_and_can_be_left_out() -> None:
    file = exported(captured([], {"n1": {"a": "b"}}, {}, {}, [{"name": "A", "value": "x", "hidden": True}]), GIVEN)
    with pytest.raises(Invalid) as refused:
        taken(file, None)
    assert refused.value.code == "bad_request" and "credentialSecret" in refused.value.hint
    left = taken(file, None, credentials=False, env_vars="keys")
    assert left.credentials == b"{}" and left.env == {"A": {"hidden": True, "value": ""}}
    nothing = taken(file, None, flows=False, env_vars=False)
    assert nothing.flows == b"[]" and nothing.credentials == b"{}" and nothing.env is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 5}, "name"),
        ({"name": ""}, "1 to 128"),
        ({"name": "a\x00b"}, "1 to 128"),
        ({"flows": []}, "flows"),
        ({"flows": {"flows": {}}}, "flows"),
        ({"flows": {"flows": [5]}}, "flows"),
        ({"flows": {"flows": [{"id": "a"}, {"id": "a"}]}}, "twice"),
        ({"flows": {"flows": [{"type": "no id"}]}}, "id"),
        ({"flows": {"flows": [{"id": "a", "x": "y" * LIMIT}]}}, "at most"),
        ({"flows": {"flows": [], "credentials": []}}, "credentials"),
        ({"settings": []}, "settings"),
        ({"settings": {"env": {"1A": "x"}}}, "variable"),
        ({"settings": {"env": {"A": ["x"]}}}, "no text"),
        ({"settings": {"modules": {"../evil": "1.0.0"}}}, "module"),
        ({"settings": {"modules": {"good": {}}}}, "module"),
        ({"settings": {"settings": {"page": {"title": "x" * 300_000}}}}, "larger"),
        ({"settings": {"settings": {"page": {"title": "x" * 5_000}}}}, "page.title"),
        ({"settings": {"env": {f"A{i}": "" for i in range(501)}}}, "500"),
        ({"settings": {"env": {"A": "x\0y"}}}, "no text"),
        ({"settings": {"settings": {"disableEditor": "yes"}}}, "disableEditor"),
        ({"settings": {"settings": {"apiMaxLength": "5mb; rm"}}}, "apiMaxLength"),
    ],
)
def test_bad_files_are_refused_with_a_reason(change: dict[str, Any], words: str) -> None:
    file = {"name": "it", "flows": {"flows": []}, "settings": {}, **change}
    with pytest.raises(Invalid) as refused:
        taken(file, None)
    assert refused.value.code == "bad_request" and words in refused.value.message, refused.value.message


@pytest.mark.parametrize("part", ["name", "flows", "settings"])
def test_a_file_without_a_part_is_no_snapshot(part: str) -> None:
    file: dict[str, Any] = {"name": "it", "flows": {"flows": []}, "settings": {}}
    del file[part]
    with pytest.raises(Invalid, match=f"no '{part}'"):
        taken(file, None)


def test_deep_nesting_is_refused() -> None:
    deep = b"[" * 10_000 + b"]" * 10_000
    for part in ("flows", "settings"):
        fields = {"name": Raw(b'"it"'), "flows": Raw(b'{"flows":[]}'), "settings": Raw(b"{}")}
        fields[part] = Raw(b'{"flows":[{"id":"a","x":' + deep + b'}],"settings":{"page":' + deep + b"}}")
        with pytest.raises(Invalid) as refused:
            snapshot_file.read(ImportSnapshot(owner_id="x", snapshot=fields), OWN, LIMIT)
        assert refused.value.code == "bad_request"


def test_files_of_others_come_in_clear_and_with_more_in_them() -> None:
    file = {
        "id": "abc",
        "name": "theirs",
        "flows": {"flows": [{"id": "n1", "type": "http request"}], "credentials": {"n1": {"user": "u"}}},
        "settings": {
            "settings": {"httpNodeAuth": {"type": "basic", "user": "u", "pass": True}, "unknown": 1},
            "env": {"PLAIN": "p", "SHY": {"hidden": True, "value": "s"}, "FF_INSTANCE_ID": "x", "N": 5},
            "modules": {"node-red": "4.1.0", "node-red-contrib-x": "~1.0.0"},
        },
    }
    content = taken(file, None)
    known = clear(content, ELSEWHERE)
    assert known["credentials"] == {"n1": {"user": "u"}} and content.modules == {"node-red-contrib-x": "~1.0.0"}
    assert known["settings"]["env"] == [
        {"name": "PLAIN", "value": "p"},
        {"name": "SHY", "value": "s", "hidden": True},
        {"name": "N", "value": "5"},
    ]
    assert known["settings"]["httpNodeAuth"] == {"type": "basic", "user": "u"} and "unknown" not in known["settings"]
    assert b"SHY" in msgspec.json.encode(content.env) and b'"s"' not in msgspec.json.encode(content.env)


def test_a_rollback_keeps_what_is_locked_and_what_the_snapshot_does_not_say() -> None:
    then = {"theme": "a", "page": {"title": "then"}, "palette": {"modules": [{"name": "m", "version": "1.0.0"}]}}
    content = captured([], {}, then, None, [{"name": "A", "value": "then", "hidden": False}])
    now = {"theme": "b", "page": {"title": "now"}, "env": [{"name": "B", "value": "now"}]}
    policy = {"page": {"title": False}, "palette": {"modules": False}}
    after = snapshot_content.restored(content, now, policy, OWN)
    assert (
        after["theme"] == "a" and after["page"] == {"title": "now"} and after["env"] == [{"name": "A", "value": "then"}]
    )
    assert after.get("palette", {}).get("modules", []) == []
    silent = msgspec.structs.replace(content, settings=None, env=None, modules=None)
    assert snapshot_content.restored(silent, now, {}, OWN) == now


def test_hidden_values_known_by_name_only_stay_as_they_are() -> None:
    content = Content(b"[]", b"{}", None, {"A": {"hidden": True, "value": ""}}, None)
    now = {"env": [{"name": "A", "value": "secret", "hidden": True}]}
    assert snapshot_content.restored(content, now, {}, OWN) == now
