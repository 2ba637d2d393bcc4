"""The settings document becomes settings.js, an environment, an .npmrc and a list of modules. Pure.

Every value is serialised as JSON and checked by kind; a value of the wrong kind counts as not given. Nothing
secret goes into settings.js: tokens come to our plugins through the control channel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from launcher import __version__
from launcher.config import Options
from launcher.schema import Settings

CATALOGUE = "https://catalogue.nodered.org/catalogue.json"
# What `plugins/library/library.js` is called in the dialogs of the editor.
TEAM_LIBRARY = {
    "id": "weir-team-library",
    "type": "weir-team-library",
    "label": "Team library",
    "icon": "font-awesome/fa-users",
}
_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD")
_ROOT = re.compile(r"(/[0-9A-Za-z_-]+)+")
_SIZE = re.compile(r"(\d{1,6})(kb|mb)", re.IGNORECASE)
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")


class Rendered(Struct, frozen=True):
    """What one start needs of the settings. `npmrc` None: the file is to be absent; `modules`: name to range,
    None where the document does not list any: then what the editor installed is left alone."""

    settings_js: str
    env: dict[str, str]
    npmrc: str | None
    modules: dict[str, str] | None
    admin_root: str  # path of the editor, "" for the root
    memory_mb: int | None
    install_timeout_s: float


def render(document: Settings, options: Options) -> Rendered:
    """Map instance protocol §1.4 onto Node-RED 4.1 and 5."""
    tree = _Tree(document.settings)
    root = _path(tree.text("httpAdminRoot"))
    listed = tree.at("palette.modules", dict, None)
    modules = {name: version for name, version in (listed or {}).items() if isinstance(version, str)}
    return Rendered(
        settings_js=_javascript(_values(document, options, tree, root), document, options, tree, root),
        env=_environment(document, tree),
        npmrc=tree.text("palette.npmrc") or None,
        modules=modules if listed is not None else None,
        admin_root=root,
        memory_mb=_memory(document, options),
        install_timeout_s=_between(document.weir.installTimeout, 10, 7200),
    )


class _Tree:
    """The untyped settings: a missing or mistyped value is the default."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def at(self, path: str, kind: type | tuple[type, ...], default: Any) -> Any:
        value: Any = self._document
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) else default

    def text(self, path: str, default: str = "") -> str:
        return str(self.at(path, str, default))

    def flag(self, path: str, default: bool) -> bool:
        return bool(self.at(path, bool, default))

    def names(self, path: str, default: list[str]) -> list[str]:
        """A list of words, or one text with commas."""
        value = self.at(path, (list, str), None)
        if value is None:
            return default
        words = value.split(",") if isinstance(value, str) else value
        return [word.strip() for word in words if isinstance(word, str) and word.strip()]


def _values(document: Settings, options: Options, tree: _Tree, root: str) -> dict[str, Any]:
    limit = _SIZE.fullmatch(tree.text("apiMaxLength")) or _SIZE.fullmatch("5mb")
    assert limit is not None
    values: dict[str, Any] = {
        "flowFile": "flows.json",  # only a name: the flows are in the appliance's store
        "flowFilePretty": True,
        "uiHost": "127.0.0.1",
        "httpAdminRoot": root or "/",
        "httpNodeRoot": _path(document.weir.path) or "/",
        "disableEditor": tree.flag("disableEditor", False),
        "apiMaxLength": limit[0].lower(),
        "debugMaxLength": tree.at("debugMaxLength", int, 1000),
        "nodesExcludes": tree.names("palette.nodesExcludes", []),
        # A directory of its own: what is beside it are no plugins of Node-RED.
        "nodesDir": [str(options.plugins / "library")],
        # Only the proxy on this machine may say whom it speaks for.
        "httpServerOptions": {"trust proxy": "loopback"},
        # Other instances share our host name, and cookies do not know ports.
        "httpAdminCookieOptions": {"name": f"weir_editor_{document.projectID or options.instance}", "sameSite": "lax"},
        "runtimeState": {"enabled": True, "ui": True},
        # Nothing leaves the box unasked.
        "telemetry": {"enabled": False, "updateNotification": False},
        "functionExternalModules": tree.flag("modules.allowInstall", True),
        "externalModules": _external_modules(tree),
        "editorTheme": _editor_theme(document, tree),
        "ui": {"path": _path(tree.text("dashboardUI")) or "/ui", "maxHttpBufferSize": _bytes(limit)},
        "uibuilder": {"uibRoot": str(options.storage / "uibuilder")},
        "flowforge": {
            "forgeURL": document.forgeURL,
            "teamID": document.teamID,
            "projectID": document.projectID or options.instance,
            "launcherVersion": __version__,
        },
    }
    return values | _cors(tree)


