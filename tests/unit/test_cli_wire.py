"""Answers and streams of the box as the clients read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.address import Wanted, find
from tui.errors import Refused, Usage
from tui.wire import SseEvent, SseParser, decode, refusal

STREAM = ': hello\n\nid: 7\nevent: log\ndata: {"a":\ndata: 1}\n\nevent: state\r\ndata: ä\r\n\r\n\nid: 9\n\n'.encode()


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_events_do_not_depend_on_how_the_stream_is_cut(cuts: list[int]) -> None:
    parser, found = SseParser(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in zip(edges, edges[1:], strict=False):
        found += parser.feed(STREAM[start:end])
    assert found == [SseEvent("log", '{"a":\n1}', "7"), SseEvent("state", "ä", "7")]


def test_an_event_without_end_is_refused() -> None:
    parser = SseParser()
    with pytest.raises(Refused, match="8 MB"):
        for _ in range(200):
            parser.feed(b"data: " + b"x" * 65536)


def test_refusal_keeps_the_words_of_the_box() -> None:
    found = refusal(409, b'{"code":"conflict","error":"is there","hint":"Choose another."}')
    assert (found.message, found.code, found.hint, found.passing) == ("is there", "conflict", "Choose another.", False)


def test_refusal_of_something_in_between() -> None:
    found = refusal(502, b"<html>Bad Gateway")
    assert "502" in found.message
    assert found.passing


def test_an_answer_of_another_shape_is_no_trace() -> None:
    with pytest.raises(Refused, match="not understood"):
        decode(b'{"count":"many"}', dict[str, int])


def test_home_of_the_command_line_goes_before_the_environment(tmp_path: Path) -> None:
    found = find(Wanted(home=str(tmp_path)), {"WEIR_HOME": "/elsewhere"})
    assert found.socket == tmp_path / "run" / "api.sock"
    assert find(Wanted(), {"WEIR_HOME": "/elsewhere"}).label == "/elsewhere/run/api.sock"


def test_a_token_comes_from_a_file_only(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("ffpat_x\n")
    for wanted in (Wanted(url="https://b", token=f"@{file}"), Wanted(url="https://b", token_file=str(file))):
        assert find(wanted, {}).token == "ffpat_x"
    assert find(Wanted(url="https://b"), {"WEIR_TOKEN": "ffpat_y"}).token == "ffpat_y"


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(home="/a", url="https://b"),
        Wanted(url="plant.example"),
        Wanted(url="ftp://plant.example"),
        Wanted(url="https://plant:abc"),
        Wanted(url="https://me:secret@plant.example"),
        Wanted(url="https://a b"),
        Wanted(url="https://b", token="ffpat_secret"),
        Wanted(url="https://b", token_file="/does/not/exist"),
    ],
)
def test_wrong_usage(wanted: Wanted) -> None:
    with pytest.raises(Usage):
        find(wanted, {})


def test_a_token_does_not_travel_unencrypted() -> None:
    with pytest.raises(Usage, match="unencrypted"):
        find(Wanted(url="http://plant.example"), {"WEIR_TOKEN": "ffpat_x"})
    assert find(Wanted(url="http://127.0.0.1:3000"), {"WEIR_TOKEN": "ffpat_x"}).token == "ffpat_x"
