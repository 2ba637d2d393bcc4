"""Bearer tokens, and how a launcher comes by its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from appliance.auth.secrets import BoxSecrets, new_token
from appliance.errors import Conflict, Forbidden, Internal, Invalid, Unauthorized
from appliance.events import Event
from appliance.model import Role, Subject
from appliance.services import tokens as service
from appliance.services.context import Context
from appliance.services.first_run import FirstRun
from appliance.services.personal_tokens import PersonalTokens
from appliance.services.tokens import TICKET_LIFE, Tokens
from appliance.store import instances
from appliance.store.values import to_ms
from tests.stores import Clock, Entries, add_user, fresh_context, furnished


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def context(tmp_path: Path, clock: Clock) -> AsyncIterator[Context]:
    made = await fresh_context(tmp_path, clock=clock)
    yield made
    await made.store.close()


@pytest.fixture
def entries() -> Entries:
    return Entries()


@pytest.fixture
def spent() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def tokens(context: Context, entries: Entries, spent: list[tuple[str, int]]) -> Tokens:
    return Tokens(context, entries, on_spent=lambda instance_id, pid: spent.append((instance_id, pid)))


@pytest.fixture
def personal(context: Context, entries: Entries) -> PersonalTokens:
    return PersonalTokens(context, entries)


@pytest.fixture
async def home(context: Context) -> tuple[FirstRun, str]:
    return await furnished(context)


@pytest.fixture
def team(home: tuple[FirstRun, str]) -> FirstRun:
    return home[0]


@pytest.fixture
def instance(home: tuple[FirstRun, str]) -> str:
    return home[1]


# Personal tokens


async def test_a_personal_token_is_its_user(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun, entries: Entries
) -> None:
    ada = await add_user(context, "ada", {team.team_id: Role.MEMBER})
    made = await personal.create(ada, " laptop ")
    assert made.token.startswith("ffpat_") and len(made.token) == 6 + 43 and made.name == "laptop"
    subject = await tokens.verify(made.token)
    assert (subject.kind, subject.user_id, subject.source, subject.admin) == ("user", ada.user_id, "api", False)
    assert subject.team_ids is None and subject.scopes is None and not subject.read_only
    assert entries.names() == ["user.pat.created"]


async def test_an_administrators_token_has_his_rights_only_when_asked_for(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun
) -> None:
    root = await add_user(context, "boss", {}, admin=True)
    assert not (await tokens.verify((await personal.create(root, "plain")).token)).admin
    assert (await tokens.verify((await personal.create(root, "full", admin_opt_in=True)).token)).admin
    ada = await add_user(context, "ada", {})
    assert not (await tokens.verify((await personal.create(ada, "x", admin_opt_in=True)).token)).admin


async def test_a_token_is_narrowed_as_asked(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun
) -> None:
    ada = await add_user(context, "ada", {team.team_id: Role.OWNER})
    made = await personal.create(ada, "narrow", read_only=True, team_ids=[team.team_id])
    subject = await tokens.verify(made.token)
    assert subject.read_only and subject.team_ids == frozenset({team.team_id})
    wire = msgspec.to_builtins(made)
    assert (wire["readOnly"], wire["adminOptIn"]) == (True, False)
    assert wire["teams"] == [{"id": team.team_id, "name": "Home"}]
    with pytest.raises(Invalid) as refused:
        await personal.create(ada, "foreign", team_ids=["elsewhere"])
    assert refused.value.code == "invalid_team"


async def test_tokens_do_not_breed(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun, instance: str
) -> None:
    ada = await add_user(context, "ada", {team.team_id: Role.OWNER})
    token = (await personal.create(ada, "first")).token
    with pytest.raises(Forbidden) as refused:
        await personal.create(await tokens.verify(token), "second")
    assert refused.value.code == "pat_cannot_create_pat"
    launcher = await tokens.boot(await tokens.mint_ticket(instance, 1), instance, 1)
    with pytest.raises(Forbidden):
        await personal.create(await tokens.verify(launcher.token), "third")


async def test_a_token_ends_when_it_said(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun, clock: Clock
) -> None:
    ada = await add_user(context, "ada", {})
    made = await personal.create(ada, "short", expires_at=to_ms(clock.now) + 60_000)
    assert made.expires_at == "2026-11-23T12:01:00.000Z"
    await tokens.verify(made.token)
    clock.forward(seconds=60)
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await tokens.verify(made.token)
    with pytest.raises(Invalid):
        await personal.create(ada, "past", expires_at=1)


@pytest.mark.parametrize("name", ["", "   ", "x" * 129])
async def test_a_token_needs_a_sensible_name(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun, name: str
) -> None:
    with pytest.raises(Invalid):
        await personal.create(await add_user(context, "ada", {}), name)


@pytest.mark.parametrize(
    "wrong", ["", "x", "ffpat_", "ffpat_" + "x" * 43, "ffu_" + "y" * 43, "Bearer ffpat_x", "ffpat_" + "x" * 100_000]
)
async def test_an_unknown_token_is_refused(tokens: Tokens, wrong: str) -> None:
    with pytest.raises(Unauthorized):
        await tokens.verify(wrong)


# The cache


async def test_a_verified_token_is_not_looked_up_again(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun
) -> None:
    token = (await personal.create(await add_user(context, "ada", {}), "x")).token
    await tokens.verify(token)
    await context.store.close()  # whoever asks the database now gets an error
    assert (await tokens.verify(token)).username == "ada"


@pytest.mark.parametrize("names", ["token_id", "user_id"])
async def test_a_revoked_token_is_dropped_at_once(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun, names: str
) -> None:
    token = (await personal.create(await add_user(context, "ada", {}), "x")).token
    subject = await tokens.verify(token)
    await context.store.close()
    context.bus.publish(Event("token.revoked", getattr(subject, names)))
    with pytest.raises(Exception, match="stopping"):
        await tokens.verify(token)


async def test_what_was_read_before_a_revocation_is_not_kept_after_it(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun
) -> None:
    token = (await personal.create(await add_user(context, "ada", {}), "x")).token
    looking = asyncio.create_task(tokens.verify(token))
    await asyncio.sleep(0)  # it has begun to read
    context.bus.publish(Event("token.revoked", "anybody"))
    await looking
    assert not tokens._cache


async def test_the_cache_is_bounded(
    context: Context, personal: PersonalTokens, tokens: Tokens, team: FirstRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CACHE_LIMIT", 3)
    ada = await add_user(context, "ada", {})
    made = [(await personal.create(ada, f"t{n}")).token for n in range(6)]
    for token in made:
        await tokens.verify(token)
    assert len(tokens._cache) == 3


# Launchers


async def test_a_ticket_buys_all_that_a_launcher_needs(
    context: Context, tokens: Tokens, team: FirstRun, instance: str
) -> None:
    ticket = await tokens.mint_ticket(instance, 3)
    grant = await tokens.boot(ticket, instance, 4711)
    assert grant.credential_secret == "c" * 64 and grant.team_id == team.team_id
    assert grant.client_id.startswith("ffp_") and len(grant.client_secret) == 64
    assert grant.api_secret == tokens.api_secret(instance, 3) != tokens.api_secret(instance, 4)
    for token, kind in ((grant.token, "launcher"), (grant.node_red_token, "node_red")):
        assert token.startswith("fft_") and len(token) == 4 + 43
        subject = await tokens.verify(token)
        expected = Subject(kind=kind, instance_id=instance, team_id=team.team_id, token_id=subject.token_id)
        assert subject == expected
    with pytest.raises(Unauthorized):
        await tokens.verify(ticket)


async def test_a_ticket_is_good_once_and_a_second_use_is_reported(
    tokens: Tokens, instance: str, spent: list[tuple[str, int]]
) -> None:
    ticket = await tokens.mint_ticket(instance, 1)
    grant = await tokens.boot(ticket, instance, 1)
    with pytest.raises(Conflict) as refused:
        await tokens.boot(ticket, instance, 666)
    assert refused.value.code == "ticket_spent" and spent == [(instance, 666)]
    await tokens.verify(grant.token)  # the thief's attempt takes nothing from the owner


async def test_a_boot_answer_that_was_lost_is_given_again_to_the_same_launcher_only(
    tokens: Tokens, instance: str, spent: list[tuple[str, int]]
) -> None:
    ticket = await tokens.mint_ticket(instance, 1)
    lost = await tokens.boot(ticket, instance, 7, "p" * 32)
    again = await tokens.boot(ticket, instance, 7, "p" * 32)
    assert again.api_secret == lost.api_secret and again.credential_secret == lost.credential_secret and not spent
    await tokens.verify(again.token)
    with pytest.raises(Unauthorized):
        await tokens.verify(lost.token)  # nobody has it: whoever comes with it, read it on its way
    for proof in ("q" * 32, "", "p"):
        with pytest.raises(Conflict):
            await tokens.boot(ticket, instance, 7, proof)
    assert len(spent) == 3
    await tokens.verify(again.token)


async def test_a_launcher_that_was_replaced_trades_its_ticket_no_more(tokens: Tokens, instance: str) -> None:
    old = await tokens.mint_ticket(instance, 1)
    await tokens.boot(old, instance, 7, "p" * 32)
    grant = await tokens.boot(await tokens.mint_ticket(instance, 1), instance, 8, "q" * 32)
    with pytest.raises(Conflict):
        await tokens.boot(old, instance, 7, "p" * 32)
    await tokens.verify(grant.token)


async def test_a_short_proof_proves_nothing(tokens: Tokens, instance: str) -> None:
    ticket = await tokens.mint_ticket(instance, 1)
    await tokens.boot(ticket, instance, 7, "p" * 31)
    with pytest.raises(Conflict):
        await tokens.boot(ticket, instance, 7, "p" * 31)


async def test_two_at_once_cannot_both_use_a_ticket(tokens: Tokens, instance: str) -> None:
    ticket = await tokens.mint_ticket(instance, 1)
    answers = await asyncio.gather(*(tokens.boot(ticket, instance, n) for n in range(5)), return_exceptions=True)
    assert [isinstance(answer, Conflict) for answer in answers].count(True) == 4


async def test_foreign_old_and_superseded_tickets_are_refused(tokens: Tokens, instance: str, clock: Clock) -> None:
    foreign = await tokens.mint_ticket(instance, 1)
    with pytest.raises(Unauthorized):
        await tokens.boot(foreign, "another-instance", 1)
    current = await tokens.mint_ticket(instance, 2)
    with pytest.raises(Unauthorized):
        await tokens.boot(foreign, instance, 1)
    clock.now += TICKET_LIFE
    with pytest.raises(Unauthorized):
        await tokens.boot(current, instance, 1)
    with pytest.raises(Unauthorized):
        await tokens.boot(new_token("ffbt"), instance, 1)


async def test_only_the_next_boot_ends_the_tokens_of_the_last(tokens: Tokens, instance: str) -> None:
    first = await tokens.boot(await tokens.mint_ticket(instance, 1), instance, 1)
    await tokens.verify(first.node_red_token)
    ticket = await tokens.mint_ticket(instance, 2)
    await tokens.verify(first.token)  # a ticket alone takes nothing from a living launcher
    await tokens.verify(first.node_red_token)
    second = await tokens.boot(ticket, instance, 2)
    for old in (first.token, first.node_red_token):
        with pytest.raises(Unauthorized):
            await tokens.verify(old)
    await tokens.verify(second.token)


async def test_the_api_secret_survives_a_restart(context: Context, tokens: Tokens, instance: str) -> None:
    again = Tokens(context, Entries())
    assert again.api_secret(instance, 5) == tokens.api_secret(instance, 5)
    other_box = msgspec.structs.replace(context, box=BoxSecrets(b"x" * 32))
    assert Tokens(other_box, Entries()).api_secret(instance, 5) != tokens.api_secret(instance, 5)


async def test_another_box_key_is_named_and_keeps_the_ticket(context: Context, tokens: Tokens, instance: str) -> None:
    ticket = await tokens.mint_ticket(instance, 1)
    wrong = Tokens(msgspec.structs.replace(context, box=BoxSecrets(b"x" * 32)), Entries())
    with pytest.raises(Internal) as refused:
        await wrong.boot(ticket, instance, 1)
    assert refused.value.code == "sealed_with_another_key"
    await tokens.boot(ticket, instance, 1)


async def test_tokens_of_a_removed_instance_are_gone(context: Context, tokens: Tokens, instance: str) -> None:
    grant = await tokens.boot(await tokens.mint_ticket(instance, 1), instance, 1)
    await context.store.write(lambda tx: instances.remove(tx, instance))
    with pytest.raises(Unauthorized):
        await tokens.verify(grant.token)


async def test_nothing_at_rest_is_a_secret(context: Context, tokens: Tokens, instance: str) -> None:
    ticket = await tokens.mint_ticket(instance, 1)
    grant = await tokens.boot(ticket, instance, 1)
    await context.store.close()
    stored = context.home.database.read_bytes()
    secrets = (ticket, grant.token, grant.node_red_token, grant.client_secret, grant.api_secret, "c" * 64)
    assert not [secret for secret in secrets if secret.encode() in stored]


def test_sealed_values_open_only_under_their_own_name() -> None:
    box = BoxSecrets(bytes(range(32)))
    sealed = box.seal("purpose", "one", "secret")
    assert sealed != box.seal("purpose", "one", "secret")
    assert box.unseal("purpose", "one", sealed) == "secret"
    for purpose, name, text in (
        ("other", "one", sealed),
        ("purpose", "two", sealed),
        ("purpose", "one", sealed[:-4] + "AAAA"),
        ("purpose", "one", "v1:"),
        ("purpose", "one", "no base64 \u2028"),
    ):
        with pytest.raises(Internal):
            box.unseal(purpose, name, text)


def test_derived_values_do_not_run_into_each_other() -> None:
    box = BoxSecrets(bytes(range(32)))
    assert box.derive("a", "bc") != box.derive("ab", "c") != box.derive("a", "b", "c")
