"""The commands about what instances are made of: what each is called, what it takes, what carries it out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from tui.cli.people_options import switch
from tui.cli.session import Session

Command = Callable[[Session, Namespace], bool | None]
Options = Callable[[ArgumentParser], None]
GROUPS = {
    "app": "applications, which group the instances of a team",
    "type": "the types of instances that are offered",
    "template": "settings and variables that instances begin with",
    "env": "environment variables of instances and templates",
}


def app_list(session: Session, args: Namespace) -> None:
    """The applications of your teams."""
    from tui.cli.applications import list_applications

    list_applications(session, args)


def app_create(session: Session, args: Namespace) -> None:
    """Make an application in a team."""
    from tui.cli.applications import create_application

    create_application(session, args)


def app_edit(session: Session, args: Namespace) -> None:
    """Change what an application is called."""
    from tui.cli.applications import edit_application

    edit_application(session, args)


def app_delete(session: Session, args: Namespace) -> None:
    """Delete an application that has no instances any more."""
    from tui.cli.applications import delete_application

    delete_application(session, args)


def _catalogue(verb: str, what: str, text: str) -> Command:
    def command(session: Session, args: Namespace) -> None:
        from tui.cli import catalogue

        getattr(catalogue, f"{verb}_things")(session, args, what)

    command.__doc__ = text
    return command


def env_list(session: Session, args: Namespace) -> None:
    """The variables, without the values of hidden ones."""
    from tui.cli.env import list_variables

    list_variables(session, args)


def env_set(session: Session, args: Namespace) -> None:
    """Set variables; a value that is hidden is never shown again."""
    from tui.cli.env import set_variables

    set_variables(session, args)


def env_unset(session: Session, args: Namespace) -> None:
    """Take variables away."""
    from tui.cli.env import unset_variables

    unset_variables(session, args)


def instance_copy(session: Session, args: Namespace) -> None:
    """Make a new instance like another one, or overwrite one."""
    from tui.cli.copying import copy_instance

    copy_instance(session, args)


COMMANDS: dict[str, Command] = {
    "app list": app_list,
    "app create": app_create,
    "app edit": app_edit,
    "app delete": app_delete,
    "type list": _catalogue("list", "type", "The types of instances."),
    "type create": _catalogue("create", "type", "Make a type of instances."),
    "type edit": _catalogue("edit", "type", "Change a type of instances."),
    "type delete": _catalogue("delete", "type", "Delete a type that no instance is of."),
    "template list": _catalogue("list", "template", "The templates."),
    "template show": _catalogue("show", "template", "A template: its settings, and what it locks."),
    "template create": _catalogue("create", "template", "Make a template, by the platform's usual settings."),
    "template edit": _catalogue("edit", "template", "Change a template; instances have it from their next start."),
    "template delete": _catalogue("delete", "template", "Delete a template that no instance is made from."),
    "stack list": _catalogue("list", "stack", "The stacks, and whether they are built on this box."),
    "stack create": _catalogue("create", "stack", "Offer a Node-RED, built here, with limits of its own."),
    "stack edit": _catalogue("edit", "stack", "Change a stack's label, or whether it is offered."),
    "stack delete": _catalogue("delete", "stack", "Delete a stack that no instance runs on, with its files."),
    "env list": env_list,
    "env set": env_set,
    "env unset": env_unset,
    "instance copy": instance_copy,
}


def options(name: str) -> Options | None:
    """What adds the options of this command; None where it is not one of these."""
    return _OPTIONS.get(name)


def copy_options(parser: ArgumentParser) -> None:
    """Those of `weir instance copy`, beside the name of the source."""
    parser.add_argument("target", metavar="NEW", help="name of the copy")
    parser.add_argument("--over", action="store_true", help="NEW is there already: overwrite its flows and settings")
    parser.add_argument("--env", choices=("all", "keys", "none"), default="all", help="variables to copy (all)")
    parser.add_argument("--no-credentials", action="store_true", help="without the credentials of the flows")
    parser.add_argument("--no-settings", action="store_true", help="without the settings")
    parser.add_argument("--yes", action="store_true", help="do not ask for the name")


def _named(metavar: str) -> Options:
    def add(parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar=metavar, help="name or id")

    return add


def _deletion(metavar: str) -> Options:
    def add(parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar=metavar, help="name or id")
        parser.add_argument("--yes", action="store_true", help="do not ask for the name")

    return add


def _described(parser: ArgumentParser) -> None:
    parser.add_argument("--description", metavar="TEXT", default=None, help="in words")


def _offered(parser: ArgumentParser) -> None:
    parser.add_argument("--active", type=switch, default=None, metavar="on|off", help="offered for new instances")


def _app_create(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as people call it")
    parser.add_argument("--team", metavar="TEAM", default="", help="slug, name or id; else your only team")
    _described(parser)


def _app_edit(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="APP", help="name or id")
    parser.add_argument("--name", metavar="NEW", dest="new_name", default=None, help="another name")
    _described(parser)


def _type(parser: ArgumentParser) -> None:
    _described(parser)
    _offered(parser)
    parser.add_argument("--order", type=int, metavar="N", default=None, help="place in lists, lowest first")


def _type_create(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as people call it")
    _type(parser)


def _type_edit(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="TYPE", help="name or id")
    parser.add_argument("--name", metavar="NEW", dest="new_name", default=None, help="another name")
    text = "what new instances of it run on, by name or id; none takes it back"
    parser.add_argument("--default-stack", metavar="STACK", default=None, help=text)
    _type(parser)


def _template(parser: ArgumentParser) -> None:
    _described(parser)
    _offered(parser)
    text = "a setting for instances, for example theme=dark or palette.allowInstall=off; repeatable"
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="settings", help=text)
    parser.add_argument("--lock", metavar="KEY", action="append", default=[], help="instances can't change it")
    parser.add_argument("--unlock", metavar="KEY", action="append", default=[], help="instances may change it")


def _template_create(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as people call it")
    _template(parser)


def _template_edit(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="TEMPLATE", help="name or id")
    parser.add_argument("--name", metavar="NEW", dest="new_name", default=None, help="another name")
    _template(parser)


def _stack_create(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="short and without blanks")
    parser.add_argument("--node-red", metavar="VERSION", required=True, help="5, 4.1 or a whole version")
    parser.add_argument("--memory", metavar="MB", default="256", help="heap and buffers of an instance (256)")
    parser.add_argument("--label", metavar="TEXT", default="", help="as people call it")
    parser.add_argument("--type", metavar="TYPE", default="", help="instance type it is for; else the first")
    parser.add_argument("--replaces", metavar="STACK", default="", help="the stack it is the newer of")


def _stack_edit(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="STACK", help="name or id")
    parser.add_argument("--name", metavar="NEW", dest="new_name", default=None, help="another name, while unused")
    parser.add_argument("--label", metavar="TEXT", default=None, help="as people call it")
    _offered(parser)


def _env(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="an instance, by name or id")
    parser.add_argument("--template", action="store_true", help="NAME is a template")


def _env_set(parser: ArgumentParser) -> None:
    _env(parser)
    text = "NAME=VALUE; a NAME alone is asked for, or read from standard input, so that no other process sees it"
    parser.add_argument("variables", metavar="KEY[=VALUE]", nargs="+", help=text)
    parser.add_argument("--hidden", action="store_true", help="sealed on the box and never shown again")
    parser.add_argument("--lock", action="store_true", help="of a template: instances can't give another value")


def _env_unset(parser: ArgumentParser) -> None:
    _env(parser)
    parser.add_argument("variables", metavar="KEY", nargs="+", help="variables to take away")


_OPTIONS: dict[str, Options] = {
    "app create": _app_create,
    "app edit": _app_edit,
    "app delete": _deletion("APP"),
    "type create": _type_create,
    "type edit": _type_edit,
    "type delete": _deletion("TYPE"),
    "template show": _named("TEMPLATE"),
    "template create": _template_create,
    "template edit": _template_edit,
    "template delete": _deletion("TEMPLATE"),
    "stack create": _stack_create,
    "stack edit": _stack_edit,
    "stack delete": _deletion("STACK"),
    "env list": _env,
    "env set": _env_set,
    "env unset": _env_unset,
}
