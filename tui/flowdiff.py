"""What changed between two snapshots: tabs, nodes, properties, settings. Pure.

The flows hold no credentials; hidden variables and passwords come masked from the box.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

# Where a node lies on the canvas, and how wide its group is drawn, changes nothing that it does.
_LAYOUT = frozenset({"x", "y", "w", "h"})
_CONTAINERS = {"tab": "tab", "subflow": "subflow"}
_WIDEST = 60


class Change(Struct, frozen=True):
    """`kind`: tab, subflow, node, setting, variable or module; `how`: added, removed, changed or moved.

    `properties`: name, old, new, as short text; for nodes also where they are.
    """

    kind: str
    how: str
    name: str
    id: str = ""
    where: str = ""
    properties: tuple[tuple[str, str, str], ...] = ()


class Side(Struct, frozen=True):
    """One of the two."""

    flows: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any] = {}
    env: Mapping[str, Any] = {}
    modules: Mapping[str, Any] = {}


def diff(old: Side, new: Side) -> list[Change]:
    """Tabs and subflows first, then nodes in the order of the flows, then settings, variables, modules."""
    nodes = list(_nodes(old.flows, new.flows))
    nodes.sort(key=lambda change: change.kind == "node")
    return [
        *nodes,
        *_named("setting", _flat(old.settings), _flat(new.settings)),
        *_named("variable", old.env, new.env),
        *_named("module", old.modules, new.modules),
    ]


def _nodes(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[Change]:
    before, after = _by_id(old), _by_id(new)
    labels = {key: _label(node) for key, node in {**before, **after}.items()}
    for key in {**before, **after}:
        was, now = before.get(key), after.get(key)
        if was == now:
            continue
        about = now or was or {}
        changed = _properties(was, now) if was is not None and now is not None else ()
        yield Change(
            kind=_CONTAINERS.get(str(about.get("type")), "node"),
            how="added" if was is None else "removed" if now is None else "changed" if changed else "moved",
            name=_label(about),
            id=key,
            where=labels.get(str(about.get("z", "")), ""),
            properties=changed,
        )


def _by_id(flows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {str(node.get("id")): node for node in flows if isinstance(node, Mapping)}


def _label(node: Mapping[str, Any]) -> str:
    kind = str(node.get("type", ""))
    name = str(node.get("label") if kind in ("tab", "group") else node.get("name") or "") or str(node.get("id", ""))
    return name if kind in _CONTAINERS else f"{kind} {name}"


def _properties(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    names = [name for name in {**was, **now} if name not in _LAYOUT and was.get(name) != now.get(name)]
    return tuple((name, short(was.get(name)), short(now.get(name))) for name in names)


def _named(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in {**old, **new}:
        was, now = old.get(name), new.get(name)
        if was == now and (name in old) is (name in new):
            continue
        how = "added" if name not in old else "removed" if name not in new else "changed"
        yield Change(kind=kind, how=how, name=name, properties=((name, _masked(was), _masked(now)),))


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return flat


def _masked(value: Any) -> str:
    return "(hidden)" if isinstance(value, Mapping) and value.get("hidden") else short(value)


def short(value: Any) -> str:
    """A value in one short line; `-` for none."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"
