# SPDX-License-Identifier: BSD-3-Clause
"""A poke is read, finds its place by address or owner, and is done once or fails the run."""

from __future__ import annotations

import pytest
from verdict.fake_guest import ARRAY, KHO_DATA, PARAMETERS, FakeGuest, block_of, sealed_guest
from view.handover_image import PAGE, RAM

from khorig.guest.event import GuestEvent
from khorig.guest.machine import MachineFacts
from khorig.guest.poke import Poke, parse_poke
from khorig.guest.poked import Poked
from khorig.rules.finding import Finding
from khorig.run.judging import StopContext
from khorig.run.poke.place import Place, find_place
from khorig.run.poke.poker import Poker


@pytest.mark.parametrize(
    ("text", "poke"),
    [
        ("1:sealed:0x8000000", Poke(1, "sealed", 0x8000000)),
        ("1:sealed:0x8000000+0x10", Poke(1, "sealed", 0x8000000, 16)),
        ("2:sealed:khorig/stores/db0+0x10", Poke(2, "sealed", "khorig/stores/db0", 16)),
        ("2:entry:kho_test folio", Poke(2, "entry", "kho_test folio")),
        ("3:restored:LUO/a:b/0x1 folio 3+7", Poke(3, "restored", "LUO/a:b/0x1 folio 3", 7)),
        ("1:sealed:memblock/c++", Poke(1, "sealed", "memblock/c++")),
    ],
)
def test_what_is_read_is_written_the_same(text: str, poke: Poke) -> None:
    assert parse_poke(text) == poke
    assert parse_poke(str(poke)) == poke


@pytest.mark.parametrize(
    "text", ["", "1", "1:sealed", "1:sealed:", "x:sealed:root", "1::root", "-1:sealed:root"]
)
def test_what_is_no_poke(text: str) -> None:
    assert parse_poke(text) is None


def test_the_name_of_a_folder_is_one() -> None:
    assert Poke(1, "sealed", "LUO/a b/0x1 folio", 7).slug == "1_sealed_LUO_a_b_0x1_folio+0x7"


PLACES = [
    Place("block 10 (order 1) page 0", 0xA000, PAGE),
    Place("block 10 (order 1) page 1", 0xB000, PAGE),
    Place("block 9 (order 0) page 0", 0xF000, PAGE),
    Place("store chunk", 0x1000, PAGE),
    Place("store page 1", 0x2000, PAGE),
    Place("store page 0", 0x3000, PAGE),
    Place("fragment /a", 0x4000, PAGE),
    Place("fragment /a/b", 0x5000, PAGE),
    Place("hand-off", 0x6010, 8),
]


@pytest.mark.parametrize(
    ("owner", "offset", "address"),
    [
        ("store", 0, 0x3000),
        ("store", 0x1004, 0x2004),
        ("store", 0x2000, None),
        ("store page 1", 4, 0x2004),
        ("store page 1", PAGE, None),
        ("store chunk", 0, 0x1000),
        ("block", 0, 0xF000),
        ("block", PAGE, 0xA000),
        ("block 10", PAGE, 0xB000),
        ("block 1", 0, None),
        ("fragment", PAGE, 0x5000),
        ("fragment /a", PAGE, None),
        ("hand-off", 7, 0x6017),
        ("hand-off", 8, None),
        ("", 0, None),
    ],
)
def test_an_owner_is_found_by_its_name(owner: str, offset: int, address: int | None) -> None:
    assert find_place(PLACES, owner, offset) == address


def context(guest: FakeGuest, at: str, generation: int) -> StopContext:
    fields = {"at": at, "root": hex(guest.image.root)} if at == "sealed" else {"at": at}
    event = GuestEvent("stop", generation, 0, 0.0, fields)
    boot = GuestEvent("boot", generation, 0, 0.0, {"parameters": hex(PARAMETERS)})
    machine = MachineFacts("x86_64", "q35", RAM.size)
    return StopContext(generation, at, event, guest.image.ram, machine, boot)


def poke(guest: FakeGuest, text: str) -> tuple[list[Poked], list[Finding]]:
    """Takes a run of two generations through its stops."""
    wanted = parse_poke(text)
    assert wanted
    poker = Poker([wanted])
    done: list[Poked] = []
    findings: list[Finding] = []
    for generation, at in ((1, "entry"), (1, "sealed"), (2, "entry"), (2, "restored")):
        poked, found = poker.on_stop(context(guest, at, generation))
        done += poked
        findings += found
    return done, findings + poker.finish()


