"""What the broker is told, as data. Pure."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Right(StrEnum):
    """What a rule allows, in the words of Mosquitto's dynamic security."""

    PUBLISH = "publishClientSend"
    RECEIVE = "publishClientReceive"
    SUBSCRIBE = "subscribePattern"  # every filter that the topic covers
    SUBSCRIBE_LITERAL = "subscribeLiteral"  # this very filter


class Rule(Struct, frozen=True, order=True):
    """One thing that is allowed; what no rule allows is refused."""

    right: Right
    topic: str


class Client(Struct, frozen=True):
    """Somebody who may log in. `mark` names the password without telling it: another mark, another password."""

    username: str
    password: str
    mark: str
    rules: tuple[Rule, ...]


class Settings(Struct, frozen=True):
    """What Mosquitto's own configuration is made of. Paths are absolute; `user` only where root starts it; a port that
    is 0 has no listener."""

    plugin: str
    security: str
    control: str
    port: int
    websocket_port: int
    user: str = ""


class Running(Struct, frozen=True):
    """What the running broker says of itself: the versions it was last given."""

    config: str
    clients: str


class BrokerStatus(Struct, frozen=True):
    """What the broker does now. `config` is the version it answered with; empty before the first answer."""

    running: bool
    pid: int | None
    config: str
    clients: int
    connected: int | None  # of these and others; None while it did not say
    message: str = ""  # why what is wanted is not in use
