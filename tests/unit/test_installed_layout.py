"""The box that `install.sh` makes: where its parts are, and that each is told so by one place."""

from __future__ import annotations

import configparser
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from appliance import ports
from appliance.config import INSTALLED, Config, Home
from appliance.proxy.model import Box
from appliance.proxy.render import render
from appliance.services.maintenance import flag
from appliance.system.access import access_of
from appliance.system.inherited import inherited
from appliance.system.tls import AcceptedName
from tests.support import ROOT, free_port

SYSTEMD = ROOT / "systemd"


def test_the_installed_box_keeps_what_a_boot_empties_and_what_root_writes_elsewhere(tmp_path: Path) -> None:
    box, other = Home(INSTALLED), Home(tmp_path)
    assert (box.installed, other.installed) == (True, False)
    assert box.api_socket == Path("/run/weir/api.sock") and other.api_socket == tmp_path / "run" / "api.sock"
    assert box.web_socket == Path("/run/weir/web.sock")
    assert box.config_file == Path("/etc/weir/config.toml") and other.config_file == tmp_path / "config.toml"
    assert box.database == INSTALLED / "state" / "weir.db"
    for path in (box.nginx_socket, box.nginx_log, box.nginx_scratch, box.nginx_pid):
        assert path.parent == Path("/run/weir-nginx"), "in the one directory that nginx's account writes"
    assert other.nginx_socket == tmp_path / "run" / "nginx.sock" and other.nginx_log == tmp_path / "logs" / "nginx.log"


def test_nginx_is_told_of_the_same_places() -> None:
    box = Box(
        home=str(INSTALLED),
        https_port=443,
        http_port=80,
        names=(AcceptedName("plant.example"),),
        certificate="0" * 32,
        access=access_of(Config()),
    )
    text = render(box, []).text
    assert "unix:/run/weir/web.sock" in text and "unix:/run/weir-nginx/nginx.sock" in text
    assert set(re.findall(r"/var/lib/weir/\w+", text)) == {f"{INSTALLED}/{name}" for name in ("nginx", "tls")}


def test_an_installed_box_takes_the_ports_of_its_configuration() -> None:
    def taken(_: int) -> bool:
        return False

    config = Config()
    assert ports.settle(Home(INSTALLED), config, free=taken) is config, "systemd holds some of them already"


def test_sockets_of_systemd_are_known_by_their_address_and_taken_once(tmp_path: Path) -> None:
    given = {"LISTEN_PID": "1", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}
    assert inherited(given).take("127.0.0.1:3000") is None, "it was meant for another process"
    assert given == {}, "and no child takes them for its own"
    assert inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"}).take("") is None


