"""What nginx is told, as data. Pure."""

from __future__ import annotations

from msgspec import Struct

from appliance.system.access import Access, Former
from appliance.system.tls import AcceptedName


class Box(Struct, frozen=True):
    """The box's own side of the configuration. Paths are absolute.

    `names` are accepted in the Host header; their ports are the platform's as browsers see it (None: `https_port`).
    `certificate` is the fingerprint of the leaf in use, so that a renewed one is a changed configuration.
    """

    home: str
    https_port: int
    http_port: int | None  # None: the port is taken by somebody else, so there is no CA page
    names: tuple[AcceptedName, ...]
    certificate: str
    access: Access
    former: Former = Former()
    old_ports: tuple[int, ...] = ()  # of instances in the access mode `port`, where people are told of the present one
    user: str = ""  # account of the workers; only root may choose one
    ipv6: bool = True
    workers: int = 1
    connections: int = 1024
    messages: Messages | None = None


class Messages(Struct, frozen=True):
    """The message broker as nginx sees it: its ports on loopback, and the one for programs elsewhere (0: none).
    `module`: a file that nginx has to load for that."""

    port: int
    websocket_port: int
    tls_port: int
    module: str = ""


class Site(Struct, frozen=True):
    """One instance as nginx sees it. `name` is shown to people and is data: nothing in it is trusted. `safe_name` is
    what a host name or a path is made of; it may be empty in the access mode `port`."""

    instance_id: str
    name: str
    public_port: int
    node_red_port: int
    safe_name: str = ""


class ProxyStatus(Struct, frozen=True):
    """What the proxy does now. `version` is the configuration that nginx answered with; empty before the first."""

    running: bool
    pid: int | None
    version: str
    sites: int
    message: str = ""  # why the wanted configuration is not the one in use
