"""`python -m appliance.alerts`: sends one message, read as JSON from standard input, and ends.

A program of its own: TLS, SMTP and MQTT take more memory than the rest of telling people, and are needed for a second.
Secrets are read from their files here; nothing of them is in an argument or the environment.
"""

from __future__ import annotations

import sys

import msgspec
from msgspec import Struct

from appliance.alerts.channels import send
from appliance.alerts.message import Digest
from appliance.config import Mail, Mqtt, Webhook
from appliance.errors import Unavailable


class Order(Struct, frozen=True):
    """What is to be sent, and by which of the three ways."""

    digest: Digest
    webhook: Webhook | None = None
    mail: Mail | None = None
    mqtt: Mqtt | None = None


class Outcome(Struct, frozen=True):
    """Printed as JSON; empty when it was taken."""

    error: str = ""
    hint: str = ""
    code: str = ""


def main() -> int:
    """0 when it was taken, else 1."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    channel = order.webhook or order.mail or order.mqtt
    assert channel is not None
    outcome = Outcome()
    try:
        send(channel, order.digest)
    except Unavailable as error:
        outcome = Outcome(" ".join(error.message.split())[:300], error.hint, error.code)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
    return 1 if outcome.error else 0


if __name__ == "__main__":
    raise SystemExit(main())
