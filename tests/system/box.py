"""A whole box on this machine for system tests: started and stopped by the commands a user types."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

ROOT = Path(__file__).resolve().parents[2]
WEIR = Path(sys.executable).with_name("weir")


class Box:
    """`up`, `down`, the command line and the API of one home directory."""

    def __init__(self, home: Path, cache: Path, *, ingress: str = "") -> None:
        """`ingress`: what stands under that heading of config.toml."""
        self.home = home
        self.password = ""
        home.mkdir(parents=True, exist_ok=True)
        for shared in ("stacks", "runtimes"):
            if not (home / shared).exists():
                (home / shared).symlink_to(cache / shared)
        self.password_file = home / "first-password"
        self.password = "correct horse battery 42"
        self.password_file.write_text(self.password)
        self.configure(ingress)

    def configure(self, ingress: str) -> None:
        """From the next start on."""
        login = f'[login]\nadmin_password_file = "{self.password_file}"\n'
        (self.home / "config.toml").write_text(f"{login}[ingress]\n{ingress}\n")
        self._named = "domain" in ingress  # then the box has a name that its instances' names lie below

    def up(self, *arguments: str, timeout_s: float = 120) -> str:
        """`appliance up --detach`; the text it printed."""
        return self._run(
            [sys.executable, "-m", "appliance", "up", "--home", str(self.home), "--detach", *arguments], timeout_s
        ).stdout

    def down(self) -> None:
        self._run([sys.executable, "-m", "appliance", "down", "--home", str(self.home)], 60)

    def cli(self, *arguments: str, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        return self._run([str(WEIR), "--home", str(self.home), *arguments], timeout_s, check=check)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.cli(*arguments, "--json").stdout)

    def status(self) -> Any:
        return self.json("status")

    @property
    def url(self) -> str:
        """The platform in a browser, under the name `localhost` where it has none of its own."""
        return self._local(self.status()["appliance"]["url"])

    def instance(self, name: str) -> Any:
        return self.json("instance", "show", name)

    def instance_url(self, name: str) -> str:
        return self._local(self.instance(name)["url"])

    def _local(self, url: str) -> str:
        return url if self._named else _with_host(url, "localhost")

    def api(self) -> httpx.Client:
        """The API over the box's socket, as the account that runs the box."""
        transport = httpx.HTTPTransport(uds=str(self.home / "run" / "api.sock"))
        return httpx.Client(transport=transport, base_url="http://weir/api/v1", timeout=20)

    @property
    def ca(self) -> str:
        return str(self.home / "tls" / "ca.crt")

    def _run(self, command: list[str], timeout_s: float, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=environment,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done


def _with_host(url: str, host: str) -> str:
    return re.sub(r"^(https?://)[^/:]+(?=[:/]|$)", rf"\g<1>{host}", url)


def editor_token(platform: str, editor: str, username: str, password: str, *, verify: Any = False) -> str:
    """Log in as a browser would and come back with a Node-RED access token of the instance at `editor`.

    Follows every redirect by hand through the login page; raises AssertionError naming the step that failed.
    """
    with httpx.Client(verify=verify, timeout=20, follow_redirects=False) as browser:
        page = browser.get(f"{editor}/auth/strategy", follow_redirects=False)
        assert page.status_code in (302, 303), (
            f"editor did not send us to the login: {page.status_code} {page.text[:300]}"
        )
        answer = _follow(browser, page.headers["location"], stop=editor)
        if "location" not in answer.headers:
            fields = dict(re.findall(r'name="([^"]+)"[^>]*value="([^"]*)"', answer.text))
            action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            assert action, f"no login form: {answer.status_code} {answer.text[:500]}"
            target = str(answer.url.join(action[1].replace("&amp;", "&")))
            answer = browser.post(
                target,
                data={**fields, "username": username, "password": password},
                headers={"Origin": platform, "Sec-Fetch-Site": "same-origin"},
            )
            assert answer.status_code in (302, 303), f"login refused: {answer.status_code} {answer.text[:500]}"
            answer = _follow(browser, str(answer.url.join(answer.headers["location"])), stop=editor)
        back = browser.get(answer.headers["location"])
        assert back.status_code in (302, 303), f"editor refused the code: {back.status_code} {back.text[:300]}"
        query = urlsplit(back.headers["location"]).query
        if given := re.search(r"access_token=([^&]+)", query):  # Node-RED 4 hands it over as it is
            return unquote(given[1])
        code = re.search(r"code=([^&]+)", query)
        assert code, back.headers["location"]
        # Node-RED 5 puts base64 there as it is: '+' means '+'.
        traded = browser.post(f"{editor}/auth/token", json={"code": unquote(code[1])})
        assert traded.status_code == 200, f"editor gave no token: {traded.status_code} {traded.text[:300]}"
        return str(traded.json()["accessToken"])


def _follow(browser: httpx.Client, location: str, *, stop: str) -> httpx.Response:
    """GET along redirects until one points into `stop` (which is not fetched) or a page is shown."""
    for _ in range(8):
        answer = browser.get(location)
        if answer.status_code not in (302, 303):
            return answer
        location = str(answer.url.join(answer.headers["location"]))
        answer.headers["location"] = location
        if location.startswith(stop):
            return answer
    raise AssertionError(f"redirected in circles: {location}")
