"""Somebody who deploys again and again, and remembers what was acknowledged."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

import httpx


class Deployer(threading.Thread):
    """Deploys a new flow again and again; `acknowledged` is the last number that was answered with success."""

    def __init__(self, editor: str, token: str, first: int) -> None:
        super().__init__(daemon=True)
        self.editor, self.token = editor, token
        self.acknowledged, self.tried = first, first
        self.done = threading.Event()

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Node-RED-Deployment-Type": "full"}
        with httpx.Client(verify=False, timeout=10) as client:
            while not self.done.is_set():
                number = self.tried + 1
                self.tried = number
                flow = [
                    {"id": f"{number:016x}", "type": "tab", "label": f"deploy {number}", "info": "x" * (number % 997)}
                ]
                try:
                    answer = client.post(f"{self.editor}/flows", json=flow, headers=headers)
                except httpx.HTTPError:
                    return
                if answer.status_code in (200, 204):
                    self.acknowledged = number


def origin(url: str, host: str) -> str:
    """`url` under another host name, as browsers write origins."""
    port = urlsplit(url).port
    return f"https://{host}" if port in (None, 443) else f"https://{host}:{port}"
