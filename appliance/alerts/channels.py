"""The ways out of the box, as the program that sends uses them: each takes a digest or raises Unavailable."""

from __future__ import annotations

import hashlib
import hmac
import smtplib
import ssl
import threading
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

from appliance.alerts.message import PARTLY, Digest, document, subject, text
from appliance.config import Mail, Mqtt, Webhook
from appliance.errors import Unavailable

STEP_S = 10.0  # for connecting and for each answer
SECRET_BYTES = 4096
_RECIPIENTS = "Correct alerts.mail.to in config.toml, or ask whoever runs the mail server."
_LOGIN = "Check user and password_file in config.toml ([alerts]), and whether the server knows them."
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
            refused = server.send_message(message)
    except smtplib.SMTPException as error:
        raise Unavailable(_said(error), hint=_LOGIN if _of_login(error) else _REACH) from error
    except OSError as error:
        raise Unavailable(str(error) or "no answer in time", hint=_REACH) from error
    if refused:
        raise Unavailable(f"{_refused(refused)}; the others have it", code=PARTLY, hint=_RECIPIENTS)


def _of_login(error: smtplib.SMTPException) -> bool:
    return isinstance(error, smtplib.SMTPAuthenticationError)


def _said(error: smtplib.SMTPException) -> str:
    """The server's own words, with what they are about."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _refused(error.recipients)
    if isinstance(error, smtplib.SMTPResponseException):
        what = "the login" if _of_login(error) else "the mail"
        return f"the mail server refused {what}: {error.smtp_code} {_text(error.smtp_error)}"
    return str(error) or "the mail server ended the connection"


def _refused(recipients: Mapping[str, tuple[int, bytes]]) -> str:
    return "the mail server refused " + ", ".join(
        f"{to} ({code} {_text(said)})" for to, (code, said) in recipients.items()
    )


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said


def _smtp(config: Mail) -> smtplib.SMTP:
    if config.security == "tls":
        return smtplib.SMTP_SSL(config.host, config.port or 465, timeout=STEP_S, context=_trust(config.ca))
    return smtplib.SMTP(config.host, config.port or (587 if config.security == "starttls" else 25), timeout=STEP_S)


def _publish(config: Mqtt, digest: Digest) -> None:
    """The digest as JSON, not retained, quality of service 1."""
    from paho.mqtt import client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    login = _Login()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect_timeout, client.on_connect, client.on_disconnect = STEP_S, login.answered, login.ended
    try:
        if config.user:
            client.username_pw_set(config.user, secret(config.password_file) if config.password_file else None)
        if config.tls:
            client.tls_set_context(_trust(config.ca))
        client.connect(config.host, config.port or (8883 if config.tls else 1883), keepalive=30)
        client.loop_start()
        login.demand()
        told = client.publish(config.topic, document(digest), qos=1)
        told.wait_for_publish(STEP_S)
        if not told.is_published():
            raise Unavailable("the broker did not take it in time", hint="Look at what the broker logs of this topic.")
    except (OSError, ValueError, RuntimeError) as error:
        raise Unavailable(str(error), hint=_REACH) from error
    finally:
        client.disconnect()
        client.loop_stop()


class _Login:
    """What a broker says to the login; heard in the client's thread. Nothing is published before that: what the
    client says of a message that it could not send names no cause."""

    def __init__(self) -> None:
        self._heard = threading.Event()
        self._refusal = ""

    def answered(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refuse(f"the broker refused the login: {reason}")
        self._heard.set()

    def ended(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._refuse("the broker ended the connection before it answered the login")
        self._heard.set()

    def demand(self) -> None:
        """Wait for the answer. Raises Unavailable when it is no, or none in time."""
        answered = self._heard.wait(STEP_S)
        if said := self._refusal if answered else f"the broker did not answer the login within {STEP_S:.0f} s":
            raise Unavailable(said, hint=_LOGIN)

    def _refuse(self, said: str) -> None:
        if not self._heard.is_set():
            self._refusal = said


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
