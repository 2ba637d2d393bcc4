"""Two instances on an installed box: one whose flows do whatever they are told, and a quiet neighbour."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.system.fresh_box import FreshBox

# POST /run hands its body to a shell, GET /ping answers at once, POST /eat takes memory in Node-RED itself.
_FLOWS: list[dict[str, Any]] = [
    {"id": "t", "type": "tab", "label": "attack"},
    {"id": "in", "type": "http in", "z": "t", "url": "/run", "method": "post", "wires": [["x"]]},
    {
        "id": "x",
        "type": "exec",
        "z": "t",
        "command": "",
        "addpay": "payload",
        "append": "",
        "useSpawn": "false",
        "timer": "90",
        "oldrc": False,
        "wires": [["out"], [], []],
    },
    {"id": "out", "type": "http response", "z": "t", "wires": []},
    {"id": "ping", "type": "http in", "z": "t", "url": "/ping", "method": "get", "wires": [["out"]]},
    {"id": "eat", "type": "http in", "z": "t", "url": "/eat", "method": "post", "wires": [["f"]]},
    {
        "id": "f",
        "type": "function",
        "z": "t",
        "outputs": 1,
        "func": "const kept = context.get('kept') || []; context.set('kept', kept);"
        "const more = () => { kept.push(Buffer.alloc(20 << 20, 1)); setTimeout(more, 5) }; more(); return msg",
        "wires": [["out"]],
    },
]
# Answers of the neighbour, one after the other, in milliseconds; what fails counts as ten seconds.
_TIMES = """
import http.client, json, sys, time
found, end = [], time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    began = time.perf_counter()
    try:
        c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
        c.request("GET", "/ping"); ok = c.getresponse().status == 200; c.close()
    except OSError:
        ok = False
    found.append((time.perf_counter() - began) * 1000 if ok else 10_000)
    time.sleep(0.005)
print(json.dumps(found))
"""


class One(Struct, frozen=True):
    """An instance of the box, as a test speaks of it."""

    name: str
    id: str
    unit: str
    node_red: int
    launcher: int
    public: int


class Neighbours:
    """`attacker` and `quiet`, both running."""

    def __init__(self, machine: FreshBox) -> None:
        self.machine = machine
        flows = json.dumps(_FLOWS)
        machine.run(
            f"printf %s {shlex.quote(flows)} >/root/flows.json; printf %s {shlex.quote(_TIMES)} >/root/times.py"
        )
        for name in ("attacker", "quiet"):
            machine.run(f"weir instance create {name} --flows /root/flows.json --wait --timeout 120")
        self.attacker, self.quiet = self.one("attacker"), self.one("quiet")

    def one(self, name: str) -> One:
        shown = self.weir("instance", "show", name)
        units = self.machine.run("grep -l . /var/lib/weir/launch/*.json").split()
        found = next(file for file in units if shown["id"] in self.machine.run(f"cat {file}"))
        ports = shown["ports"]
        return One(
            name=name,
            id=shown["id"],
            unit=f"weir-launcher@{Path(found).stem}.service",
            node_red=ports["nodeRed"] if "nodeRed" in ports else ports["node_red"],
            launcher=ports["launcher"],
            public=ports["public"],
        )

    def weir(self, *words: str) -> Any:
        """What a command says with --json."""
        return json.loads(self.machine.run(" ".join(map(shlex.quote, ("weir", *words, "--json")))))

    def flow(self, script: str, *, who: One | None = None, timeout_s: float = 100) -> str:
        """What the attacker's flow gets printed by a shell script of its own."""
        to = f"http://127.0.0.1:{(who or self.attacker).node_red}/run"
        head = "-H 'Content-Type: text/plain'"
        return self.machine.run(
            f"printf %s {shlex.quote(script)} | curl -sS -m {timeout_s} {head} --data-binary @- {to}",
            timeout_s=timeout_s + 20,
        )

    def python(self, script: str, *, timeout_s: float = 100) -> Any:
        """What a Python script that the attacker's flow runs prints, as JSON."""
        said = self.flow(f"python3 -c {shlex.quote(script)} 2>&1", timeout_s=timeout_s)
        try:
            return json.loads(said)
        except ValueError as error:
            raise AssertionError(f"the flow's script said: {said!r}") from error

    def shown(self, unit: str, name: str) -> str:
        return self.machine.run(f"systemctl show {unit} -p {name} --value").strip()

    def p99_ms(self, seconds: float = 4) -> float:
        """How long the quiet neighbour takes to answer, but for one in a hundred."""
        times = sorted(json.loads(self.machine.run(f"python3 /root/times.py {self.quiet.node_red} {seconds}")))
        return float(times[int(len(times) * 0.99) - 1])

    def until(self, check: Callable[[], Any], timeout_s: float = 60, what: str = "") -> Any:
        deadline = time.monotonic() + timeout_s
        while True:
            if found := check():
                return found
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
            time.sleep(0.5)

    def answers_within(self, most_ms: float) -> bool:
        """Whether the quiet neighbour does; looked at up to three times, because the machine has other guests."""
        return any(self.p99_ms(3) <= most_ms for _ in range(3))

    def state(self, name: str) -> str:
        return str(self.weir("instance", "show", name)["meta"]["state"])

    def problem(self, key: str) -> dict[str, Any] | None:
        return next((each for each in self.weir("problems") if each["key"] == key), None)
