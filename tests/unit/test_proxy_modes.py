"""The access modes in nginx's configuration: what listens, what is told to whom who comes to an old address."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.config import Home, Listen
from appliance.errors import Invalid
from appliance.proxy.controller import former_ports
from appliance.proxy.model import Box, Site
from appliance.proxy.render import render
from appliance.system import tls
from appliance.system.access import HOST, PATH, PORT, Access, Former
from appliance.system.tls import AcceptedName

ID = "3b4a5c6d-0000-4000-8000-000000000001"
OTHER = str(uuid.uuid4())
DOMAIN = AcceptedName("plant.example")
OLD = AcceptedName("old.example")
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
SITES = [Site(ID, "Line-1", 10001, 12081, "line-1"), Site(OTHER, "x", 10002, 12082, "x")]
EVERYTHING = Former(ports=True, paths=True, domain=OLD)


def box(mode: str, **changes: Any) -> Box:
    access = Access(mode, 8443, 10000, DOMAIN if mode == HOST else None)
    names = (AcceptedName("plant.example"), AcceptedName("localhost"), AcceptedName("wan.example", 9443))
    return msgspec.structs.replace(Box("/srv/weir", 8443, 8080, names, "abc", access), **changes)


def all_ports(mode: str) -> Box:
    return box(mode, former=EVERYTHING, old_ports=() if mode == PORT else (10001, 10002))


def listens(text: str) -> list[str]:
    return sorted({line.split()[1] for line in text.splitlines() if line.strip().startswith("listen ")})


def test_a_port_for_each_instance() -> None:
    text = render(box(PORT), SITES).text
    assert {"10001", "10002", "8443"} <= set(listens(text))
    assert "moved" not in text and "/i/" not in text


def test_a_name_for_each_instance_on_one_port() -> None:
    text = render(box(HOST), SITES).text
    assert not {"10001", "10002"} & set(listens(text))
    assert 'server_name "line-1.plant.example";' in text
    assert f'"line-1.plant.example:8443" {ID};' in text
    assert 'X-Weir-Platform "https://plant.example:8443";' in text


def test_names_with_an_external_port() -> None:
    access = Access(HOST, 8443, 10000, AcceptedName("plant.example", 443))
    text = render(box(HOST, access=access), SITES).text
    assert f'"line-1.plant.example" {ID};' in text
    assert "line-1.plant.example:8443" not in text


def test_a_path_for_each_instance_on_one_port() -> None:
    text = render(box(PATH), SITES).text
    assert not {"10001", "10002"} & set(listens(text))
    assert "location /i/line-1/ {" in text and "location /i/x/ {" in text
    assert 'proxy_cookie_path "~^/(?!i/line-1(?:/|$))(.*)$" "/i/line-1/$1";' in text
    assert text.count("proxy_hide_header Service-Worker-Allowed;") == 2


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        (PORT, ['"0|line-1.old.example" "https://plant.example:10001";', '"~^/i/x(?:/|$)" "https://$host:10002";']),
        (
            HOST,
            [
                '"0|line-1.old.example" "https://line-1.plant.example:8443";',
                '"~^/i/x(?:/|$)" "https://x.plant.example:8443";',
                '10001 "https://line-1.plant.example:8443";',
                '"~^0\\|[^.|]+\\.plant\\.example$" "https://plant.example:8443";',
            ],
        ),
        (
            PATH,
            [
                '"0|line-1.old.example" "https://plant.example:8443/i/line-1";',
                '10001 "$weir_platform_origin/i/line-1";',
            ],
        ),
    ],
)
def test_old_addresses_lead_to_the_present_ones(mode: str, lines: list[str]) -> None:
    text = render(all_ports(mode), SITES).text
    assert not [line for line in lines if line not in text]
    assert ({"10001", "10002"} <= set(listens(text))) == (mode == PORT or bool(all_ports(mode).old_ports))


@pytest.mark.parametrize("mode", [HOST, PATH])
@pytest.mark.parametrize("name", ["", "Upper", "a b", 'a"', "a;b", "a.b", "a/b", "-a", "a\n", "a$b", "x" * 64])
def test_a_name_that_cannot_be_in_an_address_is_refused(mode: str, name: str) -> None:
    with pytest.raises(Invalid, match="part of an address"):
        render(box(mode), [msgspec.structs.replace(SITES[0], safe_name=name)])


def test_the_platform_may_move_to_a_port_that_was_an_instances() -> None:
    """A note on where an instance went is no reason to refuse the whole configuration."""
    listen = Listen(https=10001, http=10002)
    sites = [*SITES, msgspec.structs.replace(SITES[0], public_port=10003)]
    assert former_ports(sites, listen) == [10003]


def test_old_ports_are_used_once() -> None:
    with pytest.raises(Invalid, match="port 8443"):
        render(box(HOST, old_ports=(8443,)), [msgspec.structs.replace(SITES[0], public_port=8443)])
    assert render(box(HOST), [msgspec.structs.replace(SITES[0], public_port=8443)]), "nothing listens there"


@pytest.mark.real
@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.parametrize("mode", [PORT, HOST, PATH])
def test_nginx_itself_takes_it(tmp_path: Path, mode: str) -> None:
    home = Home(tmp_path)
    for directory in (home.nginx / "tmp", home.logs, home.run):
        directory.mkdir(parents=True, exist_ok=True)
    many = [Site(str(uuid.uuid4()), f"i{n}", 20000 + n, 22000 + n, f"i{n}-{'x' * 50}") for n in range(200)]
    model = msgspec.structs.replace(
        all_ports(mode), home=str(home.root), https_port=18443, http_port=18080, old_ports=tuple(range(20000, 20200))
    )
    model = msgspec.structs.replace(model, old_ports=() if mode == PORT else model.old_ports)
    tls.ensure(home, model.access.certified(model.names, OLD))
    config = home.nginx / "nginx.conf"
    config.write_text(render(model, many).text)
    done = subprocess.run(
        [str(NGINX), "-t", "-q", "-p", str(home.nginx), "-c", str(config), "-e", str(home.logs / "e")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
