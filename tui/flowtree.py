"""Flows as a tree: tabs, subflows and global nodes, each with what lies on it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

Node = Mapping[str, Any]
LAYOUT = frozenset({"x", "y", "w", "h"})
GLOBAL = ""  # the place of nodes that lie on no tab
MOST_BYTES = 20_000  # of one node, when its text is looked through


class Row(Struct, frozen=True):
    """A line of the tree. `ident` is empty for the heading of the global nodes; `inside` counts what lies on it."""

    ident: str
    depth: int
    name: str
    kind: str
    inside: int = 0
    open: bool = False
    off: bool = False


class Tree:
    """One set of flows. Node-RED's array, or what an export wraps around it."""

    def __init__(self, flows: object) -> None:
        listed = flows.get("flows", []) if isinstance(flows, Mapping) else flows
        self.nodes: list[Node] = (
            [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
        )
        self.by_id = {str(each.get("id", "")): each for each in self.nodes}
        self.roots = [each for each in self.nodes if each.get("type") in ("tab", "subflow")]
        self._lying: dict[str, list[Node]] = {}
        known = {str(each.get("id", "")) for each in self.roots}
        for each in self.nodes:
            if each.get("type") not in ("tab", "subflow"):
                place = str(each.get("z") or GLOBAL)
                self._lying.setdefault(place if place in known else GLOBAL, []).append(each)

    @property
    def places(self) -> list[str]:
        """What can be opened and closed."""
        found = [str(each.get("id", "")) for each in self.roots]
        return [*found, *([GLOBAL] if self._lying.get(GLOBAL) else [])]

    def rows(self, opened: Collection[str], pattern: str = "") -> list[Row]:
        """The lines to show: with a pattern the nodes that have it in any of their texts, with where they lie."""
        found: list[Row] = []
        for place in self.places:
            root = self.by_id.get(place)
            inside = self._lying.get(place, [])
            hits = [each for each in inside if _has(each, pattern)] if pattern else inside
            if pattern and not hits and not (root is not None and _has(root, pattern)):
                continue
            open_now = place in opened or bool(pattern)
            found.append(_heading(place, root, len(inside), open_now))
            if open_now:
                found += [_line(each) for each in hits]
        return found

    def facts(self, ident: str) -> list[tuple[str, str]]:
        """All properties of a node: label and text, its place and its wires by name."""
        node = self.by_id.get(ident)
        if node is None:
            return []
        told = [("id", ident), ("type", str(node.get("type", "")))]
        place = self.by_id.get(str(node.get("z", "")))
        if place is not None:
            told.append(("on", name_of(place)))
        for key, value in node.items():
            if key not in ("id", "type", "z", "wires") and key not in LAYOUT:
                told.append((str(key), value if isinstance(value, str) else msgspec.json.encode(value).decode()))
        for number, port in enumerate(node.get("wires") or [], 1):
            targets = [self.by_id.get(str(each)) for each in port] if isinstance(port, list) else []
            to = ", ".join(f"{each.get('type')} {name_of(each)}" for each in targets if each is not None)
            told.append((f"output {number}", to or "nothing"))
        return told


def name_of(node: Node) -> str:
    """What people call it: its label or name, else its id."""
    named = node.get("label") if node.get("type") in ("tab", "group") else node.get("name")
    return str(named or node.get("name") or node.get("id", ""))


def summary(tree: Tree) -> str:
    """`3 tabs, 1 subflow, 42 nodes`."""
    tabs = sum(each.get("type") == "tab" for each in tree.roots)
    subflows = len(tree.roots) - tabs
    nodes = len(tree.nodes) - len(tree.roots)
    return ", ".join(
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in ((tabs, "tab"), (subflows, "subflow"), (nodes, "node"))
        if count or noun == "node"
    )


def _heading(place: str, root: Node | None, inside: int, open_now: bool) -> Row:
    if root is None:
        return Row("", 0, "used by all", "global nodes", inside, open_now)
    return Row(place, 0, name_of(root), str(root.get("type")), inside, open_now, bool(root.get("disabled")))


def _line(node: Node) -> Row:
    return Row(str(node.get("id", "")), 1, name_of(node), str(node.get("type", "")), off=bool(node.get("d")))


def _has(node: Node, pattern: str) -> bool:
    text = msgspec.json.encode(node)[:MOST_BYTES].decode("utf-8", "replace").lower()
    inverted, wanted = pattern.startswith("!"), pattern.removeprefix("!").lower()
    return (wanted in text) is not inverted


def parse(raw: bytes | msgspec.Raw) -> Tree:
    """The stored flows; what is no JSON is an empty tree."""
    try:
        return Tree(msgspec.json.decode(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Tree([])


def opened_all(tree: Tree, opened: Sequence[str] | Collection[str]) -> bool:
    """Whether everything is open already."""
    return all(place in opened for place in tree.places)