@pytest.mark.parametrize("at", ["1:sealed", "2:entry", "2:restored"])
def test_one_bit_of_the_owners_memory_changes_once(at: str) -> None:
    guest = sealed_guest()
    address = block_of(guest, 3)
    before = bytes(guest.image.ram.read(RAM.begin, RAM.size))
    done, findings = poke(guest, f"{at}:{address:#x}+0x1005")
    assert findings == []
    (poked,) = done
    assert poked.address == f"{address + 0x1005:#018x}"
    changed = bytearray(before)
    changed[address + 0x1005 - RAM.begin] ^= 1
    assert guest.image.ram.read(RAM.begin, RAM.size) == changed
    assert (poked.before, poked.after) == (before[address + 0x1005 - RAM.begin], poked.before ^ 1)
    # The same place again, by the name that it was found to have.
    named, findings = poke(guest, f"{at}:{poked.owner}+0x5")
    assert findings == []
    assert (named[0].address, named[0].after) == (poked.address, poked.before)


@pytest.mark.parametrize(
    ("owner", "address"), [("hand-off", KHO_DATA), ("scratch array", ARRAY), ("root", None)]
)
def test_what_leads_to_the_handover_has_names(owner: str, address: int | None) -> None:
    for at in ("1:sealed", "2:entry"):
        guest = sealed_guest()
        done, findings = poke(guest, f"{at}:{owner}")
        assert findings == []
        assert done[0].owner == owner
        assert done[0].address == f"{address or guest.image.root:#018x}"


def test_the_tree_has_names() -> None:
    guest = sealed_guest()
    done, findings = poke(guest, f"1:sealed:{guest.image.nodes[-1] + 9:#x}")
    assert findings == []
    assert done[0].owner.startswith("radix node of level 0")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1:sealed:0x1000", "0x0000000000001000 is not RAM"),
        (f"1:sealed:{RAM.end - 1:#x}+1", f"{RAM.end:#018x} is not RAM"),
        ("1:sealed:khorig/stores/nowhere", "no owner 'khorig/stores/nowhere' at this stop"),
        ("1:sealed:root+0x1000", "offset is beyond the memory of 'root'"),
        ("1:entry:root", "no handover at this stop"),
        ("2:sealed:root", "generation 2 did not stop at 'sealed'"),
        ("7:entry:root", "generation 7 did not stop at 'entry'"),
    ],
)
def test_a_poke_that_is_not_done_is_a_finding(text: str, why: str) -> None:
    guest = sealed_guest()
    before = guest.image.ram.read(RAM.begin, RAM.size)
    done, findings = poke(guest, text)
    assert done == []
    (finding,) = findings
    assert finding.what == f"poke {parse_poke(text)} not applied: {why}"
    assert guest.image.ram.read(RAM.begin, RAM.size) == before


def test_runtime_services_are_where_the_firmware_says() -> None:
    guest = sealed_guest()
    wanted = Poke(1, "sealed", "firmware", PAGE + 3)
    poker = Poker([wanted])
    fields = {"runtime": [["0x40200000", "0x1000"], ["0x40300000", "0x2000"]]}
    poker.on_event(GuestEvent("firmware", 1, 0, 0.0, fields))
    done, _ = poker.on_stop(context(guest, "sealed", 1))
    assert [(p.address, p.owner) for p in done] == [("0x0000000040300003", "firmware")]


@pytest.mark.parametrize("runtime", [None, 7, [7], [["0x1"]], [["x", "y"]], [["0x1", 5]]])
def test_nonsense_of_the_firmware_is_no_place(runtime: object) -> None:
    guest = sealed_guest()
    poker = Poker([Poke(1, "sealed", "firmware")])
    poker.on_event(GuestEvent("firmware", 1, 0, 0.0, {"runtime": runtime}))
    done, findings = poker.on_stop(context(guest, "sealed", 1))
    assert done == [] and len(findings) == 1


def test_what_was_taken_back_is_still_found_by_name() -> None:
    """A kernel that has restored its state may use the root's page for something else."""
    guest = sealed_guest()
    poker = Poker([Poke(2, "restored", "memblock/mem0", PAGE)])
    for generation, at in ((1, "sealed"), (2, "entry")):
        assert poker.on_stop(context(guest, at, generation)) == ([], [])
    guest.image.ram.write(guest.image.root, bytes(PAGE))
    done, findings = poker.on_stop(context(guest, "restored", 2))
    assert findings == []
    assert [poked.owner for poked in done] == ["memblock/mem0 page 1"]
