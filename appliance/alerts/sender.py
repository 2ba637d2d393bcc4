"""Starts the program that sends, and waits for it."""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from appliance.alerts.message import Digest
from appliance.config import Alerts, Mail, Mqtt, Webhook
from appliance.errors import Invalid, Unavailable
from appliance.system.ending import ended

DEADLINE_S = 60.0
SAID_BYTES = 4096
PATH = "/usr/bin:/bin"


class Way(Struct, frozen=True):
    """A way to tell people; `name` is shown, and holds no secret."""

    name: str
    webhook: Webhook | None = None
    mail: Mail | None = None
    mqtt: Mqtt | None = None


def ways(config: Alerts) -> tuple[Way, ...]:
    """Those that are configured. Raises Invalid naming the key and what is wrong with it."""
    found = [Way(_checked_url(each), webhook=each) for each in config.webhook]
    if config.mail.host:
        _check_mail(config.mail)
        found.append(Way(f"mail {config.mail.host}", mail=config.mail))
    if config.mqtt.host:
        _check_topic(config.mqtt)
        found.append(Way(f"mqtt {config.mqtt.host}", mqtt=config.mqtt))
    return tuple(
        Way(f"{way.name} ({at})", way.webhook, way.mail, way.mqtt) if _again(found, at) else way
        for at, way in enumerate(found, 1)
    )


async def send(way: Way, digest: Digest, *, deadline_s: float = DEADLINE_S) -> None:
    """Hand it over. Raises Unavailable with the reason; nothing is left running."""
    order = {"digest": digest, "webhook": way.webhook, "mail": way.mail, "mqtt": way.mqtt}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "appliance.alerts"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": PATH, "LANG": "C.UTF-8"},
    )
    try:
        async with asyncio.timeout(deadline_s):
            said, _ = await process.communicate(msgspec.json.encode(order))
    except TimeoutError as error:
        raise Unavailable(f"{way.name}: no answer within {deadline_s:.0f} s") from error
    finally:
        await ended(process)
    if process.returncode != 0:
        raise _failure(way, said[:SAID_BYTES])


def _failure(way: Way, said: bytes) -> Unavailable:
    try:
        told = msgspec.json.decode(said, type=dict[str, str])
    except (msgspec.DecodeError, msgspec.ValidationError):
        told = {}
    error = told.get("error") or "the program that sends ended without a word"
    return Unavailable(f"{way.name}: {error}", code=told.get("code") or None, hint=told.get("hint", ""))


def _again(found: list[Way], at: int) -> bool:
    return any(way.name == found[at - 1].name for way in found[: at - 1])


def _checked_url(webhook: Webhook) -> str:
    try:
        seen = urlsplit(webhook.url)
        host = seen.hostname
    except ValueError:
        host = None
    if host is None or seen.scheme not in ("https", "http"):
        raise _wrong("alerts.webhook.url", "it is no address that begins with https://")
    return f"webhook {host}"  # the path of such an address is often a secret itself


def _check_mail(mail: Mail) -> None:
    if not mail.sender or not mail.to:
        raise _wrong("alerts.mail", "it needs sender and to")
    if mail.security == "none" and mail.password_file:
        raise _wrong("alerts.mail.security", "a password is not sent over a line that everybody can read")
    for each in (mail.sender, *mail.to):
        if "@" not in each or not each.isprintable() or len(each) > 254:
            raise _wrong("alerts.mail", f"'{each[:80]}' is no address")


def _check_topic(mqtt: Mqtt) -> None:
    if not mqtt.topic or any(char in mqtt.topic for char in "+#\0") or len(mqtt.topic) > 1000:
        raise _wrong("alerts.mqtt.topic", "it is a topic without + and #")


def _wrong(key: str, said: str) -> Invalid:
    return Invalid(f"config.toml, {key}: {said}", hint="Correct it and start the box again.")