def _external_modules(tree: _Tree) -> dict[str, Any]:
    def part(name: str) -> dict[str, Any]:
        return {
            "allowInstall": tree.flag(f"{name}.allowInstall", True),
            "allowList": tree.names(f"{name}.allowList", ["*"]) or ["*"],
            "denyList": tree.names(f"{name}.denyList", []),
        }

    return {
        "palette": part("palette") | {"allowUpload": False, "allowUpdate": True},
        "modules": part("modules"),
    }


def _editor_theme(document: Settings, tree: _Tree) -> dict[str, Any]:
    """The stock theme whatever is asked for: the reference's themes are part of its own launcher."""
    title = tree.text("header.title") or tree.text("page.title") or document.weir.name or "Node-RED"
    page = {"title": tree.text("page.title") or document.weir.name or "Node-RED"}
    if favicon := tree.text("page.favicon"):
        page["favicon"] = favicon
    # The editor takes this one as HTML, and as nothing else a title is meant.
    header = {"title": title.replace("&", "&amp;").replace("<", "&lt;")}
    if _is_web(url := tree.text("header.url")):
        header["url"] = url
    editor = tree.text("codeEditor")
    return {
        "page": page,
        "header": header,
        "tours": not tree.flag("disableTours", False),
        "projects": {"enabled": False},
        "library": {"sources": [TEAM_LIBRARY]},
        "multiplayer": {"enabled": True},
        "codeEditor": {"lib": editor if editor in ("monaco", "ace") else "monaco"},
        "palette": {"catalogues": [url for url in tree.names("palette.catalogue", [CATALOGUE]) if _is_web(url)]},
        **({"logout": {"redirect": document.forgeURL}} if _is_web(document.forgeURL) else {}),
    }


def _cors(tree: _Tree) -> dict[str, Any]:
    if not tree.flag("httpNodeCORS.enabled", False):
        return {}
    methods = [method for method in _METHODS if tree.flag(f"httpNodeCORS.{method}", True)]
    return {"httpNodeCors": {"origin": tree.text("httpNodeCORS.origin", "*"), "methods": ",".join(methods)}}


def _endpoints(document: Settings, tree: _Tree, root: str) -> str:
    """The line about who may use the flows' pages, empty where everybody may. Node-RED wants a bcrypt hash; without
    one nobody gets in, rather than everybody."""
    user, hashed, kind = (tree.text(f"httpNodeAuth.{key}") for key in ("user", "pass", "type"))
    if not kind:
        return ""
    options = {"type": kind, "httpAdminRoot": root, "forgeURL": document.forgeURL, "path": document.weir.path}
    if kind == "basic":
        options |= {"user": user, "pass": hashed}
    if kind not in ("basic", "flowforge-user") or (kind == "basic" and not (user and _BCRYPT.fullmatch(hashed))):
        options = {"type": "closed", "httpAdminRoot": root}
    return f'    httpNodeAuth: plugin("endpoints.js").protect({_js(options)}),\n'


def _javascript(values: dict[str, Any], document: Settings, options: Options, tree: _Tree, root: str) -> str:
    plugins = str(options.plugins)
    frames = "*" if tree.flag("dashboardIFrame", False) else _ancestors(document)
    auth = {"httpAdminRoot": root, "forgeURL": document.forgeURL, "path": document.weir.path}
    return f"""\
// Written by Weir at every start; changes are lost. No secrets here: plugins get them from their own module.
"use strict";
const plugin = (name) => require({_js(plugins)} + "/" + name);
const frames = (ancestors) => (req, res, next) => {{
    res.setHeader("Content-Security-Policy", "frame-ancestors " + ancestors);
    next();
}};
const values = {_js(values, indent=4)};
values.ui.middleware = frames({_js(frames)});
{_links(document)}\
module.exports = Object.assign(values, {{
    credentialSecret: plugin("boot.js").boot().credentialSecret,
    storageModule: plugin("storage.js"),
    adminAuth: plugin("auth.js").adminAuth({_js(auth)}),
{_endpoints(document, tree, root)}\
    httpAdminMiddleware: frames({_js(_ancestors(document))}),
    logging: {{
        console: {{ level: "info", metrics: false, audit: false, handler: plugin("logger.js").handler }},
        auditLogger: {{ level: "off", metrics: false, audit: true, handler: plugin("audit.js").handler }},
    }},
}});
"""


