"""The one list of screens. Everything that names screens reads it: `:` commands, completion, tabs, help, docs.

A new screen is one file in `tui/screens/` with a subclass of `Frame` (lists: `ListScreen`, lists of what the box is
asked for: `FetchedScreen`, forms: `FormScreen`), and one line here. Its module is loaded when somebody goes there. Keys
of its own are lines in `tui/keytable.py`, each with a method `do_<id>` of the screen; a key is good for whoever has the
action's permission. `permission` here keeps the whole screen from whoever lacks it.
"""

from __future__ import annotations

from msgspec import Struct


class Place(Struct, frozen=True):
    """A screen that can be gone to. `screen` is `module:Class`.

    `about` is "instance" for screens about one instance: `:word NAME` shows that one, `:word` the one at the cursor.
    `takes` is what a name behind the word is one of: "team", "scope" (a team or the platform), "box".
    `tab` is the number of its tab on the page of an instance, `label` what the tab says; `needs` as in the key table.
    """

    word: str
    help: str
    screen: str
    about: str = ""
    permission: str = ""
    tab: int = 0
    label: str = ""
    aliases: tuple[str, ...] = ()
    takes: str = ""
    needs: str = ""


def _tab(number: int, word: str, label: str, help_: str, screen: str, permission: str = "project:status") -> Place:
    module = f"tui.screens.{screen}"
    return Place(word, help_, module, about="instance", tab=number, label=label, permission=permission)


PLACES: tuple[Place, ...] = (
    Place("inst", "the instances", "tui.screens.instances:InstancesScreen", aliases=("instances", "home")),
    Place("create", "make an instance", "tui.screens.wizard:WizardScreen", permission="project:create"),
    _tab(1, "show", "overview", "why an instance is as it is, and what comes next", "overview:OverviewScreen"),
    _tab(2, "logs", "logs", "the log of an instance", "logs:LogsScreen", permission="project:log"),
    _tab(3, "flows", "flows", "tabs, subflows and nodes", "flows:FlowsScreen", permission="project:flows:view"),
    _tab(4, "snap", "snaps", "snapshots", "snapshots:SnapshotsScreen", permission="project:snapshot:list"),
    _tab(5, "env", "env", "environment variables", "env:EnvScreen", permission="project:read"),
    _tab(
        6,
        "settings",
        "settings",
        "settings of Node-RED and its launcher",
        "settings:SettingsScreen",
        permission="project:read",
    ),
    _tab(7, "access", "access", "addresses, and one for a telephone's camera", "access:AccessScreen"),
    _tab(8, "history", "audit", "who did what to an instance", "history:HistoryScreen", permission="project:audit-log"),
    _tab(
        9,
        "limits",
        "limits",
        "what an instance takes, and what it may",
        "limits:LimitsScreen",
        permission="project:read",
    ),
    Place("problems", "what is wrong with the box", "tui.screens.problems:ProblemsScreen"),
    Place("host", "the machine, the appliance, names and certificates", "tui.screens.host:HostScreen"),
    Place("teams", "the teams", "tui.screens.teams:TeamsScreen"),
    Place("members", "who belongs to a team: :members SLUG", "tui.screens.members:MembersScreen", takes="team"),
    Place("invitations", "open invitations, yours first", "tui.screens.invitations:InvitationsScreen"),
    Place("users", "accounts of people", "tui.screens.users:UsersScreen", permission="user:list"),
    Place("tokens", "your personal access tokens", "tui.screens.tokens:TokensScreen", permission="user:token:list"),
    Place("sshkeys", "your public keys for SSH", "tui.screens.ssh_keys:SshKeysScreen", permission="user:ssh-key:list"),
    Place(
        "httptokens",
        "tokens for the HTTP endpoints of an instance",
        "tui.screens.http_tokens:HttpTokensScreen",
        about="instance",
        permission="project:httpToken:list",
    ),
    Place(
        "kept",
        "deploys of an instance that could not be stored",
        "tui.screens.kept:KeptScreen",
        about="instance",
        permission="project:flows:view",
    ),
    Place(
        "apps",
        "applications: :apps SLUG",
        "tui.screens.applications:ApplicationsScreen",
        aliases=("applications",),
        takes="team",
    ),
    Place("stacks", "the versions of Node-RED", "tui.screens.stacks:StacksScreen", aliases=("stack",)),
    Place("templates", "what instances begin with", "tui.screens.templates:TemplatesScreen", aliases=("tmpl",)),
    Place("types", "types of instances", "tui.screens.types:TypesScreen"),
    Place("teamtypes", "types of teams, and what those may have", "tui.screens.team_types:TeamTypesScreen"),
    Place("audit", "who did what: of a team, or the platform", "tui.screens.audit:AuditScreen", takes="scope"),
    Place("backups", "backups of the box", "tui.screens.backups:BackupsScreen", permission="backup:list"),
    Place("platform", "settings of the platform", "tui.screens.platform:PlatformScreen", permission="settings:edit"),
    Place("box", "go to another box", "tui.screens.boxes:BoxesScreen", aliases=("boxes",), takes="box", needs="files"),
    Place("help", "the keys", "tui.screens.lists_of_words:HelpScreen", aliases=("keys",)),
)
TABS = tuple(sorted((each for each in PLACES if each.tab), key=lambda each: each.tab))