def test_a_started_program_finds_its_sockets(tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "api.sock"
    code = (
        "import os, sys; from appliance.system.inherited import inherited; os.environ['LISTEN_PID'] = str(os.getpid());"
        "found = inherited(os.environ); taken = found.take(sys.argv[1]);"
        "print(taken.getsockname(), taken.get_inheritable());"
        "print(found.take(sys.argv[1]), 'LISTEN_FDS' in os.environ); found.close_rest();"
        "print(os.path.exists('/proc/self/fd/4'))"
    )
    with socket.socket(socket.AF_UNIX) as first, socket.create_server(("127.0.0.1", port)) as second:
        first.bind(str(path))
        first.listen()
        shell = f'exec "$0" -c "$1" "$2" 3<&{first.fileno()} 4<&{second.fileno()}'
        done = subprocess.run(
            ["bash", "-c", shell, str(ROOT / ".venv/bin/python"), code, str(path)],
            env={**os.environ, "LISTEN_FDS": "2", "PYTHONPATH": str(ROOT)},
            pass_fds=(first.fileno(), second.fileno()),
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.stdout.splitlines() == [f"{path} False", "None False", "False"], done.stderr


# -- files of the system -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", sorted(SYSTEMD.glob("*.service")), ids=lambda path: path.name)
def test_no_unit_of_weir_runs_more_as_root_than_it_must(unit: Path) -> None:
    text = unit.read_text()
    assert "NoNewPrivileges=yes" in text and "RestrictNamespaces=yes" in text and "LockPersonality=yes" in text
    if not re.search(r"^(User|DynamicUser)=", text, re.MULTILINE):
        assert re.search(r"^# .*[Rr]oot", text, re.MULTILINE), "root has to be given a reason"


@pytest.mark.parametrize("unit", sorted(SYSTEMD.glob("*.socket")), ids=lambda path: path.name)
def test_no_account_can_swap_a_socket_that_root_gives_away(unit: Path) -> None:
    """systemd follows links when it changes the owner of a socket that it has just made."""
    rules = (SYSTEMD / "weir.tmpfiles").read_text()
    for path in re.findall(r"^ListenStream=(/.*)$", unit.read_text(), re.MULTILINE):
        directory = str(Path(path).parent)
        assert directory == "/run" or f"\nd {directory} 1775 root _weir -\n" in rules
        name = directory.removeprefix("/run/")
        for service in SYSTEMD.glob("*.service"):
            assert f"\nRuntimeDirectory={name}\n" not in service.read_text(), service.name


def generated(root: Path, names: list[str]) -> set[str]:
    """What the generator made of these names of records."""
    launch, out = root / "launch", root / "out"
    launch.mkdir()
    for name in names:
        (launch / name).touch()
    script = (SYSTEMD / "weir-generator").read_text().replace("/var/lib/weir/", f"{root}/")
    subprocess.run(["sh", "-c", script, "sh", str(out)], check=True, timeout=10)
    return {path.name for path in out.rglob("*.service")}


def test_the_generator_starts_what_was_up_and_believes_no_name(tmp_path: Path) -> None:
    good = "6vpd3wn75zdirjmuwzeuzajgom"
    hostile = [
        "x.json",
        "$(reboot).json",
        "a b.json",
        f"{good}.json.json",
        f"{good.upper()}.json",
        f"-{good}.json",
        "\n.json",
    ]
    assert generated(tmp_path, [f"{good}.json", *hostile]) == {f"weir-launcher@{good}.service"}


def test_the_generator_leaves_instances_alone_in_maintenance(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    flag(Home(tmp_path)).touch()
    assert generated(tmp_path, ["6vpd3wn75zdirjmuwzeuzajgom.json"]) == set()


def test_the_generator_is_content_without_any(tmp_path: Path) -> None:
    assert generated(tmp_path, []) == set()


# -- the installer -------------------------------------------------------------------------------------------------


def test_the_installer_explains_itself_and_refuses_what_it_does_not_know() -> None:
    script = str(ROOT / "install.sh")
    for part in (script, *map(str, (SYSTEMD / "install").glob("*.sh"))):
        subprocess.run(["bash", "-n", part], check=True, timeout=10)
    said = subprocess.run(["bash", script, "--help"], capture_output=True, text=True, timeout=10, check=True).stdout
    for option in ("--answers", "--offline", "--dry-run", "--uninstall", "--purge"):
        assert option in said
    wrong = subprocess.run(["bash", script, "--fly"], capture_output=True, text=True, timeout=10, check=False)
    assert wrong.returncode == 2 and "Usage" in wrong.stderr


def places_of(watchdog: str = "/dev/watchdog") -> dict[str, str]:
    """How and where each file for the system is placed, on a machine whose watchdog would be that."""
    script = (SYSTEMD / "install" / "files.sh").read_text()
    function = script[script.index("place_of() {") : script.index("system_files() {")]
    assert function.count("/dev/watchdog ") == 1
    function = function.replace("/dev/watchdog ", f"{watchdog} ")
    ask = f'UNITS=/u\n{function}\nfor f in "$@"; do printf "%s %s\\n" "${{f##*/}}" "$(place_of "$f")"; done'
    files = [str(path) for path in SYSTEMD.iterdir() if path.is_file()]
    said = subprocess.run(["bash", "-c", ask, "-", *files], capture_output=True, text=True, timeout=10, check=True)
    return dict(line.split(" ", 1) for line in said.stdout.splitlines())


def test_a_watchdog_is_fed_where_there_is_one(tmp_path: Path) -> None:
    name = "50-weir-watchdog.conf"
    assert places_of(f"{tmp_path}/none")[name] == ""
    (tmp_path / "watchdog").touch()
    assert places_of(f"{tmp_path}/watchdog")[name] == f"copy /etc/systemd/system.conf.d/{name}"
    known = configparser.ConfigParser()
    known.read(SYSTEMD / name)
    assert dict(known["Manager"]) == {"runtimewatchdogsec": "14s", "rebootwatchdogsec": "5min"}


def test_every_file_for_the_system_has_a_place() -> None:
    places = places_of()
    assert places["weir.service"] == "link /u/weir.service"
    assert places["50-weir.rules"] == "copy /etc/polkit-1/rules.d/50-weir.rules"
    assert places["weir-generator"] == "link /etc/systemd/system-generators/weir-generator"
    assert {name for name, place in places.items() if not place} <= {
        "config.toml",
        "weir_keys.py",
        "50-weir-watchdog.conf",
    }
    taken = [place for place in places.values() if place]
    assert len(taken) == len(set(taken)), "no two files for one place"
