"""What the commands about people and teams take on the command line."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

ROLES = {"dashboard": 5, "viewer": 10, "member": 30, "owner": 50}
GROUPS = {
    "user": "accounts of people",
    "team": "teams, their members and invitations",
    "team member": "who belongs to a team, and with which role",
    "team invitation": "invitations into a team, and your own",
    "settings": "what the platform allows",
}
Options = Callable[[ArgumentParser], None]
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def options(name: str) -> Options | None:
    """What adds the options of this command; None where it is not one of these."""
    return _OPTIONS.get(name)


def _user(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="USER", help="user name, e-mail address or id")


def _user_create(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="USER", help="1 to 64 of a-z 0-9 _ and -")
    _person(parser)
    parser.add_argument("--admin", action="store_true", help="make an administrator of the box")
    parser.add_argument("--own-team", action="store_true", help="with a team of his own")
    parser.add_argument("--team", metavar="TEAM", default="", help="make a member of this team")
    parser.add_argument("--role", type=_role, default=30, metavar="ROLE", help=_ROLE_HELP)
    text = "holds the password; - is standard input. Without it a code is printed with which the user sets one"
    parser.add_argument("--password-file", metavar="FILE", default="", help=text)


def _user_edit(parser: ArgumentParser) -> None:
    _user(parser)
    _person(parser)
    parser.add_argument("--username", metavar="NEW", default=None, help="another user name")
    parser.add_argument("--admin", type=switch, default=None, metavar="on|off", help="administrator of the box")
    parser.add_argument("--expire-password", action="store_true", help="must be changed at the next login")


def _person(parser: ArgumentParser) -> None:
    parser.add_argument("--full-name", metavar="NAME", default=None, help="as people call him")
    parser.add_argument("--email", metavar="ADDRESS", default=None, help="also good for logging in")


def _deletion(parser: ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask for the name")


def _user_delete(parser: ArgumentParser) -> None:
    _user(parser)
    _deletion(parser)


def _list(parser: ArgumentParser) -> None:
    parser.add_argument("--search", metavar="TEXT", default="", help="those only that contain it")


def _team(parser: ArgumentParser) -> None:
    parser.add_argument("team", metavar="TEAM", help="slug, name or id")


def _team_create(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as people call it")
    parser.add_argument("--slug", metavar="SLUG", default="", help="its short name in addresses")
    parser.add_argument("--type", metavar="TYPE", default="", help="type of team, by name or id")


def _team_edit(parser: ArgumentParser) -> None:
    _team(parser)
    parser.add_argument("--name", metavar="NAME", default=None, help="another name")
    parser.add_argument("--slug", metavar="SLUG", default=None, help="another slug")
    parser.add_argument("--type", metavar="TYPE", default=None, help="another type of team, by name or id")
    parser.add_argument(
        "--suspended", type=switch, default=None, metavar="on|off", help="stop the team, or let it go on"
    )


def _team_delete(parser: ArgumentParser) -> None:
    _team(parser)
    _deletion(parser)


def _member(parser: ArgumentParser) -> None:
    _team(parser)
    _user(parser)


def _member_role(parser: ArgumentParser) -> None:
    _member(parser)
    parser.add_argument("role", type=_role, metavar="ROLE", help=_ROLE_HELP)


def _member_add(parser: ArgumentParser) -> None:
    _member(parser)
    parser.add_argument("--role", type=_role, default=30, metavar="ROLE", help=_ROLE_HELP)


def _invite(parser: ArgumentParser) -> None:
    _team(parser)
    parser.add_argument("users", metavar="USER", nargs="+", help="up to five user names or e-mail addresses")
    parser.add_argument("--role", type=_role, default=30, metavar="ROLE", help=_ROLE_HELP)


def _invitation_list(parser: ArgumentParser) -> None:
    parser.add_argument("team", metavar="TEAM", nargs="?", default="", help="a team; else those for you")


def _invitation_of_team(parser: ArgumentParser) -> None:
    _team(parser)
    parser.add_argument("id", metavar="ID", help="weir team invitation list TEAM shows it")


def _invitation(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="weir team invitation list shows it")


def _token_create(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what the token is for")
    parser.add_argument("--user", metavar="USER", default="", help="for somebody else; on the box only")
    _narrowing(parser)


def _token_edit(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="TOKEN", help="name or id")
    _narrowing(parser)
    parser.add_argument("--read-write", action="store_true", help="may change things again")
    parser.add_argument("--no-admin", action="store_true", help="without the rights of an administrator")
    parser.add_argument("--all-teams", action="store_true", help="for all teams again")


def _narrowing(parser: ArgumentParser) -> None:
    parser.add_argument("--expires", type=until, default=None, metavar="TIME", help="30d, 12h, 2027-01-31, or never")
    parser.add_argument("--read-only", action="store_true", help="may only look")
    parser.add_argument("--admin", action="store_true", help="with the rights of an administrator, where one is")
    parser.add_argument("--team", metavar="TEAM", action="append", default=[], help="for this team only; repeatable")


def _token(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="TOKEN", help="name or id")


def _settings_set(parser: ArgumentParser) -> None:
    text = "for example: team:create=on; weir settings show lists them"
    parser.add_argument("settings", metavar="KEY=VALUE", nargs="+", help=text)


def _audit(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="an instance; else the whole team")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--instance", metavar="NAME", default="", help="the same as NAME")
    where.add_argument("--team", metavar="TEAM", default="", help="of this team")
    where.add_argument("--platform", action="store_true", help="of people and the platform; for administrators")
    parser.add_argument("-n", "--lines", type=_lines, default=50, metavar="N", help="newest entries to show")
    parser.add_argument("--event", metavar="EVENT", action="append", default=[], help="these only; repeatable")
    parser.add_argument("--user", metavar="USER", default="", help="what this user did")
    parser.add_argument("--csv", action="store_true", help="as CSV, with everything an entry says")


def _role(text: str) -> int:
    word = text.lower()
    if word in ROLES:
        return ROLES[word]
    if word.isdecimal() and int(word) in ROLES.values():
        return int(word)
    raise ArgumentTypeError(f"'{text[:40]}' is no role: say {', '.join(ROLES)}")


def switch(text: str) -> bool:
    """`on` or `off`, or another word for it."""
    known = {"on": True, "off": False, "true": True, "false": False, "yes": True, "no": False}
    if text.lower() not in known:
        raise ArgumentTypeError(f"'{text[:40]}' is neither on nor off")
    return known[text.lower()]


def _lines(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise ArgumentTypeError("from 1 to 1000")
    return int(text)


def until(text: str) -> datetime | str:
    """A time to come, or `never`."""
    if text == "never":
        return text
    try:
        if text[-1:] in _UNITS and text[:-1].isdecimal():
            return datetime.now(UTC) + timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"'{text[:40]}' is no time: say 30d, 12h, 2027-01-31, or never") from error
    return found.astimezone(UTC)


_ROLE_HELP = f"{', '.join(ROLES)} (member)"
_OPTIONS: dict[str, Options] = {
    "user list": _list,
    "user show": _user,
    "user create": _user_create,
    "user edit": _user_edit,
    "user delete": _user_delete,
    "user reset-password": _user,
    "user suspend": _user,
    "user resume": _user,
    "team list": _list,
    "team show": _team,
    "team create": _team_create,
    "team edit": _team_edit,
    "team delete": _team_delete,
    "team member list": _team,
    "team member add": _member_add,
    "team member role": _member_role,
    "team member remove": _member,
    "team invitation list": _invitation_list,
    "team invitation create": _invite,
    "team invitation resend": _invitation_of_team,
    "team invitation delete": _invitation_of_team,
    "team invitation accept": _invitation,
    "team invitation reject": _invitation,
    "token create": _token_create,
    "token edit": _token_edit,
    "token delete": _token,
    "settings set": _settings_set,
    "audit": _audit,
}
