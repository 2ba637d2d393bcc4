"""Everything the handlers speak to, bundled once by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from appliance.auth.secrets import BoxSecrets
from appliance.config import Config, Home
from appliance.events import Bus

if TYPE_CHECKING:
    from appliance.launcher_client import LauncherClient
    from appliance.services.accepted import Accepted
    from appliance.services.accounts import Accounts
    from appliance.services.audit import Audit
    from appliance.services.backups import BackupsOfBox
    from appliance.services.box import Box
    from appliance.services.broker import BrokerDesk
    from appliance.services.catalogue import Catalogue
    from appliance.services.deploys import Deploys
    from appliance.services.directory import Directory
    from appliance.services.endpoints import Endpoints
    from appliance.services.instances import Instances
    from appliance.services.limits import InstanceLimits
    from appliance.services.oauth import OAuth
    from appliance.services.operations import Operations
    from appliance.services.quota import DiskQuota
    from appliance.services.resources import Resources
    from appliance.services.snapshots import Snapshots
    from appliance.services.stacks import Stacks
    from appliance.services.storage import Storage
    from appliance.services.team_library import TeamLibrary
    from appliance.services.teams import Teams
    from appliance.services.tokens import Tokens
    from appliance.web.feed import Feed


class Services(Struct, frozen=True):
    """`names`: the accepted names of the box as browsers write them, with the external port where it isn't 443
    (`box.local:8443`, `[::1]:8443`); asked anew each time, since names can be added while the box runs."""

    config: Config
    home: Home
    bus: Bus
    clock: Callable[[], datetime]
    names: Callable[[], Sequence[str]]
    secrets: BoxSecrets
    accounts: Accounts
    tokens: Tokens
    oauth: OAuth
    teams: Teams
    instances: Instances
    storage: Storage
    deploys: Deploys
    audit: Audit
    stacks: Stacks
    catalogue: Catalogue
    box: Box
    broker: BrokerDesk
    accepted: Accepted
    launchers: LauncherClient
    feed: Feed
    directory: Directory
    resources: Resources
    snapshots: Snapshots
    endpoints: Endpoints
    library: TeamLibrary
    limits: InstanceLimits
    quota: DiskQuota
    operations: Operations
    backups: BackupsOfBox
    sandboxed: bool = False  # whether each instance has a user and a sandbox of its own
