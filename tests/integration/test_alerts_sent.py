"""Alerts on their way out: the program that sends, against real receivers on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import shutil
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from msgspec.structs import replace

from appliance.alerts.message import PARTLY, Change, Digest
from appliance.alerts.sender import send, ways
from appliance.config import Alerts, Home, Mail, Mqtt, Webhook
from appliance.errors import Unavailable
from appliance.schema.box import Problem
from appliance.system import tls
from tests.support import eventually, free_port

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

PROBLEM = Problem(
    key="disk_low", title="Die Platte ist fast voll", cause="täglich", evidence="", next_step="räumen", since="now"
)
DIGEST = Digest("https://box.test", (Change(False, PROBLEM, "2026-11-23T12:00:00+00:00"),))


class Receiver:
    """A webhook."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, dict[str, str]]] = []
        self.status = 200
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.got.append((await request.read(), dict(request.headers)))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def test_a_webhook_gets_signed_json(receiver: Receiver, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("ein Geheimnis\n")
    (way,) = ways(Alerts(webhook=[Webhook(f"http://127.0.0.1:{receiver.port}/hook", secret_file=str(secret))]))
    await send(way, DIGEST)
    ((body, headers),) = receiver.got
    signature = hmac.new(b"ein Geheimnis", body, hashlib.sha256).hexdigest()
    assert headers["X-Weir-Signature"] == f"sha256={signature}"
    assert msgspec.json.decode(body)["changes"][0]["problem"]["title"] == "Die Platte ist fast voll"


async def test_a_webhook_that_refuses_redirects_or_is_away_is_told_apart(receiver: Receiver, tmp_path: Path) -> None:
    (way,) = ways(Alerts(webhook=[Webhook(f"http://127.0.0.1:{receiver.port}/hook")]))
    for status in (500, 403, 302):
        receiver.status = status
        with pytest.raises(Unavailable, match=f"webhook 127.0.0.1: the receiver answered {status}"):
            await send(way, DIGEST)
    assert len(receiver.got) == 3, "redirects are not followed"
    (way,) = ways(Alerts(webhook=[Webhook(f"http://127.0.0.1:{free_port()}/hook")]))
    with pytest.raises(Unavailable, match="refused|failed"):
        await send(way, DIGEST)
    missing = str(tmp_path / "none")
    (way,) = ways(Alerts(webhook=[Webhook(f"http://127.0.0.1:{receiver.port}/hook", secret_file=missing)]))
    with pytest.raises(Unavailable, match="can't be read"):
        await send(way, DIGEST)


async def test_a_receiver_that_never_answers_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        (way,) = ways(Alerts(webhook=[Webhook(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")]))
        with pytest.raises(Unavailable, match="no answer within 1 s"):
            await send(way, DIGEST, deadline_s=1.0)


class Smtp:
    """As much of a mail server as a mail needs; refuses whom it is told to."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.logins: list[str] = []
        self.refuses = False
        self.refuses_login = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())

        say("220 mail.test")
        try:
            while line := (await reader.readline()).decode().strip():
                verb = line[:4].upper()
                if verb == "DATA":
                    say("354 go on")
                    self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                    say("250 taken")
                elif verb == "EHLO":
                    say("250-mail.test")
                    say("250 AUTH PLAIN")
                elif verb == "AUTH":
                    self.logins.append(b64decode(line.split()[-1]).decode())
                    say("535 5.7.8 no such login" if self.refuses_login else "235 welcome")
                elif verb == "RCPT" and (self.refuses or "gone@" in line):
                    say("550 nobody here")
                elif verb == "QUIT":
                    say("221 bye")
                    break
                else:
                    say("250 ok")
        finally:
            writer.close()


async def test_a_mail_arrives_and_a_refused_one_says_why() -> None:
    smtp = Smtp()
    server = await asyncio.start_server(smtp.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        mail = Mail("127.0.0.1", port, "none", sender="weir@plant.example", to=["ann@plant.example"])
        (way,) = ways(Alerts(mail=mail))
        await send(way, DIGEST)
        found = message_from_bytes(smtp.mails[0], policy=policy.default)
        assert found["Subject"] == "[Weir box.test] Die Platte ist fast voll"
        assert found["Auto-Submitted"] == "auto-generated"
        assert "räumen" in found.get_content()  # type: ignore[attr-defined]
        (some,) = ways(Alerts(mail=replace(mail, to=["gone@plant.example", "ann@plant.example"])))
        with pytest.raises(Unavailable, match=r"refused gone@plant\.example \(550 nobody here\); the others") as partly:
            await send(some, DIGEST)
        assert partly.value.code == PARTLY and len(smtp.mails) == 2
        smtp.refuses = True
        with pytest.raises(Unavailable, match=r"refused ann@plant\.example \(550 nobody here\)"):
            await send(way, DIGEST)
        (way,) = ways(Alerts(mail=Mail("127.0.0.1", port, "starttls", sender="a@b.example", to=["c@d.example"])))
        with pytest.raises(Unavailable, match="STARTTLS"):
            await send(way, DIGEST)
    assert len(smtp.mails) == 2, "nothing is sent over a line that was to be private"


async def test_a_mail_server_that_refuses_the_login_is_named(tmp_path: Path) -> None:
    smtp, files = Smtp(), tls.ensure(Home(tmp_path), [tls.AcceptedName("localhost")])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)
    (tmp_path / "password").write_text("right\n")
    server = await asyncio.start_server(smtp.serve, "localhost", 0, ssl=context)
    async with server:
        port, ca = server.sockets[0].getsockname()[1], str(tmp_path / "tls" / "ca.crt")
        sender, secret = "weir@plant.example", str(tmp_path / "password")
        mail = Mail("localhost", port, "tls", password_file=secret, sender=sender, to=["ann@plant.example"], ca=ca)
        (way,) = ways(Alerts(mail=mail))
        await send(way, DIGEST)
        assert smtp.logins == ["\0weir@plant.example\0right"] and len(smtp.mails) == 1
        smtp.refuses_login = True
        with pytest.raises(Unavailable, match="the mail server refused the login: 535 5.7.8 no such login") as refused:
            await send(way, DIGEST)
        assert "password_file" in refused.value.hint
        (way,) = ways(Alerts(mail=replace(mail, ca="")))
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await send(way, DIGEST)
    assert len(smtp.mails) == 1


async def test_what_is_no_broker_is_told() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        (way,) = ways(Alerts(mqtt=Mqtt("127.0.0.1", server.sockets[0].getsockname()[1])))
        with pytest.raises(Unavailable, match="ended the connection before it answered the login"):
            await send(way, DIGEST)
    (way,) = ways(Alerts(mqtt=Mqtt("127.0.0.1", free_port())))
    with pytest.raises(Unavailable, match="refused"):
        await send(way, DIGEST)


@pytest.mark.skipif(shutil.which("mosquitto", path="/usr/sbin:/usr/bin") is None, reason="needs Debian's mosquitto")
async def test_a_broker_takes_it_and_a_wrong_password_is_told(tmp_path: Path) -> None:
    from paho.mqtt import client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    port, password = free_port(), tmp_path / "password"
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), "ann", "right"
    )
    assert await process.wait() == 0
    (tmp_path / "users").chmod(0o644)
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {tmp_path}/users\nuser root\n")
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
    assert program is not None
    broker = await asyncio.create_subprocess_exec(
        program, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    got: list[bytes] = []
    reader = mqtt.Client(CallbackAPIVersion.VERSION2)
    reader.username_pw_set("ann", "right")
    reader.on_connect = lambda client, *_: client.subscribe("weir/problems", 1)
    subscribed = asyncio.Event()
    loop = asyncio.get_running_loop()
    reader.on_subscribe = lambda *_: loop.call_soon_threadsafe(subscribed.set)
    reader.on_message = lambda client, data, message: got.append(message.payload)
    try:
        await eventually(lambda: _listens(port), 10)
        reader.connect("127.0.0.1", port)
        reader.loop_start()
        await asyncio.wait_for(subscribed.wait(), 10)
        password.write_text("right")
        (way,) = ways(Alerts(mqtt=Mqtt("127.0.0.1", port, user="ann", password_file=str(password))))
        await send(way, DIGEST)
        await eventually(lambda: got)
        assert msgspec.json.decode(got[0])["box"] == "https://box.test"
        password.write_text("wrong")
        for _ in range(5):  # whichever is first, the broker's no or its hanging up
            with pytest.raises(Unavailable, match="the broker refused the login: Not authorized") as refused:
                await send(way, DIGEST)
        assert "password_file" in refused.value.hint
    finally:
        reader.disconnect()
        reader.loop_stop()
        broker.kill()
        await broker.wait()


async def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False
