"""The settings document becomes settings.js; what a template says can't break out of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from launcher.config import Options
from launcher.schema import Settings
from launcher.settings import base_environment, command, render
from tests.support import built_stack

NASTY = 'it\'s "x" </script> \\ ${process.exit(9)} \u2028\u2029 \n \r // */'


def document(settings: dict[str, Any] | None = None, **fields: Any) -> Settings:
    base = {"projectID": "p1", "forgeURL": "https://box.example:8443", "settings": settings or {}}
    return msgspec.convert({**base, **fields}, Settings)


def options(tmp_path: Path, **fields: Any) -> Options:
    plugins = tmp_path / "plug'in\"s"
    base = {
        "instance": "p1",
        "dir": tmp_path,
        "appliance": "http://127.0.0.1:3000",
        "port": 1,
        "node_red_port": 2,
        "node": "/opt/node/bin/node",
        "node_red": "/opt/stack",
        "plugins": plugins,
    }
    return Options(**{**base, **fields})


def evaluated(tmp_path: Path, settings: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What Node.js reads out of settings.js, with stand-ins for the plugins."""
    chosen = options(tmp_path)
    chosen.plugins.mkdir(exist_ok=True)
    for name, content in {
        "boot.js": "exports.boot = () => ({credentialSecret: 'from boot'});",
        "storage.js": "module.exports = {isStorage: true};",
        "auth.js": "exports.adminAuth = (options) => options;",
        "endpoints.js": "exports.protect = (options) => options;",
        "logger.js": "exports.handler = () => () => {};",
        "audit.js": "exports.handler = () => () => {};",
        "broker.js": "exports.links = () => ({projectLink: {broker: {url: 'mqtt://here'}}});",
    }.items():
        (chosen.plugins / name).write_text(content)
    (tmp_path / "settings.js").write_text(render(document(settings, **fields), chosen).settings_js)
    script = (
        "const s = require(process.argv[1]); const h = []; const n = () => {};"
        "s.httpAdminMiddleware({}, {setHeader: (k, v) => h.push(v)}, n);"
        "s.ui.middleware({}, {setHeader: (k, v) => h.push(v)}, n);"
        "s.csp = h; s.handlers = [typeof s.logging.console.handler, typeof s.logging.auditLogger.handler];"
        "process.stdout.write(JSON.stringify(s));"
    )
    done = subprocess.run(
        [built_stack().node, "-e", script, str(tmp_path / "settings.js")], capture_output=True, timeout=20
    )
    assert done.returncode == 0, done.stderr.decode()
    read: dict[str, Any] = json.loads(done.stdout)
    return read


@pytest.mark.real
def test_nothing_breaks_out_of_settings_js(tmp_path: Path) -> None:
    """FlowFuse pasted values into the file: an apostrophe was a syntax error (instance protocol L21)."""
    read = evaluated(
        tmp_path,
        {
            "header": {"title": NASTY, "url": "https://h.example/'\"</script>"},
            "page": {"title": NASTY, "favicon": NASTY},
            "palette": {"catalogue": ["https://c.example/'x'", "javascript:alert(1)"], "denyList": [NASTY]},
            "httpAdminRoot": "/a'b",
            "timeZone": NASTY,
            "codeEditor": NASTY,
            "apiMaxLength": NASTY,
        },
        forgeURL="https://box.example:8443/'; script-src *",
        teamID=NASTY,
        weir={"name": NASTY},
    )
    assert read["editorTheme"]["header"]["title"] == NASTY.replace("<", "&lt;"), "the editor takes it as HTML"
    assert read["editorTheme"]["page"] == {"title": NASTY, "favicon": NASTY}
    assert read["editorTheme"]["palette"]["catalogues"] == ["https://c.example/'x'"]
    assert read["httpAdminRoot"] == "/" and read["apiMaxLength"] == "5mb"
    assert read["flowforge"]["teamID"] == NASTY
    assert read["csp"] == ["frame-ancestors 'self' https://box.example:8443"] * 2


@pytest.mark.real
def test_the_mapping(tmp_path: Path) -> None:
    read = evaluated(
        tmp_path,
        {
            "disableEditor": True,
            "disableTours": True,
            "httpAdminRoot": "/editor/",
            "dashboardUI": "board",
            "dashboardIFrame": True,
            "codeEditor": "ace",
            "theme": "forge-dark",
            "page": {"title": "Line 4"},
            "palette": {
                "allowInstall": False,
                "nodesExcludes": "90-exec.js, 10-file.js",
                "denyList": ["x"],
                "allowList": ["y"],
            },
            "modules": {"allowInstall": False, "denyList": "a, b"},
            "httpNodeAuth": {"type": "basic", "user": "u", "pass": "$2b$08$" + "a" * 53},
            "debugMaxLength": 77,
            "apiMaxLength": "20mb",
            "httpNodeCORS": {"enabled": True, "origin": "https://o.example", "GET": True, "POST": False},
        },
    )
    assert read["disableEditor"] is True and read["editorTheme"]["tours"] is False
    assert read["httpAdminRoot"] == "/editor" and read["adminAuth"]["httpAdminRoot"] == "/editor"
    assert read["httpNodeRoot"] == "/"
    assert read["ui"] == {"path": "/board", "maxHttpBufferSize": 20 * 1024 * 1024}
    assert read["csp"] == ["frame-ancestors 'self' https://box.example:8443", "frame-ancestors *"]
    assert read["editorTheme"]["codeEditor"] == {"lib": "ace"} and "theme" not in read["editorTheme"]
    assert read["nodesExcludes"] == ["90-exec.js", "10-file.js"]
    assert read["externalModules"]["palette"]["allowInstall"] is False
    assert read["externalModules"]["palette"]["allowList"] == ["y"]
    assert read["externalModules"]["modules"]["denyList"] == ["a", "b"]
    assert read["functionExternalModules"] is False
    assert read["httpNodeAuth"]["user"] == "u"
    assert read["httpNodeCors"] == {"origin": "https://o.example", "methods": "GET,PUT,DELETE,PATCH,HEAD"}
    assert (read["debugMaxLength"], read["apiMaxLength"]) == (77, "20mb")
    assert read["credentialSecret"] == "from boot" and read["handlers"] == ["function", "function"]


