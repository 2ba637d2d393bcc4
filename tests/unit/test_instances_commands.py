"""What commands make of what is wanted, and what launchers report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.errors import Conflict, Invalid, NotFound, WeirError
from appliance.model import SYSTEM, Desired, Manner, Observation, Phase, Role, Subject
from appliance.schema.common import Page
from appliance.schema.instances import Instance, UpdateState
from appliance.services import wishes
from appliance.services.wishes import Wish
from tests.service_rig import Rig, service_rig

SAFELY = wishes.restart_so(Manner(safe=True))
RUN, STOP, SUSPEND, DELETE = Desired.RUNNING, Desired.STOPPED, Desired.SUSPENDED, Desired.DELETING


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


@pytest.mark.parametrize(
    ("command", "desired", "shown", "outcome"),
    [
        (wishes.start, SUSPEND, "suspended", Wish(RUN, "project.started", placed_anew=True)),
        (wishes.start, STOP, "stopped", Wish(RUN, "project.started", command=True)),
        (wishes.start, RUN, "crashed", Wish(RUN, "project.started", command=True)),
        (wishes.start, RUN, "error", Wish(RUN, "project.started", placed_anew=True, command=True)),
        (wishes.start, RUN, "running", None),
        (wishes.start, RUN, "installing", None),
        (wishes.start, DELETE, "deleting", Conflict),
        (wishes.stop, RUN, "running", Wish(STOP, "project.stopped", command=True)),
        (wishes.stop, STOP, "stopped", None),
        (wishes.stop, SUSPEND, "suspended", Invalid),
        (wishes.stop, DELETE, "deleting", Conflict),
        (wishes.restart, RUN, "running", Wish(RUN, "project.restarted", command=True)),
        (wishes.restart, STOP, "stopped", Wish(RUN, "project.restarted", command=True)),
        (wishes.restart, SUSPEND, "suspended", Invalid),
        (SAFELY, RUN, "running", Wish(RUN, "project.restarted", command=True, so=("safe",))),
        (SAFELY, STOP, "stopped", Wish(RUN, "project.restarted", command=True, so=("safe",))),
        (SAFELY, RUN, "loading", Conflict),
        (SAFELY, RUN, "error", Conflict),
        (SAFELY, SUSPEND, "suspended", Invalid),
        (SAFELY, DELETE, "running", Conflict),
        (
            wishes.restart_so(Manner(now=True)),
            RUN,
            "crashed",
            Wish(RUN, "project.restarted", command=True, so=("now",)),
        ),
        (wishes.suspend, RUN, "running", Wish(SUSPEND, "project.suspended")),
        (wishes.suspend, STOP, "stopped", Wish(SUSPEND, "project.suspended")),
        (wishes.suspend, SUSPEND, "suspended", Invalid),
        (wishes.delete, SUSPEND, "suspended", Wish(DELETE, "project.deleted")),
        (wishes.delete, DELETE, "deleting", None),
    ],
)
def test_wishes(command: object, desired: Desired, shown: str, outcome: object) -> None:
    assert callable(command)
    if isinstance(outcome, type) and issubclass(outcome, WeirError):
        with pytest.raises(outcome):
            command(desired, shown)
    else:
        assert command(desired, shown) == outcome


async def test_a_suspended_instance_is_refused_with_the_code_of_the_reference(rig: Rig) -> None:
    made = await rig.create()
    await rig.instances.suspend(rig.admin, made.id)
    for command in (rig.instances.stop, rig.instances.restart, rig.instances.suspend):
        with pytest.raises(Invalid) as refused:
            await command(rig.admin, made.id)
        assert refused.value.code == "project_suspended"
    with pytest.raises(Invalid) as refused:
        await rig.instances.settings_document(made.id, "launcher")
    assert refused.value.code == "project_suspended"


async def test_the_manner_of_a_restart_is_known_until_it_is_carried_out(rig: Rig) -> None:
    made = await rig.create()
    rig.observed.know(await rig.spec(made.id))
    await rig.instances.restart_so(rig.admin, made.id, Manner(safe=True))
    number = (await rig.spec(made.id)).command_generation
    assert rig.observed.manner(made.id, number) == Manner(safe=True)
    assert rig.observed.manner(made.id, number + 1) == Manner(), "a later wish is an ordinary one"
    entry = (await rig.entries(made.id))[0]
    assert (entry.event, entry.body["info"]) == ("project.restarted", {"safe": True})
    await rig.instances.shell_opened(rig.admin, made.id, "root")
    entry = (await rig.entries(made.id))[0]
    assert (entry.event, entry.body["info"]) == ("instance.shell.opened", {"account": "root"})


async def test_commands_count_generations(rig: Rig) -> None:
    made = await rig.create()
    before = await rig.spec(made.id)
    assert (before.desired, before.generation, before.command_generation) == (RUN, 1, 0)
    await rig.instances.stop(rig.admin, made.id)
    await rig.instances.restart(rig.admin, made.id)
    await rig.instances.suspend(rig.admin, made.id)
    suspended = await rig.spec(made.id)
    assert (suspended.desired, suspended.generation, suspended.command_generation) == (SUSPEND, 1, 2)
    await rig.instances.start(rig.admin, made.id)
    after = await rig.spec(made.id)
    assert (after.desired, after.generation, after.command_generation) == (RUN, 2, 2)
    assert rig.pokes == [made.id] * 5
    told = [entry.event for entry in await rig.entries(made.id)]
    assert told == ["project.started", "project.suspended", "project.restarted", "project.stopped", "project.created"]


async def test_starting_what_runs_changes_nothing(rig: Rig) -> None:
    made = await rig.create()
    await _running(rig, made)
    before = await rig.spec(made.id)
    await rig.instances.start(rig.admin, made.id)
    assert await rig.spec(made.id) == before
    assert [entry.event for entry in await rig.entries(made.id)] == ["project.created"]


async def test_commands_for_what_is_not_there(rig: Rig) -> None:
    for command in (rig.instances.start, rig.instances.stop, rig.instances.delete):
        with pytest.raises(NotFound):
            await command(rig.admin, "00000000-0000-4000-8000-000000000000")
    assert rig.pokes == []


async def test_deleting_twice_is_told_once(rig: Rig) -> None:
    made = await rig.create()
    await rig.instances.delete(rig.admin, made.id)
    await rig.instances.delete(rig.admin, made.id)
    assert [entry.event for entry in await rig.entries(made.id)] == ["project.deleted", "project.created"]
    assert (await rig.instances.get(made.id)).meta.state == "deleting"


async def test_who_may_see_what(rig: Rig) -> None:
    team_id, application_id = await rig.team("other")
    mine, theirs = await rig.create("mine"), await rig.create("theirs", application_id=application_id)
    viewer = await rig.member("vera", Role.VIEWER)
    both = {mine.id, theirs.id}
    assert await _seen(rig, viewer) == {mine.id}
    assert await _seen(rig, rig.admin) == both
    assert await _seen(rig, SYSTEM) == both
    assert await _seen(rig, replace(rig.admin, team_ids=frozenset({team_id}))) == {theirs.id}
    assert await _seen(rig, replace(viewer, team_ids=frozenset({team_id}))) == set()
    assert await _seen(rig, Subject(kind="node_red", instance_id=mine.id, team_id=rig.made.team_id)) == {mine.id}
    assert await rig.instances.find("MINE", viewer) == mine.id
    assert await rig.instances.find(mine.id, viewer) == mine.id
    for name in ("theirs", theirs.id, "nobody"):
        with pytest.raises(NotFound):
            await rig.instances.find(name, viewer)


async def _seen(rig: Rig, subject: Subject) -> set[str]:
    return {instance.id for instance in (await rig.instances.list(subject)).instances}


async def test_a_page_of_a_team(rig: Rig) -> None:
    names = [f"line-{n}" for n in range(5)]
    for name in names:
        await rig.create(name)
    first = await rig.instances.team_list(rig.made.team_id, Page(limit=2))
    assert [instance.name for instance in first.projects] == names[:2]
    second = await rig.instances.team_list(rig.made.team_id, Page(limit=2, cursor=first.meta.next_cursor))
    assert [instance.name for instance in second.projects] == names[2:4]
    last = await rig.instances.team_list(rig.made.team_id, Page(limit=2, cursor=second.meta.next_cursor))
    assert ([instance.name for instance in last.projects], last.meta.next_cursor) == (names[4:], None)
    found = await rig.instances.team_list(rig.made.team_id, Page(query="LINE-3"))
    assert [instance.name for instance in found.projects] == ["line-3"]
    assert (await rig.instances.application_list(rig.made.application_id)).count == 5


async def _running(rig: Rig, made: Instance) -> None:
    """As the reconciler and a launcher would make it known."""
    rig.observed.know(await rig.spec(made.id))
    rig.observed.seen(Observation(id=made.id, phase=Phase.UP, generation=1, pid=11))
    body = UpdateState(
        state="running", seq=1, pid=11, node_red_pid=12, command_generation=0, versions={"node-red": "5.0.7"}
    )
    await rig.instances.report_state(made.id, body)
    rig.observed.serving(made.id, 12)
    assert (await rig.instances.get(made.id)).meta.state == "running"


async def test_a_report_is_shown_and_its_versions_are_kept(rig: Rig) -> None:
    made = await rig.create()
    await _running(rig, made)
    shown = (await rig.instances.get(made.id)).meta
    assert (shown.launcher_pid, shown.node_red_pid, shown.versions) == (11, 12, {"node-red": "5.0.7"})
    rig.observed.forget(made.id)
    assert (await rig.instances.get(made.id)).meta.versions == {"node-red": "5.0.7"}, "also when nothing is seen"


async def test_the_published_launcher_says_its_state_only(rig: Rig) -> None:
    made = await rig.create()
    await rig.instances.restart(rig.admin, made.id)
    rig.observed.know(await rig.spec(made.id))
    rig.observed.seen(Observation(id=made.id, phase=Phase.UP, generation=1, pid=11))
    await rig.instances.report_state(made.id, UpdateState(state="crashed"))
    assert (await rig.instances.get(made.id)).meta.state == "crashed", "not for ever 'restarting'"


async def test_an_unknown_state_is_refused(rig: Rig) -> None:
    made = await rig.create()
    with pytest.raises(Invalid, match="'dancing'"):
        await rig.instances.report_state(made.id, UpdateState(state="dancing"))


async def test_specs_name_the_built_stack_or_none(rig: Rig) -> None:
    made = await rig.create()
    (spec,) = await rig.instances.specs()
    assert spec == await rig.spec(made.id)
    assert spec.stack is not None
    assert (spec.stack_name, spec.memory_mb) == ("node-red-5", 256)
    assert (spec.public_port, spec.node_red_port, spec.launcher_port) == (10000, 12080, 13080)
    rig.built.clear()
    assert (await rig.spec(made.id)).stack is None


async def test_the_catalogue(rig: Rig) -> None:
    await rig.create()
    (stack,) = (await rig.stacks.list()).stacks
    assert (stack.name, stack.built, stack.instance_count) == ("node-red-5", True, 1)
    assert await rig.stacks.get("node-red-5") == stack
    (template,) = (await rig.stacks.templates()).templates
    assert await rig.stacks.template(template.id) == template
    (kind,) = (await rig.stacks.types()).types
    assert (await rig.stacks.type(kind.id)).stack_count == 1
    for lookup in (rig.stacks.get, rig.stacks.template, rig.stacks.type):
        with pytest.raises(NotFound):
            await lookup("nothing")


async def test_two_starts_at_the_same_time_are_one(rig: Rig) -> None:
    """Two people press the key in the same moment: Node-RED is not started and then restarted."""
    instance = await rig.create()
    await rig.instances.stop(rig.admin, instance.id)
    before = await rig.spec(instance.id)
    await asyncio.gather(*(rig.instances.start(rig.admin, instance.id) for _ in range(3)))
    after = await rig.spec(instance.id)
    assert after.desired is RUN
    assert after.command_generation == before.command_generation + 1
    assert [entry.event for entry in await rig.entries(instance.id)].count("project.started") == 1
