"""`weir maintenance|alerts|metrics|wear|ca` as processes, against the appliance's real web part."""

from __future__ import annotations

from pathlib import Path

from appliance.system import tls
from tests.tui.conftest import Weir, loaded, said
from tests.web_box import WebBox
from tui.cli.ca import drawn


async def test_maintenance_is_switched_and_shown_everywhere(real: WebBox, weir: Weir) -> None:
    await real.instance("plant")
    assert "not in maintenance" in await said(weir, "maintenance", "show")
    assert "weir maintenance off" in await said(weir, "maintenance", "on", "--reason", "new \x1b[31mswitch")
    shown = await said(weir, "maintenance", "show")
    assert "MAINTENANCE: new" in shown and "\x1b" not in shown
    assert (await said(weir, "status")).startswith("MAINTENANCE")
    assert "all instances are paused" in await said(weir, "problems")
    refused = await weir("instance", "start", "plant")
    assert refused.code == 1 and "weir maintenance off" in refused.err
    assert (await loaded(weir, "maintenance", "off"))["on"] is False
    assert "MAINTENANCE" not in await said(weir, "status")


async def test_room_is_shown(real: WebBox, weir: Weir) -> None:
    status = await loaded(weir, "status")
    (room,) = status["room"]
    assert f"room for {room['more']} more of type {room['type']}" in await said(weir, "status")


async def test_alerts_that_go_nowhere_say_so(real: WebBox, weir: Weir) -> None:
    assert "Nobody is told" in await said(weir, "alerts", "list")
    refused = await weir("alerts", "test")
    assert refused.code == 1 and "no receiver is configured" in refused.err and "[alerts.mail]" in refused.err


async def test_metrics_and_their_token(real: WebBox, weir: Weir) -> None:
    assert (await said(weir, "metrics", "show")).endswith("# EOF\n")
    token = (await said(weir, "metrics", "token")).strip()
    async with real.client("tcp", token).get("/metrics") as answer:
        assert answer.status == 200
    assert "no longer" in await said(weir, "metrics", "token", "--end")
    async with real.client("tcp", token).get("/metrics") as answer:
        assert answer.status == 401


async def test_wear(real: WebBox, weir: Weir) -> None:
    made = await real.instance("plant")
    real.services.operations.wear.written(made.id, "l", 5 * 2**20)
    assert "plant" in await said(weir, "wear")
    assert (await loaded(weir, "wear"))["instances"][0]["todayBytes"] == 5 * 2**20


async def test_how_to_trust_the_box(real: WebBox, weir: Weir, tmp_path: Path) -> None:
    files = tls.ensure(real.context.home, [tls.AcceptedName("box.test")])
    shown = await said(weir, "ca", "show")
    assert tls.fingerprint(files.ca) in shown and "Android" in shown and "http://box.test/" in shown
    assert (await loaded(weir, "ca", "qr", "192.0.2.7"))["page"] == "http://192.0.2.7/"
    code = await said(weir, "ca", "qr")
    assert "█" in code and "http://box.test/" in code
    plain = await said(weir, "ca", "qr", env={"PYTHONIOENCODING": "ascii", "TERM": "dumb"})
    assert "##" in plain and plain.isascii()
    target = tmp_path / "ca.pem"
    await said(weir, "ca", "save", str(target))
    assert same(target, files.ca)
    assert (await said(weir, "ca", "save", "-")).startswith("-----BEGIN CERTIFICATE-----")
    refused = await weir("ca", "save", str(tmp_path / "none" / "x"))
    assert refused.code == 1 and "can't be written" in refused.err


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def test_the_code_says_the_address() -> None:
    """Read back by its own modules: a quiet border, dark on light whatever the terminal is."""
    code = drawn("http://192.0.2.7:8080/", colours=False, ascii_only=True).splitlines()
    assert len({len(line) for line in code}) == 1 and len(code[0]) == 2 * len(code)
    assert set(code[0] + code[1]) == {"#"}, "the border is light"
    assert drawn("x", colours=True).startswith("\033[97;40m")
