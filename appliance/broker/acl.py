"""Who may publish and subscribe where (device protocol §3.6). Pure.

Stricter than the reference in one place: its rules let an instance answer calls on `res-<anything>`, which no wildcard
of MQTT can say. Only instances with replicas use these, and this box has none.
"""

from __future__ import annotations

from appliance.broker.model import Right, Rule

CONTROL = "$CONTROL/dynamic-security/v1"
CONTROL_USER = "weir:control"
MARKER_USER = "weir:version"
STATISTICS = "$SYS/broker/clients/connected"


def instance_user(team_id: str, instance_id: str) -> str:
    """The name an instance logs in with."""
    return f"project:{team_id}:{instance_id}"


def of_instance(team_id: str, instance_id: str) -> tuple[Rule, ...]:
    """What an instance may do: messages between the instances of its team, and the team's own space."""
    team, own = f"ff/v1/{team_id}", f"ff/v1/{team_id}/p/{instance_id}"
    heard = (f"{team}/p/+/out/#", f"{own}/in/#")
    return _sorted(
        _listens(f"{team}/l/{instance_id}/command"),
        *(_listens(topic) for topic in (*heard, f"{own}/res/#", f"{team}/c/#")),
        # Replicas of one instance share their messages: the group is the instance and nobody else.
        *(_shares(instance_id, topic) for topic in heard),
        _tells(f"{team}/l/{instance_id}/status"),
        _tells(f"{team}/p/+/in/#"),
        _tells(f"{team}/p/+/res/#"),
        _tells(f"{own}/out/#"),
        _tells(f"{team}/c/#"),
    )


def of_control() -> tuple[Rule, ...]:
    """What the appliance may do at the broker: say who may log in, and ask how many did. No messages of anybody."""
    return _sorted(_tells(CONTROL), _listens(f"{CONTROL}/response"), _listens(STATISTICS))


def _listens(topic: str) -> tuple[Rule, ...]:
    return Rule(Right.SUBSCRIBE, topic), Rule(Right.RECEIVE, topic)


def _shares(group: str, topic: str) -> tuple[Rule, ...]:
    return (Rule(Right.SUBSCRIBE, f"$share/{group}/{topic}"),)


def _tells(topic: str) -> tuple[Rule, ...]:
    return (Rule(Right.PUBLISH, topic),)


def _sorted(*rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(sorted({rule for group in rules for rule in group}))
