"""OAuth for the editors of instances: authorization code with PKCE, refresh, and nothing more (architecture §8).

A client belongs to one instance and is made anew at each boot of its launcher. What a login ends with is good for two
questions, who am I and what is my role, and for its own refresh.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta

from msgspec import Struct

from appliance.auth.secrets import new_token, same, token_hash
from appliance.errors import Invalid
from appliance.events import Event
from appliance.model import Role
from appliance.schema.oauth import OAuthToken
from appliance.schema.users import User
from appliance.services.context import Context
from appliance.services.redirects import CALLBACK, HTTP_CALLBACK, allowed, with_answer
from appliance.services.settings import http_admin_root
from appliance.services.tokens import EDITOR_SCOPES, HTTP_SCOPES, USE
from appliance.store import instances, oauth, teams, tokens, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.oauth import ClientRow, RequestRow
from appliance.store.tokens import Kind, TokenRow
from appliance.system.access import access_of

REQUEST_LIFE = timedelta(minutes=5)
CODE_LIFE = timedelta(minutes=1)
ACCESS_LIFE_S = 1800
# From the login; refreshing does not prolong it. As long as a browser's session.
REFRESH_LIFE = timedelta(days=7)
STATE_LENGTH = 1024

_SCOPE = re.compile(r"editor(-[A-Za-z0-9.+-]{1,48})?|httpAuth-[A-Za-z0-9.+-]{1,48}", re.ASCII)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


class OAuthError(Invalid):
    """Answered as 400 `{error, description}`; with `location`, by sending the browser there instead.

    `code` is the `error` and `message` the `description` of the reference.
    """

    def __init__(self, error: str, description: str, *, location: str | None = None) -> None:
        super().__init__(description, code=error, hint="Open the editor again.")
        self.location = location


class AuthRequest(Struct, frozen=True):
    """A login under way: what the login page may show, and the id under which it goes on."""

    id: str
    instance_id: str
    instance_name: str
    scope: str
    redirect_uri: str


class OAuth:
    """The provider. Rights are looked at when a code is given, when it is traded and at every refresh."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._access = access_of(context.config)

    async def begin(self, query: Mapping[str, str], accepted_names: Sequence[str]) -> AuthRequest:
        """Check an authorization request and keep it for five minutes.

        Raises OAuthError: without `location` when client or redirect URI are not right, so that nobody is sent to an
        address that is not the client's own; with it for everything else.
        """
        return await self._context.store.write(lambda tx: self._begin(tx, query, accepted_names))

    async def complete(self, request_id: str, user: User) -> str:
        """Where to send the browser of `user` who asked for this: back to the editor, with a code or a refusal.

        Raises OAuthError when there is no such request (any more), or the user's role has no editor.
        """
        code = secrets.token_urlsafe(32)
        return await self._context.store.write(lambda tx: self._complete(tx, request_id, user, code))

    async def reject(self, request_id: str) -> str:
        """Where to send the browser of somebody who does not want to log in. Raises OAuthError."""

        def work(tx: Tx) -> str:
            request = self._request(tx, request_id)
            oauth.remove(tx, request.id)
            return _refusal(request, "access_denied", "The login was refused.")

        return await self._context.store.write(work)

    async def exchange(self, form: Mapping[str, str]) -> OAuthToken:
        """Trade a code, or a refresh token, for tokens; each is good once. Raises OAuthError."""
        answer = await self._context.store.write(lambda tx: self._exchange(tx, form))
        if isinstance(answer, OAuthError):
            raise answer
        return answer

    # Asking

    def _begin(self, tx: Tx, query: Mapping[str, str], names: Sequence[str]) -> AuthRequest:
        now = self._context.now_ms()
        client = oauth.client(tx, query.get("client_id", ""))
        instance = instances.get(tx, client.instance_id) if client else None
        if client is None or instance is None:
            raise OAuthError("invalid_request", "The client is not known; the instance may have been restarted.")
        redirect_uri = query.get("redirect_uri", "")
        where = ("", HTTP_CALLBACK) if _uses(query.get("scope", "")) else (http_admin_root(instance), CALLBACK)
        bases = self._access.bases(names, instance.number, instance.safe_name)
        if redirect_uri not in allowed(bases, *where):
            raise OAuthError("invalid_request", "The redirect URI is not one of this instance on this box.")
        _check_query(query, redirect_uri)
        request = RequestRow(
            id=secrets.token_urlsafe(24),
            client_id=client.id,
            redirect_uri=redirect_uri,
            scope=query["scope"],
            state=query["state"],
            challenge=query["code_challenge"],
            created_at=now,
            expires_at=now + REQUEST_LIFE // timedelta(milliseconds=1),
        )
        oauth.sweep(tx, now)
        oauth.add(tx, request)
        return AuthRequest(request.id, instance.id, instance.name, request.scope, redirect_uri)

    # Granting

    def _complete(self, tx: Tx, request_id: str, user: User, code: str) -> str:
        request = self._request(tx, request_id)
        client = oauth.client(tx, request.client_id)
        uses = _uses(request.scope)
        role = self._role(tx, client, user.id, uses=uses) if client else None
        if role is Role.DASHBOARD and not uses:
            raise OAuthError("access_denied", "Your role may use the dashboards of this instance, not its editor.")
        if role is not None and request.scope == "editor" and _edits(role) != "*":
            # Editors that send no version do not know a login that may only look (instance protocol §3.3).
            raise OAuthError("access_denied", "Your role may only look, and its editor is too old for that.")
        if role is None:
            oauth.remove(tx, request.id)
            return _refusal(request, "access_denied", "You have no access to this instance.")
        until = self._context.now_ms() + CODE_LIFE // timedelta(milliseconds=1)
        if not oauth.grant(tx, request.id, code_hash=token_hash(code), user_id=user.id, until=until):
            raise _gone()
        return with_answer(request.redirect_uri, code=code, state=request.state)

    def _request(self, tx: Tx, request_id: str) -> RequestRow:
        request = oauth.get(tx, request_id)
        if request is None or request.code_hash is not None or request.expires_at <= self._context.now_ms():
            raise _gone()
        return request

    def _role(self, tx: Tx, client: ClientRow, user_id: str, *, uses: bool = False) -> Role | None:
        """What the user is to this instance; None for strangers and those kept out. `uses`: it is about the flows'
        own pages, which are for the team, not for whoever administers the box."""
        user = users.get(tx, user_id)
        team_id = teams.team_of(tx, "instance", client.instance_id)
        if user is None or user.suspended or team_id is None:
            return None
        role = teams.role(tx, team_id, user_id)
        if user.admin and not uses:
            # An administrator may always look; only his role in the team lets him edit (instance protocol §3.3).
            return max(role, Role.VIEWER)
        return role if role is not Role.NONE else None

    # Trading: refusals are returned, not raised, since what they used up must stay used up

    def _exchange(self, tx: Tx, form: Mapping[str, str]) -> OAuthToken | OAuthError:
        client = oauth.client(tx, form.get("client_id", ""))
        known = client.secret_hash if client else token_hash("")
        if not same(token_hash(form.get("client_secret", "")), known) or client is None:
            return OAuthError("invalid_request", "The client or its secret is not right.")
        match form.get("grant_type"):
            case "authorization_code":
                return self._trade_code(tx, client, form)
            case "refresh_token":
                return self._refresh(tx, client, form)
            case _:
                return OAuthError("invalid_request", "The grant type must be authorization_code or refresh_token.")

    def _trade_code(self, tx: Tx, client: ClientRow, form: Mapping[str, str]) -> OAuthToken | OAuthError:
        now = self._context.now_ms()
        request = oauth.by_code(tx, token_hash(form.get("code", "")), client.id)
        if request is None or request.user_id is None:
            return OAuthError("invalid_request", "The code is unknown or was used before.")
        # Whatever follows: somebody who holds a code without the verifier does not get a second try.
        oauth.remove(tx, request.id)
        if request.expires_at <= now:
            return OAuthError("invalid_request", "The code is too old.")
        if not same(form.get("redirect_uri", ""), request.redirect_uri):
            return OAuthError("invalid_request", "The redirect URI is not the one that was asked with.")
        if not _verified(form.get("code_verifier", ""), request.challenge):
            return OAuthError("invalid_request", "The code verifier does not fit.")
        ends = now + REFRESH_LIFE // timedelta(milliseconds=1)
        new = (new_id(), ends, request.state)
        return self._issue(tx, client, request.user_id, new, uses=_uses(request.scope))

    def _refresh(self, tx: Tx, client: ClientRow, form: Mapping[str, str]) -> OAuthToken | OAuthError:
        old = tokens.get(tx, token_hash(form.get("refresh_token", "")))
        if old is None or old.kind is not Kind.EDITOR_REFRESH or old.instance_id != client.instance_id:
            return OAuthError("invalid_request", "The refresh token is unknown or was used before.")
        tokens.end_grant(tx, old.name)
        # Verified tokens are remembered: the access token of this login must be forgotten with its row.
        tx.after_commit(Event("token.revoked", old.user_id or old.id))
        if old.user_id is None or old.expires_at is None or old.expires_at <= self._context.now_ms():
            return OAuthError("invalid_request", "The login is too old.")
        again = (old.name, old.expires_at, None)
        return self._issue(tx, client, old.user_id, again, uses=USE in (old.scopes or ()))

    def _issue(
        self, tx: Tx, client: ClientRow, user_id: str, grant: tuple[str, int, str | None], *, uses: bool
    ) -> OAuthToken | OAuthError:
        """Tokens for a login: its id, when it ends, and the state it was asked with."""
        grant_id, ends, state = grant
        role = self._role(tx, client, user_id, uses=uses)
        if role is None or role < (Role.DASHBOARD if uses else Role.VIEWER):
            what = "flows" if uses else "editor"
            return OAuthError("access_denied", f"This user has no access to the {what} of this instance.")
        now = self._context.now_ms()
        access, refresh = new_token("ffu"), new_token("ffu")
        for kind, secret, until in (
            (Kind.EDITOR, access, min(ends, now + ACCESS_LIFE_S * 1000)),
            (Kind.EDITOR_REFRESH, refresh, ends),
        ):
            row = TokenRow(
                id=new_id(),
                kind=kind,
                hash=token_hash(secret),
                created_at=now,
                name=grant_id,
                user_id=user_id,
                instance_id=client.instance_id,
                scopes=sorted(HTTP_SCOPES if uses else EDITOR_SCOPES),
                expires_at=until,
            )
            tokens.add(tx, row)
        return OAuthToken(
            access_token=access,
            refresh_token=refresh,
            expires_in=ACCESS_LIFE_S,
            scope="http" if uses else _edits(role),
            state=state,
        )


