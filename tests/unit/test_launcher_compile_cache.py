"""The stack's compile cache is found by instances that have a user of their own."""

from __future__ import annotations

from pathlib import Path

from launcher.compile_cache import usable

USER = 64512  # of an instance in a unit
TAG = "v24.19.0-x64-cf738c9d"


def _stack(directory: Path, user: int) -> Path:
    cache = directory / "compile-cache"
    (cache / f"{TAG}-{user}").mkdir(parents=True)
    (cache / f"{TAG}-{user}" / "0a1b").write_bytes(b"code")
    return cache


def test_one_of_its_own_is_used_as_it_is(tmp_path: Path) -> None:
    cache = _stack(tmp_path, USER)
    assert usable(str(cache), tmp_path / "own", USER) == str(cache)
    assert not (tmp_path / "own").exists()


def test_that_of_another_user_is_found_under_ones_own_number(tmp_path: Path) -> None:
    cache = _stack(tmp_path, 993)
    for _ in range(2):  # the same again changes nothing
        named = Path(usable(str(cache), tmp_path / "own", USER))
        assert [path.name for path in named.iterdir()] == [f"{TAG}-{USER}"]
        assert (named / f"{TAG}-{USER}" / "0a1b").read_bytes() == b"code"


def test_links_of_the_stack_before_are_gone(tmp_path: Path) -> None:
    usable(str(_stack(tmp_path / "old", 993)), tmp_path / "own", USER)
    new = tmp_path / "new" / "compile-cache"
    (new / "v26.1.0-x64-0011aabb-993").mkdir(parents=True)
    named = Path(usable(str(new), tmp_path / "own", USER))
    assert [path.name for path in named.iterdir()] == [f"v26.1.0-x64-0011aabb-{USER}"]


def test_what_a_flow_put_in_its_place_costs_time_and_nothing_else(tmp_path: Path) -> None:
    cache = _stack(tmp_path, 993)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "compile-cache").write_text("no directory")
    assert usable(str(cache), tmp_path / "own", USER) == str(cache)
    assert usable(str(tmp_path / "absent"), tmp_path / "own", USER) == str(tmp_path / "absent")


def test_a_directory_in_place_of_a_link_costs_time_and_nothing_else(tmp_path: Path) -> None:
    cache = _stack(tmp_path, 993)
    (tmp_path / "own" / "compile-cache" / f"{TAG}-{USER}").mkdir(parents=True)
    assert usable(str(cache), tmp_path / "own", USER) == str(cache)
