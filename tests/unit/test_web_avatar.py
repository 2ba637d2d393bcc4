"""The picture at the address that the API gives for a user."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from appliance.services.people import avatar
from tests.web_box import WebBox


@pytest.mark.parametrize(
    ("name", "initials"), [("Ada King Lovelace", "AL"), ("ada", "A"), ("<b> &", "&lt;&amp;"), ("", "")]
)
async def test_initials_for_any_name(box: WebBox, name: str, initials: str) -> None:
    async with box.client("web").get(urlsplit(avatar(name, "https://box.test")).path) as answer:
        if not name:
            assert answer.status == 404
            return
        assert answer.status == 200 and answer.headers["Content-Type"] == "image/svg+xml"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert f">{initials}</text>" in await answer.text()


async def test_what_is_no_name_is_not_there(box: WebBox) -> None:
    async with box.client("web").get("/avatar/%FF%FE") as answer:
        assert answer.status == 404
