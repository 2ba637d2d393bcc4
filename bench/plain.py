"""A plain `node red.js` as the reference every figure is held against."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.model import StackRef

SETTINGS = """module.exports = {
    uiHost: "127.0.0.1", flowFile: "flows.json", telemetry: {enabled: false, updateNotification: false},
};
"""


def flow_of(nodes: int) -> list[dict[str, Any]]:
    """A flow of `nodes` nodes: chains of inject, function, change, debug, as small plants have them."""
    tab = "cc00000000000000"
    flow: list[dict[str, Any]] = [{"id": tab, "type": "tab", "label": "Bench"}]
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("inject", {"props": [{"p": "payload"}], "repeat": "", "payload": "", "payloadType": "date", "topic": ""}),
        ("function", {"func": "return msg;", "outputs": 1}),
        ("change", {"rules": [{"t": "set", "p": "payload", "pt": "msg", "to": "1", "tot": "num"}]}),
        ("debug", {"active": False, "complete": "payload"}),
    ]
    for number in range(nodes):
        kind, extra = kinds[number % 4]
        wires = [[f"cc{number + 1:014x}"]] if number % 4 != 3 else []
        node = {
            "id": f"cc{number:014x}",
            "type": kind,
            "z": tab,
            "name": "",
            "x": 100,
            "y": 40,
            "wires": wires,
            **extra,
        }
        flow.append(node)
    flow[1]["id"] = "cc10000000000000"
    return flow


def answered_at(port: int, deadline_s: float = 60, path: str = "/", every_s: float = 0.005) -> float:
    """The monotonic time at which GET `path` on the loopback port was answered with 200, asked `every_s`."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=deadline_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return time.monotonic()
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(every_s)
    raise TimeoutError(f"port {port} did not answer within {deadline_s} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Plain:
    """One plain Node-RED on a directory of its own."""

    def __init__(self, stack: StackRef, directory: Path, nodes: int) -> None:
        self.stack, self.directory, self.port = stack, directory, free_port()
        directory.mkdir(parents=True)
        (directory / "settings.js").write_text(SETTINGS)
        (directory / "flows.json").write_text(json.dumps(flow_of(nodes)))

    def start_s(self) -> float:
        """Seconds from the start of the process to the first answer of the editor; it is ended afterwards."""
        began = time.monotonic()
        with self.running():
            return answered_at(self.port) - began

    @contextmanager
    def running(self) -> Iterator[int]:
        """Started on entry, which does not wait for an answer; killed on exit. The pid."""
        script = f"{self.stack.node_red}/node_modules/node-red/red.js"
        process = subprocess.Popen(
            [self.stack.node, script, "-u", str(self.directory), "-p", str(self.port)],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(self.directory)},
        )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
