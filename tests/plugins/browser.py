"""The login of the editor as a browser walks it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from tests.plugins.harness import NodeRed, jar


class Browser:
    """One person's browser at the editor of one instance."""

    def __init__(self, node_red: NodeRed, user: str) -> None:
        self.node_red = node_red
        self.user = user
        self.token = ""
        self.http = aiohttp.ClientSession(cookie_jar=jar(), timeout=aiohttp.ClientTimeout(40))

    async def close(self) -> None:
        await self.http.close()

    async def begin(self, **headers: str) -> str:
        """Opens the login; where the browser is sent."""
        url = f"{self.node_red.url}/auth/strategy"
        async with self.http.get(url, allow_redirects=False, headers=headers) as answer:
            assert answer.status == 302, await answer.text()
            return answer.headers["Location"]

    async def follow(self, url: str) -> str:
        """Opens `url` without following; where it leads."""
        async with self.http.get(url, allow_redirects=False) as answer:
            assert answer.status == 302, await answer.text()
            return answer.headers["Location"]

    async def login(self) -> str:
        """The whole dance; Node-RED's token for the editor."""
        back = self.node_red.appliance.authorize(await self.begin(), self.user)
        query = parse_qs(urlsplit(await self.follow(back)).query)
        if "access_token" in query:  # Node-RED 4
            self.token = query["access_token"][0].replace(" ", "+")
            return self.token
        form = {"code": query["code"][0].replace(" ", "+")}
        async with self.http.post(f"{self.node_red.url}/auth/token", data=form) as answer:
            assert answer.status == 200, await answer.text()
            self.token = (await answer.json())["accessToken"]
        return self.token

    async def get(self, path: str) -> tuple[int, Any]:
        return await self._call("GET", path, None)

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        return await self._call("POST", path, body)

    async def deploy(self, flows: list[dict[str, Any]], credentials: dict[str, Any] | None = None) -> tuple[int, Any]:
        body: dict[str, Any] = {"flows": flows}
        if credentials is not None:
            body["credentials"] = credentials
        return await self.post("/flows", body)

    async def _call(self, method: str, path: str, body: object) -> tuple[int, Any]:
        headers = {"Node-RED-API-Version": "v2", "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        url = self.node_red.url + path
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()
