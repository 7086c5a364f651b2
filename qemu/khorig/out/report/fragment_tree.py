# SPDX-License-Identifier: BSD-3-Clause
"""The tree of fragments in a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping


@dataclass
class TreeNode:
    """A fragment or blob."""

    name: str
    address: int
    size: int
    compatible: str = ""
    fragment: bool = False
    children: list[TreeNode] = field(default_factory=list)

    def keep(self, most: int) -> None:
        """Keeps at most `most` nodes below this one, dropping the deepest."""
        level = [self]
        while level:
            following = []
            for node in level:
                node.children = node.children[:most]
                most -= len(node.children)
                following += node.children
            level = following

    @property
    def below(self) -> int:
        """Nodes under this one."""
        return sum(1 + child.below for child in self.children)


def tree_of(picture: Mapping[str, Any]) -> TreeNode | None:
    """The root with its subtree from a journal record, None if there is none. Raises KeyError,
    TypeError, ValueError for a damaged record."""
    nodes: dict[str, TreeNode] = {}
    root: TreeNode | None = None
    for path, address, size, _, compatible in picture.get("fragments", ()):
        node = TreeNode(path, address, size, compatible, fragment=True)
        if root is None:
            root, node.name = node, "root"
        else:
            _hang(node, nodes, root)
        nodes[path] = node
    if root is not None:
        for path, address, size in picture["blobs"]:
            _hang(TreeNode(path, address, size), nodes, root)
    return root


def _hang(node: TreeNode, nodes: Mapping[str, TreeNode], root: TreeNode) -> None:
    """Adds a node below the fragment with the longest matching path."""
    path = node.name
    parent, _, _ = path.rpartition("/")
    while parent and parent not in nodes:
        parent, _, _ = parent.rpartition("/")
    node.name = path[len(parent) :].lstrip("/") or path
    nodes.get(parent, root).children.append(node)
