"""Where the box and its instances are reached."""

from __future__ import annotations

from collections.abc import Callable

from appliance.errors import Conflict
from appliance.services.context import Context
from appliance.system.access import PATH, access_of, bare

INSTANCES = 1000  # numbers of the port table


class Addresses:
    """By the configuration and the first accepted name of the box, asked anew each time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._listen = context.config.listen
        self._access = access_of(context.config)

    def platform(self) -> str:
        """The platform in a browser, without a slash at the end."""
        return self._context.base_url()

    def appliance(self) -> str:
        """The platform for launchers and plugins, on this box."""
        host = self._listen.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._listen.port}"

    def api(self, path: str) -> str:
        """The `links.self` of a resource."""
        return f"{self.platform()}/api/v1/{path}"

    def host(self, safe_name: str) -> str:
        """The host name of an instance, without a port: its own, else the first accepted name."""
        return self._access.own_host(safe_name) or bare(self._context.names()[0])

    def instance(self, number: int, safe_name: str) -> str:
        """An instance in a browser, without a slash at the end: what its flows' pages begin with."""
        return self._access.bases(self._context.names()[:1], number, safe_name)[0]

    def path(self, safe_name: str) -> str:
        """What all paths of an instance begin with, without a slash at the end; mostly empty."""
        return self._access.path(safe_name)

    def restarts_when_renamed(self) -> bool:
        """Whether an instance serves at a path that is made of its name."""
        return self._access.mode == PATH

    def check_name(self, safe_name: str) -> None:
        """Raises Conflict `invalid_project_name` when the instance's host name would be one of the platform's."""
        own = self._access.own_host(safe_name)
        if own and own in map(bare, self._context.names()):
            raise Conflict(
                f"'{safe_name}' can't be the name of an instance: {own} is the platform itself.",
                code="invalid_project_name",
                hint="Choose another name, for example: line-1.",
            )

    def platform_port(self) -> int:
        """The port that browsers use for the platform."""
        return self._listen.https

    def public(self, number: int) -> int:
        return self._listen.public_base + number

    def node_red(self, number: int) -> int:
        return self._listen.node_red_base + number

    def launcher(self, number: int) -> int:
        return self._listen.launcher_base + number

    def ports(self, number: int) -> tuple[int, int, int]:
        """Public, Node-RED's and the launcher's port of instance `number`."""
        return self.public(number), self.node_red(number), self.launcher(number)


def free_numbers(addresses: Addresses, taken: set[int], probe: Callable[[int], bool], *, most: int) -> list[int]:
    """The lowest numbers that no instance holds and whose three ports nobody listens on. Blocks for the probes."""
    found: list[int] = []
    for number in range(INSTANCES):
        ports = addresses.ports(number)
        if number in taken or max(ports) > 65535 or not all(probe(port) for port in ports):
            continue
        found.append(number)
        if len(found) == most:
            break
    return found
