"""A package registry on a loopback port, with tarballs made on the fly and faults to order."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.support import free_port

Files = Mapping[str, str]


def tarball(files: Files) -> bytes:
    """A package as npm packs it: everything below `package/`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            content = text.encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)  # the same bytes each time: their hash is in the manifest


def node_module(name: str, version: str, node_type: str = "", **package: Any) -> Files:
    """A module for the palette (with `node_type`) or for function nodes; `package` goes into its package.json."""
    document: dict[str, Any] = {"name": name, "version": version, "main": "index.js", **package}
    files = {"index.js": f"module.exports = {{ version: {json.dumps(version)} }};\n"}
    if node_type:
        document["node-red"] = {"nodes": {node_type: "node.js"}}
        kind = json.dumps(node_type)
        files["node.js"] = f"module.exports = (R) => R.nodes.registerType({kind}, function (c) {{\n"
        files["node.js"] += "  R.nodes.createNode(this, c); });\n"
        files["node.html"] = (
            f"<script>RED.nodes.registerType({kind}, {{ category: 'function', defaults: {{}} }});</script>"
        )
    return {"package.json": json.dumps(document), **files}


class Registry:
    """`fault` decides how tarballs are answered: "", "hang", "error", "corrupt". `asked` lists the paths asked for."""

    def __init__(self) -> None:
        self.port = free_port()
        self.fault = ""
        self.asked: list[str] = []
        self._packages: dict[str, dict[str, Files]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def npmrc(self) -> str:
        return f"registry={self.url}/\nfetch-retries=0\n"

    def add(self, name: str, version: str, node_type: str = "", **package: Any) -> None:
        """Publish a module; the version published last is `latest`."""
        self._packages.setdefault(name, {})[version] = node_module(name, version, node_type, **package)

    async def open(self) -> None:
        app = web.Application()
        app.router.add_get("/{name:(@[^/]+/)?[^/]+}/-/{file}", self._tarball)
        app.router.add_get("/{name:.+}", self._packument)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _packument(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        name = request.match_info["name"]
        if name not in self._packages:
            return web.json_response({"error": "Not found"}, status=404)
        versions = {version: self._manifest(name, version) for version in self._packages[name]}
        return web.json_response({"name": name, "dist-tags": {"latest": list(versions)[-1]}, "versions": versions})

    def _manifest(self, name: str, version: str) -> dict[str, Any]:
        files = self._packages[name][version]
        digest = base64.b64encode(hashlib.sha512(tarball(files)).digest()).decode()
        url = f"{self.url}/{name}/-/{name.split('/')[-1]}-{version}.tgz"
        document: dict[str, Any] = json.loads(files["package.json"])
        scripts = document.get("scripts") or {}
        has_script = bool({"preinstall", "install", "postinstall"} & set(scripts))
        return {**document, "hasInstallScript": has_script, "dist": {"tarball": url, "integrity": f"sha512-{digest}"}}

    async def _tarball(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.fault == "hang":
            await asyncio.sleep(3600)
        if self.fault == "error":
            return web.Response(status=500)
        name = request.match_info["name"]
        version = request.match_info["file"].removesuffix(".tgz").removeprefix(name.split("/")[-1] + "-")
        content = tarball(self._packages[name][version])
        return web.Response(body=content[: len(content) // 2] if self.fault == "corrupt" else content)


@asynccontextmanager
async def registry() -> AsyncIterator[Registry]:
    """A registry that is up."""
    made = Registry()
    await made.open()
    try:
        yield made
    finally:
        await made.close()
