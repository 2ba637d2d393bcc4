"""What Node-RED says of its flows, when a flow says it too."""

from __future__ import annotations

import msgspec
import pytest

from launcher import flowstate
from launcher.flowstate import FlowState
from tests.support import eventually


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


async def test_stopped_flows_have_a_reason_until_they_start() -> None:
    flows = FlowState(lambda: None)
    assert not flows.running and not flows.reason
    flows.stopped(raw({"reason": "missing-types", "names": ["a", "b"]}))
    assert flows.reason == "missing_types" and flows.message.endswith("not installed: a, b.")
    flows.started(raw(None))
    assert flows.running and not flows.reason and not flows.message
    flows.stopped(raw({"reason": "stopped"}))
    assert flows.reason == "flows_stopped" and not flows.running
    flows.forget()


async def test_what_a_flow_makes_up_stays_in_bounds() -> None:
    flows = FlowState(lambda: None)
    flows.stopped(raw({"reason": "x" * 60_000, "names": []}))
    assert flows.reason == "flows_stopped"
    flows.stopped(raw({"reason": "missing-types", "names": ["{0}" * 1000] * 1000}))
    assert len(flows.message) < 1100 and "and 990 more" in flows.message
    for wrong in (None, 7, {"names": "a"}, {"reason": ["a"]}):
        with pytest.raises(msgspec.DecodeError):
            flows.stopped(raw(wrong))
    flows.forget()


async def test_whoever_listens_is_told_at_a_pace_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flowstate, "PAUSE_S", 0.05)
    told: list[str] = []
    flows = FlowState(lambda: told.append(flows.reason))
    for _ in range(1000):
        flows.stopped(raw({"reason": "stopped"}))
        flows.started(raw(None))
    await eventually(lambda: told == [""])
