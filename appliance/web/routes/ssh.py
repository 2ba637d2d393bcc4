"""Rows of the route table about SSH: people's keys, and logins."""

from __future__ import annotations

from appliance.schema.common import Status
from appliance.schema.ssh import BeginSshSession, CreateSshKey, SshKey, SshKeys, SshSession
from appliance.web.handlers import ssh
from appliance.web.route import Route
from appliance.web.routes.rows import API, SMALL, delete, get, post

SSH: tuple[Route, ...] = (
    get("/user/ssh-keys", ssh.keys, SshKeys, "user:ssh-key:list", "The caller's public keys for SSH."),
    post(
        "/user/ssh-keys",
        ssh.create,
        SshKey,
        "user:ssh-key:create",
        "Keep a public key of the caller's: with it he logs in over SSH. Not by a token.",
        body=CreateSshKey,
    ),
    delete(
        "/user/ssh-keys/{id}",
        ssh.remove,
        Status,
        "user:ssh-key:delete",
        "Drop a key of the caller's; logins made with it end at once.",
    ),
    get("/users/{id}/ssh-keys", ssh.keys_of, SshKeys, "user:ssh-key:list-for", "Somebody's public keys for SSH."),
    post(
        "/users/{id}/ssh-keys",
        ssh.create_for,
        SshKey,
        "user:ssh-key:create-for",
        "Keep a public key for somebody. Not by a token.",
        body=CreateSshKey,
    ),
    delete(
        "/users/{id}/ssh-keys/{key}",
        ssh.remove_of,
        Status,
        "user:ssh-key:delete-for",
        "Drop somebody's key; logins made with it end at once.",
    ),
    Route(
        "POST",
        f"{API}/ssh/session",
        ssh.begin,
        "Trade the one-use ticket of a login over SSH for a session, on the box's own socket and by the login itself.",
        auth="public",
        body=BeginSshSession,
        response=SshSession,
        max_body_bytes=SMALL,
    ),
    delete(
        "/ssh/session",
        ssh.end,
        Status,
        "user:ssh-session:end",
        "Log out: end the session over SSH that asks.",
    ),
)
