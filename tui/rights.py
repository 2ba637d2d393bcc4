"""What the user may do, from the permission data of the box. Pure; the box itself decides again at every request."""

from __future__ import annotations

from appliance.schema.users import OwnPermissions

ADMIN = 99


class Rights:
    """Answers from the box's table. Without one (an older box) nothing is hidden: the box refuses what may not be.

    Before the first answer nothing that needs a permission is offered.
    """

    def __init__(self) -> None:
        self._told: OwnPermissions | None = None
        self._unknown = False

    def tell(self, told: OwnPermissions | None) -> None:
        """Take the box's answer; None when it does not have the route."""
        self._told, self._unknown = told, told is None

    @property
    def known(self) -> bool:
        """Whether the box has answered."""
        return self._unknown or self._told is not None

    def may(self, permission: str, team_id: str | None = None) -> bool:
        """Whether the user may do that in a team, or without `team_id` in any team or on the box."""
        if not permission or self._unknown:
            return True
        if self._told is None or permission not in self._told.permissions:
            return False
        needed = self._told.permissions[permission]
        if self._told.admin or needed <= 0:
            return True
        roles = self._told.teams
        if team_id is None and needed >= ADMIN:  # on the box as a whole an administrator of some teams is none
            return False
        return (max(roles.values(), default=0) if team_id is None else roles.get(team_id, 0)) >= needed
