"""The reference: aiohttp and aiosqlite (WAL, synchronous=FULL) with nothing but the three requests that are compared.

No tokens, no checks, no headers of its own: `python -m bench.bare FILE PORT INSTANCES`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiosqlite
from aiohttp import web


async def serve(file: Path, port: int, instances: int) -> None:
    """For ever."""
    async with aiosqlite.connect(file) as db:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            await db.execute(f"PRAGMA {pragma}")
        await db.execute("CREATE TABLE storage (id TEXT PRIMARY KEY, body BLOB)")
        await db.execute("CREATE TABLE audit (seq INTEGER PRIMARY KEY, id TEXT, body TEXT)")
        await db.executemany("INSERT INTO storage VALUES (?, ?)", [(str(n), b"[]") for n in range(instances)])
        await db.commit()

        async def put(request: web.Request) -> web.Response:
            body = await request.read()
            await db.execute("UPDATE storage SET body=? WHERE id=?", (body, request.match_info["id"]))
            await db.commit()
            return web.Response(body=body, content_type="application/json")

        async def get(request: web.Request) -> web.Response:
            async with db.execute("SELECT body FROM storage WHERE id=?", (request.match_info["id"],)) as found:
                row = await found.fetchone()
            assert row is not None
            return web.Response(body=row[0], content_type="application/json")

        async def note(request: web.Request) -> web.Response:
            body = (await request.read()).decode()
            await db.execute("INSERT INTO audit (id, body) VALUES (?, ?)", (request.match_info["id"], body))
            await db.commit()
            return web.Response()

        app = web.Application()
        app.router.add_post("/storage/{id}/flows", put)
        app.router.add_get("/storage/{id}/flows", get)
        app.router.add_post("/logging/{id}/audit", note)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
