"""Roles and invitations, as the screens of members and of invitations ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.schema.members import Invited
from tui.cli.people_options import ROLES
from tui.errors import BoxError
from tui.people import TeamLine, role_name
from tui.screens.objects import ObjectsScreen
from tui.screens.prompt import Question
from tui.signs import Kind
from tui.wire import decode


def role_question(sign: str, answer: Callable[[str], None]) -> Question:
    """Asks for a role; Tab completes it."""
    return Question(sign, answer, offers=lambda typed: [each for each in ROLES if each.startswith(typed.lower())])


def invite(screen: ObjectsScreen[Any], team: TeamLine) -> None:
    """Ask whom to invite into the team, and as what."""

    def answer(typed: str) -> None:
        words = typed.replace(",", " ").split()
        role = ROLES.get(words[-1].lower()) if len(words) > 1 else None
        names = words if role is None else words[:-1]
        if names:
            work = _invited(screen, team, names, role or ROLES["member"])
            screen.run_worker(work, exit_on_error=False, name="invite")

    screen.ask(Question(f"invite into {screen.shown(team.slug)}; users, then a role (member): ", answer))


async def _invited(screen: ObjectsScreen[Any], team: TeamLine, names: list[str], role: int) -> None:
    try:
        body = {"user": ",".join(names), "role": role}
        told = decode(await screen.owner.client.post(f"/teams/{team.id}/invitations", body), Invited)
    except BoxError as error:
        screen.refused(error)
        return
    screen.refetch()
    if told.error:  # some were invited, these were not
        screen.say("; ".join(f"{name}: {why}" for name, why in told.error.items()), Kind.BAD)
    else:
        screen.say(f"{', '.join(names)}: invited as {role_name(role)}")
