# SPDX-License-Identifier: BSD-3-Clause
"""The pages of a failure in another run, which has them elsewhere: found by their owners."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from dumps.sample import Image, Sample
from verdict.fake_chain import KHORIG, LINUX, MACHINE, PLACES, FakeChain
from view.handover_image import PAGE, RAM, fdt_bytes

from khorig.guest.event import GuestEvent
from khorig.kho.owned_page import OwnedPage
from khorig.kho.snapshot import Snapshot
from khorig.mem.untrusted import Untrusted
from khorig.rules.changed import Changed
from khorig.rules.finding import Finding
from khorig.run.judging import StopContext
from khorig.run.stop_snapshot import snapshot_at
from khorig.run.store_watch import StoreWatch
from khorig.run.watched_pages import WatchedPages
from khorig.run.who import Who


STOP = GuestEvent("stop", 1, 0, 0.0, {"ev": "stop", "at": "sealed"})


class _Elsewhere(Image):
    """The same parts at other addresses, with other distances between them."""

    def allocate(self, order: int = 0) -> int:
        self._next = max(self._next, RAM.begin) + (17 + order) * PAGE
        return super().allocate(order)


def _failed(name: str) -> tuple[Finding, int]:
    """A run in which the page of a place changes after `sealed`, and its address."""
    chain = _sealed()
    chain.flip(PLACES[name](chain))
    chain.is_entered(2)
    finding = next(finding for finding in chain.findings if finding.changed)
    return finding, _page(chain, name)


def _sealed(sample: Sample | None = None) -> FakeChain:
    chain = FakeChain(LINUX, LINUX, sample=sample, probed=True, counted=False)
    chain.boots(1)
    assert chain.restores(1) == chain.seals(1, is_jump=True) == set(), chain.findings
    return chain


def _page(chain: FakeChain, name: str) -> int:
    return PLACES[name](chain) // PAGE * PAGE


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> FakeChain:
    """A second run, up to its `sealed`, of another layout."""
    with monkeypatch.context() as patch:
        patch.setattr("dumps.sample.Image", _Elsewhere)
        sample = Sample()
    return _sealed(sample)


def _context(chain: FakeChain, **fields: Any) -> StopContext:
    event = GuestEvent("stop", 1, 0, 0.0, {"ev": "stop", "at": "sealed", **fields})
    return StopContext(1, "sealed", event, chain.image.ram, MACHINE, is_jump=True)


@pytest.mark.parametrize("name", [name for name in PLACES if name != "free page"])
@pytest.mark.parametrize("is_told", [False, True])
def test_a_page_is_found_by_its_owner_and_its_place_there(
    again: FakeChain, name: str, is_told: bool
) -> None:
    finding, first = _failed(name)
    assert finding.changed and finding.changed.pages[0] == first
    root = {"root": hex(again.image.root)} if is_told else {}  # as a khorig does
    watched = WatchedPages.at(_context(again, **root), finding.changed)
    assert watched.pages == (_page(again, name),) != (first,)
    (page,) = watched.others
    assert page.line == (
        f"{finding.owner} is at {watched.pages[0]:#018x} in this run, {first:#018x} in the first"
    )


def test_the_rest_of_a_fragments_block_is_found_too(again: FakeChain) -> None:
    """Linux preserves what it allocates, which may be more than a page."""

    def with_rest(sample: Sample) -> tuple[Snapshot, int]:
        image = sample.image
        at = image.preserved_block(1)
        image.ram.write(at, fdt_bytes({"compatible": "other"}))
        image.clients["wide"] = image.link(at)
        sample.finish()
        found = snapshot_at(StopContext(1, "sealed", STOP, image.ram, MACHINE), 12)
        assert found is not None
        return found, at >> 12

    first, frame = with_rest(Sample())
    other, elsewhere = with_rest(again.sample)
    places = [first.locate(frame), first.locate(frame + 1)]
    assert [str(place) for place in places] == [
        "fragment /wide page 0",
        "fragment /wide page 0 and 1 beyond",
    ]
    assert [place and other.find(place) for place in places] == [elsewhere, elsewhere + 1]
    far = OwnedPage("fragment /wide", 0, beyond=2)
    assert other.find(far) is None and elsewhere != frame


def test_the_text_has_the_address_of_this_run(again: FakeChain) -> None:
    finding, first = _failed("LUO sessions")
    assert finding.changed
    vm = SimpleNamespace(probe=None, qemu=SimpleNamespace(freeze=lambda: None, thaw=lambda: None))
    watch = StoreWatch(finding.changed, again.spec, {})
    watch.before_rig(_context(again), vm)
    again.flip(PLACES["LUO sessions"](again))
    watch.after_rig(_context(again), vm)
    who = watch.finish(vm)
    now = _page(again, "LUO sessions")
    assert who.pages == (f"{now:#018x}",)
    assert who.rig[0].startswith(f"hook at sealed in generation 1: {now + 3000:#018x}: ")
    assert who.lines[-1] == (
        f"LUO sessions 0 (order 0) page 0 is at {now:#018x} in this run, {first:#018x} in the first"
    )
    assert Who.of(json.loads(json.dumps(who.json()))) == who


def test_what_is_not_found_keeps_its_address_and_is_named(again: FakeChain) -> None:
    owners = (OwnedPage("memblock/gone", 3), None, OwnedPage("LUO sessions", 99))
    changed = Changed(1, "sealed", PAGE, (PAGE, 2 * PAGE, 3 * PAGE), 3, owners)
    watched = WatchedPages.at(_context(again), changed)
    assert watched.pages == changed.pages
    assert [page.line for page in watched.others] == [
        "0x0000000000001000 watched by its address in the first run: "
        "memblock/gone page 3 is not found",
        "0x0000000000002000 watched by its address in the first run: no owner known",
        "0x0000000000003000 watched by its address in the first run: "
        "LUO sessions page 99 is not found",
    ]
    many = Who(1, "sealed", others=watched.others * 2)
    assert many.lines[-1] == "3 more pages elsewhere or not found"


def test_memory_without_a_handover_has_no_owners(again: FakeChain) -> None:
    finding, first = _failed("root")
    again.image.ram.write(again.image.root, bytes(PAGE))
    assert finding.changed
    watched = WatchedPages.at(_context(again, root=hex(again.image.root)), finding.changed)
    assert watched.pages == (first,) and not watched.others[0].found


def test_a_run_that_counts_instructions_has_the_same_addresses(again: FakeChain) -> None:
    chain = FakeChain(LINUX, KHORIG, sample=again.sample, counted=True)
    page = again.image.root + PAGE
    changed = Changed(1, "sealed", PAGE, (page,), 1, (OwnedPage("root"),))
    vm = SimpleNamespace(probe=None, qemu=SimpleNamespace(freeze=lambda: None, thaw=lambda: None))
    watch = StoreWatch(changed, chain.spec, {})
    watch.before_rig(_context(again), vm)
    watch.after_rig(_context(again), vm)
    who = watch.finish(vm)
    assert who.pages == (f"{page:#018x}",) and who.others == ()


def test_owners_come_back_from_json_as_they_were() -> None:
    changed = Changed.since(
        1, "sealed", PAGE, [3 * PAGE, PAGE], lambda f: OwnedPage("a", f, 1, 2) if f > 1 else None
    )
    record = json.loads(json.dumps(Finding("KHR-I080", "what", changed=changed).json()))
    assert Finding.of(record).changed == changed
    del record["changed"]["owners"]  # of an older version
    older = Finding.of(record).changed
    assert older and older.owned == ((PAGE, None), (3 * PAGE, None))
    for wrong in ([{"owner": 1}], [{"owner": "a", "page": -1}], [{}], "x", [1]):
        with pytest.raises(Untrusted):
            Changed.of({**record["changed"], "owners": wrong})
