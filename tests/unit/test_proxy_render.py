"""Values in nginx's configuration are data: nothing in a name, a path or an id is syntax."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.config import Home
from appliance.errors import Invalid
from appliance.proxy import pages
from appliance.proxy.model import Box, Site
from appliance.proxy.render import render
from appliance.proxy.tokens import quote, remark, word
from appliance.system import tls
from appliance.system.access import PORT, Access
from appliance.system.tls import AcceptedName

ID = "3b4a5c6d-0000-4000-8000-000000000001"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")


def box(**changes: Any) -> Box:
    plain = Box("/srv/weir", 8443, 8080, (AcceptedName("localhost"),), "abc", Access(PORT, 8443, 10000))
    return msgspec.structs.replace(plain, **changes)


def site(**changes: Any) -> Site:
    return msgspec.structs.replace(Site(ID, "line", 10001, 12081), **changes)


def directives(text: str) -> list[str]:
    """The configuration without comments and the texts in quotes: what nginx would act on."""
    bare = re.sub(r'#[^\n]*|"(?:[^"\\]|\\.)*"', lambda match: "" if match[0].startswith("#") else '""', text)
    return [line.strip() for line in bare.splitlines() if line.strip()]


@given(st.text(max_size=60))
def test_a_name_of_an_instance_changes_nothing(name: str) -> None:
    assert directives(render(box(), [site(name=name)]).text) == directives(render(box(), [site()]).text)


@pytest.mark.parametrize(
    "name", ["x;\n}}\nserver{listen 1;}", "${x}", '"; include /etc/passwd; #', "\\", "\u2028} {", "x\r}"]
)
def test_breaking_out_of_a_comment(name: str) -> None:
    text = render(box(), [site(name=name)]).text
    assert directives(text) == directives(render(box(), [site()]).text)
    assert "\r" not in text


@given(st.text(alphabet=st.characters(exclude_characters="$", exclude_categories=("Cc", "Cs")), max_size=40))
def test_a_home_with_any_path_is_one_parameter(path: str) -> None:
    assert directives(render(box(home=f"/srv/{path}"), [site()]).text) == directives(render(box(), [site()]).text)


@pytest.mark.parametrize("path", ["/srv/$home", "/srv/a\nb", "/srv/\0", "/srv/\x7f"])
def test_what_nginx_cannot_take_is_refused(path: str) -> None:
    with pytest.raises(Invalid) as caught:
        render(box(home=path), [])
    assert "--home" in caught.value.hint


@pytest.mark.parametrize("name", ["a;b", "a b", 'a"', "a$b", "a{", "a\nb", "a\\", ""])
def test_a_host_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        render(box(names=(AcceptedName(name),)), [])


@pytest.mark.parametrize("name", ["default", "hostnames", "include", "volatile"])
def test_a_host_name_that_is_a_word_of_nginx_is_a_name(name: str) -> None:
    assert f'"{name}" 1;' in render(box(names=(AcceptedName(name),)), []).text


@pytest.mark.parametrize("wrong", ["x", ID.upper(), ID + "/..", "../../etc", ID + "\n"])
def test_an_id_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(Invalid):
        render(box(), [site(instance_id=wrong)])


def test_ports_are_used_once() -> None:
    with pytest.raises(Invalid, match="port 10001"):
        render(box(), [site(), site(instance_id=str(uuid.uuid4()), name="other")])
    with pytest.raises(Invalid, match="the platform"):
        render(box(), [site(public_port=8443)])


def test_same_model_same_text_and_any_change_another_version() -> None:
    first = render(box(), [site()])
    assert render(box(), [site()]) == first
    versions = {
        first.version,
        render(box(), []).version,
        render(box(certificate="def"), [site()]).version,
        render(box(names=()), [site()]).version,
        render(box(http_port=None), [site()]).version,
        render(box(ipv6=False), [site()]).version,
        render(box(), [site(node_red_port=12082)]).version,
    }
    assert len(versions) == 7
    assert f'return 200 "{first.version}"' in first.text


def test_port_443_is_not_written() -> None:
    text = render(box(https_port=443), [site()]).text
    assert '"localhost" "localhost";' in text
    assert 'default "https://$host";' in text


def test_name_twice_with_two_ports() -> None:
    names = (AcceptedName("a.example", 1443), AcceptedName("a.example", 2443), AcceptedName("a.example", 1443))
    text = render(box(names=names), []).text
    assert '"a.example:1443" "a.example:1443";' in text
    assert '"a.example:2443" "a.example:2443";' in text
    assert text.count('"a.example" 1;') == 1
    assert text.count('"a.example" "https://a.example:1443";') == 1


def test_escaping() -> None:
    assert quote('a "b" \\ c') == '"a \\"b\\" \\\\ c"'
    assert word("[::1]") == "[::1]"
    assert "\n" not in remark("a\nb")


@pytest.mark.real
@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=40), folder=st.text(alphabet="ab \"'\\;{}#~é", min_size=1, max_size=12))
def test_nginx_itself_takes_it(tmp_path: Path, name: str, folder: str) -> None:
    home = Home(tmp_path / f"h{folder}")
    for directory in (home.nginx / "tmp", home.logs, home.run):
        directory.mkdir(parents=True, exist_ok=True)
    names = (AcceptedName("localhost"), AcceptedName("::1"), AcceptedName("x" * 63 + ".example", 444))
    tls.ensure(home, names)
    rendered = render(box(home=str(home.root), names=names, https_port=18443, http_port=18080), [site(name=name)])
    config = home.nginx / "nginx.conf"
    config.write_text(rendered.text)
    done = subprocess.run(
        [str(NGINX), "-t", "-q", "-p", str(home.nginx), "-c", str(config), "-e", str(home.logs / "e")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# -- pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["stopped", "starting", "crashed", "suspended", "error", "never heard of"])
def test_page_says_state_and_reason_and_is_right_on_a_phone(tmp_path: Path, state: str) -> None:
    home = Home(tmp_path)
    pages.render_stopped(home, ID, "line-1", state, "port_in_use", "port 12081 is in use by another program")
    text = (home.nginx / "pages" / f"{ID}.html").read_text()
    assert "line-1" in text
    assert f"State: {state}" in text
    assert "port 12081 is in use" in text
    assert 'name="viewport" content="width=device-width' in text
    assert 'http-equiv="refresh"' in text


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50))
@settings(max_examples=50, deadline=None)
def test_page_escapes_everything(name: str, reason: str, message: str) -> None:
    page = pages.Page(title=name, paragraphs=(reason,), evidence=message, notes=(reason,), links=())
    tags = re.findall(r"<[^>]*>", pages.html(page))
    plain = pages.html(pages.Page(title="t", paragraphs=("p",), evidence="e" if message else "", notes=("n",)))
    assert tags == re.findall(r"<[^>]*>", plain)


def test_pages_are_replaced_whole_and_removed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    pages.render_stopped(home, ID, "a", "stopped")
    pages.render_stopped(home, ID, "a", "crashed")
    pages.write_pages(home, "AB:CD", ("box",))
    assert sorted(p.name for p in pages.directory(home).iterdir()) == sorted(
        [f"{ID}.html", "away.html", "ca.html", "gone.html", "platform.html"]
    )
    pages.remove_stopped(home, ID)
    pages.remove_stopped(home, ID)
    assert not (pages.directory(home) / f"{ID}.html").exists()
