"""The route table: what is served, to whom, with which bodies. Routing, rights, decoding, the OpenAPI document and
the tests all read it; a route that isn't here does not exist. One module per subject; `rows` has the words they are
written with."""

from __future__ import annotations

from appliance.web.route import Route
from appliance.web.routes.backups import BACKUPS
from appliance.web.routes.box import BOX
from appliance.web.routes.catalogue import CATALOGUE
from appliance.web.routes.endpoints import ENDPOINTS
from appliance.web.routes.instances import INSTANCES, KEPT, TEAMS
from appliance.web.routes.launchers import LAUNCHERS
from appliance.web.routes.library import LIBRARY
from appliance.web.routes.limits import LIMITS
from appliance.web.routes.operations import OPERATIONS
from appliance.web.routes.pages import PAGES
from appliance.web.routes.people import PEOPLE
from appliance.web.routes.resources import RESOURCES
from appliance.web.routes.rows import API
from appliance.web.routes.snapshots import SNAPSHOTS
from appliance.web.routes.ssh import SSH
from appliance.web.routes.storage import STORAGE

__all__ = ["API", "ROUTES"]

ROUTES: tuple[Route, ...] = (
    *PEOPLE,
    *SSH,
    *TEAMS,
    *INSTANCES,
    *LIMITS,
    *KEPT,
    *SNAPSHOTS,
    *ENDPOINTS,
    *CATALOGUE,
    *BOX,
    *OPERATIONS,
    *BACKUPS,
    *LAUNCHERS,
    *RESOURCES,
    *LIBRARY,
    *STORAGE,
    *PAGES,
)