@pytest.mark.real
def test_an_instance_below_a_path_serves_there(tmp_path: Path) -> None:
    """The document's httpAdminRoot begins with the path; the flows' pages are told apart from it."""
    below = {"httpAdminRoot": "/i/line-1/editor", "httpNodeAuth": {"type": "flowforge-user"}}
    read = evaluated(tmp_path, below, weir={"path": "/i/line-1"})
    assert (read["httpAdminRoot"], read["httpNodeRoot"]) == ("/i/line-1/editor", "/i/line-1")
    assert read["httpNodeAuth"]["httpAdminRoot"] == read["adminAuth"]["httpAdminRoot"] == "/i/line-1/editor"
    assert read["ui"]["path"] == "/ui", "dashboards are below httpNodeRoot by themselves"
    wild = evaluated(tmp_path, {}, weir={"path": "/../x y"})
    assert wild["httpNodeRoot"] == "/"


@pytest.mark.real
def test_values_of_the_wrong_kind_are_as_if_not_given(tmp_path: Path) -> None:
    wrong: dict[str, Any] = dict.fromkeys(
        ("disableEditor", "disableTours", "httpAdminRoot", "dashboardUI", "codeEditor", "page", "header", "timeZone"),
        [1],
    )
    wrong |= {"palette": "x", "modules": 3, "httpNodeAuth": {"type": "basic", "user": "u", "pass": "plain"}}
    wrong |= {"debugMaxLength": True, "apiMaxLength": 5, "httpNodeCORS": []}
    read = evaluated(tmp_path, wrong)
    assert read["disableEditor"] is False and read["debugMaxLength"] == 1000
    assert read["httpNodeAuth"]["type"] == "closed", "nobody gets in, rather than everybody"
    assert "httpNodeCors" not in read


def test_v8_flags_stand_before_the_script(tmp_path: Path) -> None:
    chosen = options(tmp_path, memory_mb=400, compile_cache="/cache")
    argv, env = command(render(document(), chosen), chosen, safe=True)
    assert argv[1] == "--max-old-space-size=300" and argv.index("--require") < argv.index(str(chosen.script))
    assert env["NODE_COMPILE_CACHE"] == "/cache" and env["NODE_RED_ENABLE_SAFE_MODE"] == "true"
    assert (env["WEIR_LISTEN_FD"], env["WEIR_CONTROL_FD"]) == ("3", "4")


def test_memory_of_the_stack_counts_when_nothing_else_is_said(tmp_path: Path) -> None:
    assert render(document(stack={"memory": "256"}), options(tmp_path)).memory_mb == 256
    assert render(document(stack={"memory": "lots"}), options(tmp_path)).memory_mb is None


def test_environment(tmp_path: Path) -> None:
    env = render(
        document(
            {"timeZone": "Europe/Oslo"},
            env={"A": "1", "N": 2, "B C": "x", "WEIR_LISTEN_FD": "9", "NUL": "a\0b", "GONE": None},
        ),
        options(tmp_path),
    ).env
    assert env == {"A": "1", "N": "2", "TZ": "Europe/Oslo"}
    base = base_environment(options(tmp_path), {"PATH": "/bin", "SECRET": "s", "NODE_EXTRA_CA_CERTS": "/ca"}, None)
    assert base["PATH"].endswith("/opt/node/bin:/bin") and "SECRET" not in base
    assert base["NODE_EXTRA_CA_CERTS"] == "/ca"


def test_modules_that_are_not_listed_are_left_alone(tmp_path: Path) -> None:
    assert render(document({"palette": {}}), options(tmp_path)).modules is None
    assert render(document({"palette": {"modules": {}}}), options(tmp_path)).modules == {}


def test_nodes_that_link_instances_find_the_broker_where_there_is_one(tmp_path: Path) -> None:
    """And no password is in the file: it comes from the plugin."""
    with_one = evaluated(tmp_path, {}, features={"projectComms": True})
    assert with_one["flowforge"]["projectLink"] == {"broker": {"url": "mqtt://here"}}
    assert with_one["flowforge"]["projectID"] == "p1"
    for features in ({}, {"projectComms": False}, {"projectComms": "yes"}):
        assert "projectLink" not in evaluated(tmp_path, {}, features=features)["flowforge"]
