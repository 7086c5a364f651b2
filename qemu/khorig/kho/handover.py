# SPDX-License-Identifier: BSD-3-Clause
"""A whole handover: the root page, the tree of preserved blocks, and all that hangs from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Mapping

from khorig.kho.blocks import BlockIndex, Blocks
from khorig.kho.codecs import ONLY_CURRENT, Codec, Tracker
from khorig.kho.fdt import FdtNode
from khorig.kho.fragment import (
    Fragment,
    Link,
    is_link,
    looks_like_fragment,
    open_fragment,
    read_link,
    read_sizeless_link,
    string_property,
    u64_property,
)
from khorig.kho.layout import (
    COMPATIBLE_PROPERTY,
    MAP_PROPERTY,
    MAX_FRAGMENT_DEPTH,
    Geometry,
)
from khorig.kho.radix import sound_blocks
from khorig.kho.version import COMPONENTS, Version
from khorig.mem.errors import DecodeError, Problem, Problems
from khorig.mem.memory import PhysicalMemory, range_at

_MOST_LISTED = 1 << 20  # where no tracker bounds the lists of a hostile dump


@dataclass(frozen=True, eq=False)
class Handover:
    """What one kernel left for the next."""

    codec: Codec
    root: Fragment
    tree: Tracker
    blocks: Blocks  # those of the tree that lie in RAM and do not overlap, by key
    index: BlockIndex  # over `blocks`
    fragments: tuple[Fragment, ...]  # the root first; parents before children
    blobs: tuple[Link, ...]  # links to what is no fragment
    clients: int  # subnodes of the root
    problems: tuple[Problem, ...]

    def __repr__(self) -> str:
        pages = self.blocks.page_count
        parts = (
            f"{len(self.blocks)} blocks, {pages << self.geometry.page_shift:#x} bytes",
            f"{len(self.fragments)} fragments, {len(self.blobs)} blobs, {self.clients} clients",
            f"{len(self.problems)} problems",
        )
        return f"<{self.codec.compatible} at {self.root.address:#x}: {', '.join(parts)}>"

    @property
    def geometry(self) -> Geometry:
        """What follows from the page size of the kernel that wrote it."""
        return self.tree.geometry

    @property
    def most_listed(self) -> int:
        """How many blocks clients can list: as many as are preserved. A kernel that has restored
        the handover has emptied the tracker, and the lists are still there."""
        return len(self.blocks) or _MOST_LISTED

    @property
    def depth(self) -> int:
        """Of the fragments; the root alone is 1."""
        return max(f.depth for f in self.fragments)

    def fragment(self, path: str) -> Fragment | None:
        """The fragment that hangs at `path`, such as "/khorig"."""
        return next((f for f in self.fragments if f.path == path), None)

    def blob(self, path: str) -> Link | None:
        """The plain blob that hangs at `path`."""
        return next((b for b in self.blobs if b.path == path), None)


class _Links:
    """Follows links from fragment to fragment, without recursion."""

    def __init__(
        self,
        memory: PhysicalMemory,
        index: BlockIndex,
        geometry: Geometry,
        codec: Codec,
        lenient: bool,
    ) -> None:
        self.memory = memory
        self.index = index
        self.geometry = geometry
        self.codec = codec
        self.lenient = lenient
        self.problems = Problems("link")
        self.fragments: list[Fragment] = []
        self.blobs: list[Link] = []
        self._seen: set[int] = set()

    def follow(self, root: Fragment) -> None:
        """Reads everything below `root`."""
        self._seen.add(root.address)
        pending = [root]
        while pending:
            fragment = pending.pop()
            self.fragments.append(fragment)
            below = [self._open(link, fragment) for link in self._links(fragment)]
            pending.extend(f for f in reversed(below) if f is not None)

    def _links(self, fragment: Fragment) -> list[Link]:
        links = []
        for path, node in fragment.tree.walk(fragment.path):
            # A client of the root has no choice: it is a link.
            is_client = fragment.depth == 1 and path.count("/") == 1
            if self._is_link(node) or is_client:
                try:
                    links.append(self._read(node, path, fragment.address))
                except DecodeError as error:
                    self.problems.keep(error.problem)
        return links

    def _is_link(self, node: FdtNode) -> bool:
        return bool(self.codec.size_property) and is_link(node)

    def _read(self, node: FdtNode, path: str, address: int) -> Link:
        if self.codec.size_property:
            return read_link(node, path, address)
        return read_sizeless_link(self.memory, node, path, address, self.codec.data_property)

    def _open(self, link: Link, parent: Fragment) -> Fragment | None:
        """The fragment behind a link; None when it is a plain blob or broken, which is noted."""
        try:
            try:
                self._check_preserved(link)
            except DecodeError as error:
                if not self.lenient or error.problem.id == "outside-ram":
                    raise
                self.problems.keep(error.problem)
            if not looks_like_fragment(self.memory, link.blob, self.geometry):
                self.blobs.append(link)
                return None
            address = link.blob.begin
            if address in self._seen:
                raise DecodeError("fragment-cycle", address, f"{link.path} is reached twice")
            if parent.depth >= MAX_FRAGMENT_DEPTH:
                raise DecodeError(
                    "fragment-depth", address, f"{link.path} is deeper than {MAX_FRAGMENT_DEPTH}"
                )
            self._seen.add(address)
            return open_fragment(self.memory, address, link.path, parent.depth + 1, self.geometry)
        except DecodeError as error:
            self.problems.keep(error.problem)
            return None

    def _check_preserved(self, link: Link) -> None:
        shift = self.geometry.page_shift
        first = link.blob.begin >> shift
        count = (link.blob.end + self.geometry.page_size - 1 >> shift) - first
        if not range_at(self.memory.ranges, link.blob.begin).contains(link.blob.begin, 1):
            raise DecodeError("outside-ram", link.blob.begin, f"the blob of {link.path}")
        gap = self.index.first_gap(first, count)
        if gap == first:
            raise DecodeError(
                "blob-not-preserved",
                link.blob.begin,
                f"{link.path}: its first page {gap << shift:#018x} is not preserved",
            )
        if gap is not None:
            text = f"preserved only up to {gap << shift:#018x}"
            raise DecodeError(
                "blob-size-range",
                link.blob.begin,
                f"{link.path}: {link.blob.size:#x} bytes, {text}",
            )


def disorder(version: Version, address: int, subject: str) -> Problem:
    """What is wrong with a version whose components are not as they must be."""
    expected = ";".join((version.base, *sorted(set(version.components))))
    text = f"version {version.text[:80]!r}, expected {expected[:80]!r}"
    return Problem("version-order", address, text, subject)


def open_root(
    memory: PhysicalMemory,
    address: int,
    geometry: Geometry,
    codecs: Mapping[str, Codec] = ONLY_CURRENT,
) -> Fragment:
    """Reads the root page of a version that `codecs` has.

    Raises DecodeError: "unaligned", what `open_fragment` raises, "compatible-missing",
    "compatible-mismatch".
    """
    if address % geometry.page_size:
        raise DecodeError("unaligned", address, "the root is not at the start of a page")
    root = open_fragment(memory, address, "", 1, geometry)
    if COMPATIBLE_PROPERTY not in root.tree.properties:
        raise DecodeError("compatible-missing", address, "the root has no 'compatible'")
    found = string_property(root.tree, COMPATIBLE_PROPERTY)
    version = Version.of(found or "")
    if version.base not in codecs:
        expected = " or ".join(map(repr, codecs))
        raise DecodeError(
            "compatible-mismatch", address, f"compatible {found!r}, expected {expected}"
        )
    if not version.is_readable:
        raise DecodeError(
            "compatible-mismatch",
            address,
            f"compatible {found!r} names {version.unknown[0]!r}, expected one of {COMPONENTS}",
        )
    return root


def decode_handover(
    memory: PhysicalMemory,
    root_address: int,
    geometry: Geometry,
    codecs: Mapping[str, Codec] = ONLY_CURRENT,
    lenient: bool = False,
) -> Handover:
    """Reads everything that hangs from the root page at `root_address`. `lenient` also reads what
    is not preserved, for a handover that was taken back already.

    Raises DecodeError only when there is no usable root: see `open_root`, and "map-missing",
    "property-size" for its map pointer. Everything else is in `problems`; what hangs behind a
    problem is left out.
    """
    root = open_root(memory, root_address, geometry, codecs)
    version = Version.of(root.compatible)
    codec = replace(codecs[version.base], compatible=version.text)
    map_pointer = u64_property(root.tree, MAP_PROPERTY, "map-missing", root_address)
    tree = codec.decode_tracker(memory, map_pointer, geometry, root_address)
    sound = sound_blocks(tree.blocks, memory, geometry)
    index = BlockIndex(sound.blocks)
    links = _Links(memory, index, geometry, codec, lenient)
    if index.find(root_address >> geometry.page_shift) is None:
        links.problems.add("blob-not-preserved", root_address, "the root page is not preserved")
    if not version.is_ordered:
        links.problems.keep(disorder(version, root_address, "root"))
    links.follow(root)
    return Handover(
        codec=codec,
        root=root,
        tree=tree,
        blocks=sound.blocks,
        index=index,
        fragments=tuple(links.fragments),
        blobs=tuple(links.blobs),
        clients=len(root.tree.children),
        problems=tree.problems + sound.problems + tuple(links.problems.items),
    )
