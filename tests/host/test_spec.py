# SPDX-License-Identifier: BSD-3-Clause
"""The two kinds of runs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from khorig.guest.chain_run import ChainRun, split_build
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import Poke
from khorig.guest.spec import RunSpec
from khorig.guest.spec_json import spec_from_json, spec_to_json
from khorig.run.rerun import rerun_command
from khorig.run.tamper.runs import tampered

_CHAIN = ("khorig", "linux-7.3", "/boot/vmlinuz")

_SPECS: list[RunSpec] = [
    KhorigRun("x86_64", "q35"),
    KhorigRun(
        "arm64",
        "virt",
        memory=1 << 30,
        numa=(1 << 29, 0, 1 << 29),
        smp=4,
        boot="uefi",
        seed=7,
        timeout_s=1.5,
        stops=(),
        tamper="root-magic",
        pokes=(Poke(1, "sealed", "khorig/log", 16), Poke(2, "entry", 0x1000)),
        extra_options=("a=b",),
        devices=("edu",),
        extra_qemu=("-d", "int"),
        expected_status=41,
        expected_refusals={2: "fdt-magic"},
        scenario="refuse",
        plays=("scenario=refuse",),
        generations=2,
        fault="hang-before-jump",
        page_sizes=("16K", "64K"),
        counted=False,
        probed=True,
        cpu="max,la57=off",
        machine_options=("smm=off",),
        qemu="11.1",
        accel="kvm",
    ),
    ChainRun("x86_64", "q35", kernels=_CHAIN),
    ChainRun(
        "arm64",
        "virt",
        kernels=_CHAIN,
        counted=False,
        linux_options=("2:kho=off",),
        extra_initrd="/tmp/more.cpio",
        programs=("2:/x 'a b'", "3:/y"),
        kexec_flags=("2:no-cma,force-dtb",),
        crash=2,
        stress=(2,),
        page_shifts=(12, 14, 0),
        probed=True,
        measured=True,
        expected_refusals={3: "map-missing"},
    ),
]


@pytest.mark.parametrize("spec", _SPECS, ids=lambda spec: str(spec.id))
def test_a_spec_survives_a_trip_through_a_file(spec: RunSpec) -> None:
    back = spec_from_json(json.loads(json.dumps(spec_to_json(spec))))
    assert back == spec and type(back) is type(spec) and hash(back) == hash(spec)
    assert rerun_command(back) == rerun_command(spec) and back.id == spec.id


def test_the_trips_above_change_every_field() -> None:
    for plain, changed in ((_SPECS[0], _SPECS[1]), (_SPECS[2], _SPECS[3])):
        same = {
            field.name
            for field in dataclasses.fields(plain)
            if getattr(plain, field.name) == getattr(changed, field.name)
        }
        chain_only = {"kernels"} | {f.name for f in dataclasses.fields(RunSpec)}
        assert same <= (chain_only if isinstance(plain, ChainRun) else set()), same


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "windows"}, "kind of run"),
        ({"kind": []}, "kind of run"),
        ({"seed": "7"}, "'seed'"),
        ({"memory": True}, "'memory'"),
        ({"timeout_s": float("nan")}, "'timeout_s'"),
        ({"stops": "sealed"}, "'stops'"),
        ({"extra_qemu": [1]}, "'extra_qemu'"),
        ({"pokes": ["1:sealed"]}, "'pokes'"),
        ({"expected_refusals": {"two": "x"}}, "'expected_refusals'"),
        ({"expected_refusals": [1]}, "'expected_refusals'"),
        ({"machine": None}, "'machine'"),
        ({"kind": "chain", "kernels": ["a"], "kexec_flags": ["1:no-such"]}, "no flag of kexec"),
    ],
)
def test_what_is_no_spec_is_named(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        spec_from_json({**spec_to_json(_SPECS[0]), **change})


def test_a_field_without_default_has_to_be_there() -> None:
    for spec, name in ((_SPECS[0], "machine"), (_SPECS[2], "kernels")):
        record = spec_to_json(spec)
        del record[name]
        with pytest.raises(ValueError, match=name):
            spec_from_json(record)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.sampled_from(_SPECS), st.data())
def test_any_json_is_a_spec_or_an_error(spec: RunSpec, data: st.DataObject) -> None:
    record: Any = spec_to_json(spec)
    record[data.draw(st.sampled_from(sorted(record)))] = data.draw(_JSON)
    try:
        spec_from_json(record)
    except ValueError:
        pass


def test_a_spec_cannot_be_changed() -> None:
    causes = {2: "fdt-magic"}
    spec = KhorigRun("x86_64", "q35", expected_refusals=causes)
    causes[3] = "other"
    assert spec.expected_refusals == {2: "fdt-magic"}
    with pytest.raises(TypeError):
        spec.expected_refusals[3] = "other"  # type: ignore[index]


def test_a_chain_is_as_long_as_its_kernels() -> None:
    chain = ChainRun("x86_64", "q35", kernels=_CHAIN)
    assert chain.generations == 3 and chain.first(2).kernels == _CHAIN[:2]
    assert [chain.kernel_of(generation) for generation in (1, 2, 3)] == list(_CHAIN)
    assert chain.what == "khorig+linux-7.3+vmlinuz"
    assert chain.stops_of(1) == ("sealed", "entry", "restored")
    assert chain.stops_of(2) == ("sealed", "restored")


def test_a_tampered_run_ends_with_the_generation_that_refuses() -> None:
    for spec in (KhorigRun("x86_64", "q35", scenario="refuse"), _SPECS[2]):
        damaged = tampered(spec, "node-to-itself")
        assert type(damaged) is type(spec) and damaged.generations == 2
        assert damaged.defects == ("node-to-itself",) and list(damaged.expected_refusals) == [2]


def test_both_kinds_are_asked_for_by_their_own_verb() -> None:
    assert rerun_command(_SPECS[1]).startswith(
        "scripts/khorig run --machine virt --scenario refuse --generations 2 "
        "--fault hang-before-jump "
    )
    assert rerun_command(_SPECS[3]).startswith(
        "scripts/khorig linux run --machine virt --chain khorig,linux-7.3,/boot/vmlinuz "
        "--linux-append 2:kho=off --initrd /tmp/more.cpio "
        """--run '2:/x '"'"'a b'"'"'' --run 3:/y """
    )


@pytest.mark.parametrize(
    "arch, kernels, generations, shift",
    [
        ("arm64", ("khorig", "linux-7.3"), (1,), 12),
        ("arm64", ("khorig", "linux-7.3"), (2,), None),
        ("arm64", ("khorig", "linux-7.3"), (), None),
        ("arm64", ("khorig", "khorig"), (), 12),
        ("x86_64", ("khorig", "linux-7.3"), (), 12),
    ],
)
def test_the_page_size_of_a_linux_for_arm64_is_not_known(
    arch: str, kernels: tuple[str, ...], generations: tuple[int, ...], shift: int | None
) -> None:
    machine = "q35" if arch == "x86_64" else "virt"
    spec = ChainRun(arch, machine, kernels=kernels)
    assert spec.page_shift_of(*generations) == shift


def test_the_page_size_of_a_linux_is_known_from_its_image() -> None:
    spec = ChainRun(
        "arm64", "virt", kernels=("linux-7.3", "khorig", "linux-mine"), page_shifts=(14, 12, 0)
    )
    assert [spec.page_shift_of(generation) for generation in (1, 2, 3)] == [14, 12, None]
    assert [spec.geometry_shift(2, at) for at in ("entry", "restored")] == [14, 12]
    assert spec.first(1).page_shift_of() == 14
    assert spec_from_json(json.loads(json.dumps(spec_to_json(spec)))) == spec


def test_page_sizes_name_the_kernels_and_the_handover_is_the_writers() -> None:
    mixed = KhorigRun("arm64", "virt", page_sizes=("4K", "64K"))
    assert [mixed.kernel_of(number) for number in (1, 2, 3)] == ["khorig", *["khorig-64k"] * 2]
    assert mixed.id == "handover/arm64-virt-4K-64K" and mixed.page_shift_of() is None
    assert [mixed.geometry_shift(*stop) for stop in ((1, "sealed"), (2, "entry"))] == [12, 12]
    assert [mixed.geometry_shift(2, at) for at in ("refused", "restored")] == [12, 16]
    assert [mixed.geometry_shift(*stop) for stop in ((2, "sealed"), (3, "entry"))] == [16, 16]
    chain = ChainRun("arm64", "virt", kernels=("khorig-16k", "linux-7.3", "khorig-16k"))
    assert [chain.geometry_shift(number, "entry") for number in (1, 2, 3)] == [14, 14, 14]
    assert ChainRun("x86_64", "q35", kernels=("linux-7.3",)).geometry_shift(1, "sealed") == 12


def test_the_build_of_a_peer_is_no_part_of_the_name_of_a_run() -> None:
    pinned = ChainRun(
        "x86_64", "q35", kernels=("linux-7.3@NUMA=n:33279efd", "khorig", "/a:b/bz:12ab")
    )
    plain = ChainRun("x86_64", "q35", kernels=("linux-7.3@NUMA=n", "khorig", "/a:b/bz:12ab"))
    assert pinned.id == plain.id == "linux-7.3@NUMA=n+khorig+bz:12ab/x86_64-q35"
    assert split_build("linux-7.3:33279efdbee601b1") == ("linux-7.3", "33279efdbee601b1")
    for name in ("linux-7.3:", "linux-7.3:xyz1", "linux-7.3:123", "khorig", "/linux-x:abcd"):
        assert split_build(name) == (name, "")
