"""The commands about people and teams: what each is called, and what carries it out."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from tui.cli.session import Session

Command = Callable[[Session, Namespace], bool | None]


def user_list(session: Session, args: Namespace) -> None:
    """All accounts of the box."""
    from tui.cli.users import list_users

    list_users(session, args)


def user_show(session: Session, args: Namespace) -> None:
    """An account, and the teams it belongs to."""
    from tui.cli.users import show_user

    show_user(session, args)


def user_rights(session: Session, args: Namespace) -> None:
    """What you may do yourself, on the box and in your teams."""
    from tui.cli.users import show_rights

    show_rights(session, args)


def user_create(session: Session, args: Namespace) -> None:
    """Make an account; its user sets the password himself."""
    from tui.cli.users import create_user

    create_user(session, args)


def user_edit(session: Session, args: Namespace) -> None:
    """Change names, address or rights of an account."""
    from tui.cli.users import edit_user

    edit_user(session, args)


def user_delete(session: Session, args: Namespace) -> None:
    """Delete an account with its tokens."""
    from tui.cli.users import delete_user

    delete_user(session, args)


def user_reset_password(session: Session, args: Namespace) -> None:
    """Print a code with which the user sets a new password, once."""
    from tui.cli.users import reset_password

    reset_password(session, args)


def user_suspend(session: Session, args: Namespace) -> None:
    """Keep somebody out at once: sessions, editors and tokens."""
    from tui.cli.users import suspend_user

    suspend_user(session, args, suspended=True)


def user_resume(session: Session, args: Namespace) -> None:
    """Let somebody in again."""
    from tui.cli.users import suspend_user

    suspend_user(session, args, suspended=False)


def team_list(session: Session, args: Namespace) -> None:
    """All teams that you may see."""
    from tui.cli.teams import list_teams

    list_teams(session, args)


def team_show(session: Session, args: Namespace) -> None:
    """A team and what it has."""
    from tui.cli.teams import show_team

    show_team(session, args)


def team_create(session: Session, args: Namespace) -> None:
    """Make a team, and own it."""
    from tui.cli.teams import create_team

    create_team(session, args)


def team_edit(session: Session, args: Namespace) -> None:
    """Change a team's name, slug or type, or suspend it."""
    from tui.cli.teams import edit_team

    edit_team(session, args)


def team_delete(session: Session, args: Namespace) -> None:
    """Delete a team that has no instances any more."""
    from tui.cli.teams import delete_team

    delete_team(session, args)


def member_list(session: Session, args: Namespace) -> None:
    """Who belongs to a team."""
    from tui.cli.members import list_members

    list_members(session, args)


def member_add(session: Session, args: Namespace) -> None:
    """Make somebody a member without asking him; for administrators."""
    from tui.cli.members import add_member

    add_member(session, args)


def member_role(session: Session, args: Namespace) -> None:
    """Give a member another role."""
    from tui.cli.members import set_role

    set_role(session, args)


def member_remove(session: Session, args: Namespace) -> None:
    """End a membership; also one's own."""
    from tui.cli.members import remove_member

    remove_member(session, args)


def invitation_list(session: Session, args: Namespace) -> None:
    """Open invitations into a team; without one those for you."""
    from tui.cli.members import list_invitations

    list_invitations(session, args)


def invitation_create(session: Session, args: Namespace) -> bool:
    """Invite people who have an account; exit 1 when somebody could not be."""
    from tui.cli.members import invite

    return invite(session, args)


def invitation_resend(session: Session, args: Namespace) -> None:
    """Tell somebody of his invitation once more; it begins anew."""
    from tui.cli.members import resend

    resend(session, args)


def invitation_delete(session: Session, args: Namespace) -> None:
    """Withdraw an invitation."""
    from tui.cli.members import withdraw

    withdraw(session, args)


def invitation_accept(session: Session, args: Namespace) -> None:
    """Become a member of the team that invited you."""
    from tui.cli.members import answer

    answer(session, args, accept=True)


def invitation_reject(session: Session, args: Namespace) -> None:
    """Decline an invitation."""
    from tui.cli.members import answer

    answer(session, args, accept=False)


def token_list(session: Session, args: Namespace) -> None:
    """Your personal access tokens, without their secrets."""
    from tui.cli.tokens import list_tokens

    list_tokens(session, args)


def token_create(session: Session, args: Namespace) -> None:
    """Make a token for scripts; it is shown this once."""
    from tui.cli.tokens import create_token

    create_token(session, args)


def token_edit(session: Session, args: Namespace) -> None:
    """Narrow or widen a token; in force at once."""
    from tui.cli.tokens import edit_token

    edit_token(session, args)


def token_delete(session: Session, args: Namespace) -> None:
    """End a token at once."""
    from tui.cli.tokens import delete_token

    delete_token(session, args)


def settings_show(session: Session, args: Namespace) -> None:
    """The settings of the platform."""
    from tui.cli.platform import show_settings

    show_settings(session, args)


def settings_set(session: Session, args: Namespace) -> None:
    """Change settings of the platform; all or nothing."""
    from tui.cli.platform import set_settings

    set_settings(session, args)


COMMANDS: dict[str, Command] = {
    "user list": user_list,
    "user show": user_show,
    "user rights": user_rights,
    "user create": user_create,
    "user edit": user_edit,
    "user delete": user_delete,
    "user reset-password": user_reset_password,
    "user suspend": user_suspend,
    "user resume": user_resume,
    "team list": team_list,
    "team show": team_show,
    "team create": team_create,
    "team edit": team_edit,
    "team delete": team_delete,
    "team member list": member_list,
    "team member add": member_add,
    "team member role": member_role,
    "team member remove": member_remove,
    "team invitation list": invitation_list,
    "team invitation create": invitation_create,
    "team invitation resend": invitation_resend,
    "team invitation delete": invitation_delete,
    "team invitation accept": invitation_accept,
    "team invitation reject": invitation_reject,
    "token list": token_list,
    "token create": token_create,
    "token edit": token_edit,
    "token delete": token_delete,
    "settings show": settings_show,
    "settings set": settings_set,
}
