"""The ways out of the box, as the program that sends uses them: each takes a digest or raises Unavailable."""

from __future__ import annotations

import hashlib
import hmac
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

from appliance.alerts.message import Digest, document, subject, text
from appliance.config import Mail, Mqtt, Webhook
from appliance.errors import Unavailable

STEP_S = 10.0  # for connecting and for each answer
SECRET_BYTES = 4096
_REACH = "Check the address in config.toml ([alerts]) and whether this box reaches it."


def send(channel: Webhook | Mail | Mqtt, digest: Digest) -> None:
    """Hand it over. Blocks, for a minute at most. Raises Unavailable with the reason."""
    match channel:
        case Webhook():
            _post(channel, digest)
        case Mail():
            _mail(channel, digest)
        case Mqtt():
            _publish(channel, digest)


def _post(config: Webhook, digest: Digest) -> None:
    """The digest as JSON. With a secret the body is signed: `X-Weir-Signature: sha256=…` (HMAC)."""
    import httpx

    body = document(digest)
    headers = {"Content-Type": "application/json", "User-Agent": "Weir"}
    if config.secret_file:
        key = secret(config.secret_file).encode()
        headers["X-Weir-Signature"] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
    try:
        with httpx.Client(verify=_trust(config.ca), timeout=STEP_S) as client:
            answer = client.post(config.url, content=body, headers=headers)
    except (httpx.HTTPError, OSError) as error:
        raise Unavailable(str(error) or "no answer in time", hint=_REACH) from error
    if not answer.is_success:
        raise Unavailable(f"the receiver answered {answer.status_code}", hint="Look at what the receiver logs.")


def _mail(config: Mail, digest: Digest) -> None:
    message = EmailMessage()
    message["Subject"] = " ".join(subject(digest).split())[:200]
    message["From"], message["To"] = config.sender, ", ".join(config.to)
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="weir.invalid")
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's vacation answers it
    message.set_content(text(digest))
    try:
        with _smtp(config) as server:
            if config.security == "starttls":
                server.starttls(context=_trust(config.ca))
            if config.password_file:
                server.login(config.user or config.sender, secret(config.password_file))
            server.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(str(error), hint=_REACH) from error


def _smtp(config: Mail) -> smtplib.SMTP:
    if config.security == "tls":
        return smtplib.SMTP_SSL(config.host, config.port or 465, timeout=STEP_S, context=_trust(config.ca))
    return smtplib.SMTP(config.host, config.port or (587 if config.security == "starttls" else 25), timeout=STEP_S)


def _publish(config: Mqtt, digest: Digest) -> None:
    """The digest as JSON, not retained, quality of service 1."""
    from paho.mqtt import client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    refusals: list[str] = []

    def connected(client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            refusals.append(str(reason))

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect_timeout, client.on_connect = STEP_S, connected
    try:
        if config.user:
            client.username_pw_set(config.user, secret(config.password_file) if config.password_file else None)
        if config.tls:
            client.tls_set_context(_trust(config.ca))
        client.connect(config.host, config.port or (8883 if config.tls else 1883), keepalive=30)
        client.loop_start()
        told = client.publish(config.topic, document(digest), qos=1)
        told.wait_for_publish(STEP_S)
        if not told.is_published():
            why = refusals[0] if refusals else "the broker did not take it in time"
            raise Unavailable(why, hint="Check user, password and topic, and what the broker allows the user.")
    except (OSError, ValueError, RuntimeError) as error:
        raise Unavailable(str(error), hint=_REACH) from error
    finally:
        client.disconnect()
        client.loop_stop()


def secret(file: str) -> str:
    """What a secret's file holds, without the end of the line. Raises Unavailable."""
    try:
        with Path(file).open("rb") as opened:
            return opened.read(SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{file} can't be read: {error}", hint="Weir's account has to be able to read it.") from error


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        hint = "Name a PEM file with the authority's certificate."
        raise Unavailable(f"{ca} holds no certificate: {error}", hint=hint) from error
