"""The flows that run during the faults: an echo, a pulse, a talker, and a way to crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Node = dict[str, Any]
Make = Callable[[int], list[Node]]
TAB = "fa00000000000001"


def flows(name: str, pulse_url: str, deploy: int, *, talks: bool = False) -> list[Node]:
    """`deploy` is written into the label of a tab of its own, so that it can be told which deploy is stored."""
    nodes = [
        {"id": TAB, "type": "tab", "label": name},
        {"id": f"fd{deploy:014x}", "type": "tab", "label": f"deploy {deploy}", "info": "x" * (deploy % 997)},
        *_answers("10", "/echo", f'msg.payload = {{instance: "{name}", n: msg.req.query.n}}; return msg;'),
        # Nobody catches this: it ends the process, as a fault in a palette module does.
        *_answers("20", "/crash", "Promise.reject(new Error('crashed on purpose')); return msg;"),
        *_pulse(f"{pulse_url}?instance={name}"),
    ]
    return [*nodes, *_talk()] if talks else nodes


def deployed(nodes: list[Node]) -> int:
    """The number of the deploy that made these flows; 0 for none of ours."""
    labels = [str(node.get("label", "")) for node in nodes if node.get("type") == "tab"]
    numbers = [label.split()[1] for label in labels if label.startswith("deploy ")]
    return int(numbers[0]) if len(numbers) == 1 else 0


def _node(number: str, kind: str, wires: list[list[str]], **rest: Any) -> Node:
    return {"id": _id(number), "type": kind, "z": TAB, "name": "", "x": 100, "y": 100, "wires": wires, **rest}


def _id(number: str) -> str:
    return f"fb{number:0>14}"


def _function(number: str, code: str, wires: list[list[str]]) -> Node:
    rest = {"outputs": 1, "timeout": 0, "noerr": 0, "initialize": "", "finalize": "", "libs": []}
    return _node(number, "function", wires, func=code, **rest)


def _inject(number: str, every_s: str, to: str) -> Node:
    return _node(number, "inject", [[_id(to)]], props=[{"p": "payload"}], repeat=every_s, once=True, onceDelay="0.1",
                 topic="", payload="", payloadType="date")  # fmt: skip


def _answers(number: str, url: str, code: str) -> list[Node]:
    asked, done, answer = number, number + "1", number + "2"
    return [
        _node(asked, "http in", [[_id(done)]], url=url, method="get", upload=False, swaggerDoc=""),
        _function(done, code, [[_id(answer)]]),
        _node(answer, "http response", [], statusCode="", headers={}),
    ]


def _pulse(url: str) -> list[Node]:
    """Twice a second the run of Node-RED says who it is: two at a time would both be heard."""
    code = f"""
        let run = global.get("run");
        if (!run) {{ run = Math.random().toString(36).slice(2); global.set("run", run); }}
        msg.url = "{url}&run=" + run;
        return msg;
    """
    request: Node = {"method": "GET", "ret": "txt", "url": "", "tls": "", "persist": False, "proxy": "", "headers": []}
    request |= {"paytoqs": "ignore", "insecureHTTPParser": False, "authType": "", "senderr": True}
    return [
        _inject("30", "0.5", "301"),
        _function("301", code, [[_id("302")]]),
        _node("302", "http request", [[]], **request),
        _node("303", "catch", [[]], scope=None, uncaught=False),
    ]


def _talk() -> list[Node]:
    code = 'for (let i = 0; i < 40; i++) node.warn("line " + i + " " + "blah ".repeat(i)); return null;'
    return [_inject("40", "0.2", "401"), _function("401", code, [[]])]