def _check_query(query: Mapping[str, str], redirect_uri: str) -> None:
    """Raises OAuthError that sends the browser back to the client."""
    state = query.get("state", "")
    faults = (
        (query.get("response_type") != "code", "unsupported_response_type", "The response type must be code."),
        (
            _SCOPE.fullmatch(query.get("scope", "")) is None,
            "invalid_scope",
            "The scope must be editor or editor-… or httpAuth-….",
        ),
        (query.get("code_challenge_method") != "S256", "invalid_request", "The challenge method must be S256."),
        (_CHALLENGE.fullmatch(query.get("code_challenge", "")) is None, "invalid_request", "There is no challenge."),
        (not 0 < len(state) <= STATE_LENGTH, "invalid_request", f"The state must have 1 to {STATE_LENGTH} characters."),
    )
    for wrong, error, description in faults:
        if wrong:
            answer = {"error": error, "errorDescription": description, "state": state[:STATE_LENGTH]}
            raise OAuthError(error, description, location=with_answer(redirect_uri, **answer))


def _uses(scope: str) -> bool:
    """Whether a login is for the flows' own pages, not for the editor."""
    return scope.startswith("httpAuth-")


def _edits(role: Role) -> str:
    """The scope that the editor is told."""
    return "*" if role >= Role.MEMBER else "read"


def _verified(verifier: str, challenge: str) -> bool:
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    return same(base64.urlsafe_b64encode(digest).decode().rstrip("="), challenge)


def _refusal(request: RequestRow, error: str, description: str) -> str:
    return with_answer(request.redirect_uri, error=error, errorDescription=description, state=request.state)


def _gone() -> OAuthError:
    return OAuthError("invalid_request", "This login took too long or was used before.")