def _links(document: Settings) -> str:
    """The line that lets nodes which link instances find the message broker; empty where the box has none."""
    if document.features.get("projectComms") is not True:
        return ""
    return 'Object.assign(values.flowforge, plugin("broker.js").links());\n'


def _js(value: Any, indent: int = 0) -> str:
    """A JavaScript literal that no text can break out of, in a script file or in a page."""
    data = msgspec.json.encode(value)
    text = (msgspec.json.format(data, indent=indent) if indent else data).decode()
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("</", "<\\/")


def _environment(document: Settings, tree: _Tree) -> dict[str, str]:
    env = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in document.env.items()
        if _ENV_NAME.fullmatch(name) and not name.startswith("WEIR_") and value is not None
    }
    zone = tree.text("timeZone") or "UTC"
    if _is_zone(zone):
        env.setdefault("TZ", zone)
    return {name: value for name, value in env.items() if "\0" not in value}


def _is_zone(zone: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*", zone))


def _memory(document: Settings, options: Options) -> int | None:
    if options.memory_mb or document.weir.memoryMb:
        return options.memory_mb or document.weir.memoryMb
    memory = document.stack.get("memory")
    return int(memory) if isinstance(memory, str) and re.fullmatch(r"[1-9]\d{0,6}", memory) else None


def _between(value: float, least: float, most: float) -> float:
    return float(min(max(value, least), most))


def _path(text: str) -> str:
    """`/x` without a slash at the end, or nothing."""
    path = "/" + text.strip().strip("/")
    return path if _ROOT.fullmatch(path) else ""


def _bytes(size: re.Match[str]) -> int:
    return int(size[1]) * (1024 if size[2].lower() == "kb" else 1024 * 1024)


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _ancestors(document: Settings) -> str:
    parts = urlsplit(document.forgeURL) if _is_web(document.forgeURL) else None
    origin = f"{parts.scheme}://{parts.netloc}" if parts else ""
    return f"'self' {origin}" if _ORIGIN.fullmatch(origin) else "'self'"


def command(rendered: Rendered, options: Options, safe: bool) -> tuple[list[str], dict[str, str]]:
    """Argument list and environment of Node-RED. V8's flags stand before the script, or V8 never sees them."""
    memory = rendered.memory_mb
    argv = [
        options.node,
        *([f"--max-old-space-size={round(memory * 0.75)}"] if memory else []),
        "--require",
        str(options.plugins / "preload.js"),
        str(options.script),
        *("-u", str(options.dir)),
        *("-s", str(options.dir / "settings.js")),
        *("-p", str(options.node_red_port)),
    ]
    env = {
        **rendered.env,
        "HOME": str(options.dir),
        "WEIR_LISTEN_FD": "3",
        "WEIR_CONTROL_FD": "4",
        **({"NODE_RED_ENABLE_SAFE_MODE": "true"} if safe else {}),
        **({"NODE_COMPILE_CACHE": options.compile_cache} if options.compile_cache else {}),
    }
    return argv, env


def base_environment(options: Options, host: Mapping[str, str], extra_ca: str | None) -> dict[str, str]:
    """What every program of the instance gets. Its own Node.js and npm come first on PATH."""
    search = host.get("PATH") or "/usr/local/bin:/usr/bin:/bin"
    env = {
        "PATH": f"{options.own / 'bin'}:{Path(options.node).parent}:{search}",
        "HOME": str(options.dir),
        "LANG": host.get("LANG") or "C.UTF-8",
    }
    if authority := extra_ca or host.get("NODE_EXTRA_CA_CERTS"):
        env["NODE_EXTRA_CA_CERTS"] = authority
    return env
