# SPDX-License-Identifier: BSD-3-Clause
"""The hardware that a run asks for, and KVM, against a stand-in for QEMU: no guest ran with KVM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from rig import Rig, handover_script

from khorig.cli.qemu_arguments import check_qemu_arguments, hardware_of
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec_json import spec_from_json, spec_to_json
from khorig.rules.finding import Verdict
from khorig.run.rerun import rerun_words
from khorig.vm.errors import InfraError
from khorig.vm.machines import machine_named

_KVM: dict[str, Any] = {"accel": "kvm", "counted": False}


def _words(rig: Rig, **spec: Any) -> tuple[Verdict, str]:
    """The verdict, and the words that QEMU was started with."""
    result = rig.run(handover_script(), **spec)
    return result.verdict, " ".join(Path(result.directory, "qemu.argv").read_text().split())


def test_the_machine_and_cpu_of_the_run_are_qemus(rig: Rig) -> None:
    verdict, words = _words(rig, cpu="EPYC", machine_options=("smm=off", "hpet=off"))
    assert verdict is Verdict.PASS
    assert "-machine q35,accel=tcg,sata=off,smm=off,hpet=off" in words
    assert "-cpu EPYC" in words and "-icount" in words


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"type": "pc-i440fx-7.2-machine"}, "its type is 'pc-i440fx-7.2-machine', expected q35"),
        ({"cpus": 8}, "8 CPUs, expected --smp 1"),
        ({"kvm": True}, "accelerator kvm, expected tcg"),
        ({"wide": False}, "CPU 0 is no 64-bit CPU"),
        ({"type": None}, "its type is None, expected q35"),
    ],
)
def test_another_machine_is_no_failure_of_the_guest(
    rig: Rig, made: dict[str, Any], why: str
) -> None:
    """As a file for -readconfig can make it."""
    result = rig.run([["made", made], *handover_script()], extra_qemu=("-readconfig", "x"))
    assert (result.verdict, result.cause) == (
        Verdict.INFRA,
        f"QEMU made another machine: {why}",
    )
    older = rig.run([["made", {"type": "pc-q35-7.2-machine"}], *handover_script()], cpu="EPYC")
    assert older.verdict is Verdict.PASS


def test_kvm_has_no_counted_time(rig: Rig) -> None:
    verdict, words = _words(rig, **_KVM)
    assert verdict is Verdict.PASS
    assert "accel=kvm" in words and "-cpu host" in words
    assert "-icount" not in words and "-rtc" not in words


def test_the_host_chooses_the_interrupt_controller_of_kvm() -> None:
    words = " ".join(machine_named("virt").arguments("kvm"))
    assert "gic-version=host" in words and "-cpu host" in words


@pytest.mark.parametrize(
    ("status", "verdict", "cause"),
    [
        ("pass", Verdict.PASS, ""),
        ("fail", Verdict.FAIL, "guest exited with status 35 (the guest found an error)"),
        ("", Verdict.CRASH, "guest powered off without an exit status"),
    ],
)
def test_an_arm_guest_of_kvm_prints_its_status(
    rig: Rig, status: str, verdict: Verdict, cause: str
) -> None:
    """Semihosting is TCG's: the guest switches itself off, and QEMU's status is 0."""
    script = [line for line in handover_script() if line[0] != "exit"]
    done = script.pop()
    if status:
        script.append(["say", done[1].replace('"pass"', f'"{status}"')])
    script += [["event", ["SHUTDOWN", {"reason": "guest-shutdown"}]], ["exit", 0]]
    result = rig.run(script, arch="arm64", machine="virt", **_KVM)
    assert (result.verdict, result.cause or "") == (verdict, cause)


def test_a_failure_with_kvm_is_done_again_without_the_probe(rig: Rig) -> None:
    result = rig.run([["exit", 35]], record=True, **_KVM)
    assert result.verdict is Verdict.FAIL and result.who is None


def test_a_hang_is_found_with_kvm(rig: Rig) -> None:
    assert rig.run([["hang", None]], **_KVM).verdict is Verdict.HANG


def test_hardware_is_part_of_the_run() -> None:
    spec = KhorigRun(
        "arm64",
        "virt",
        cpu="cortex-a76",
        machine_options=("virtualization=on",),
        qemu="11.1",
        accel="kvm",
        counted=False,
    )
    assert spec.id == "handover/arm64-virt-kvm-cortex-a76-virtualization=on-qemu-11.1"
    assert spec_from_json(json.loads(json.dumps(spec_to_json(spec)))) == spec
    words = " ".join(rerun_words(spec))
    assert (
        "--cpu cortex-a76 --machine-option virtualization=on --qemu 11.1 --accel kvm" in words
    ), words


def test_no_name_leaves_the_folder_of_a_run() -> None:
    spec = KhorigRun("x86_64", "q35", cpu="max,la57=off", qemu="/opt/qemu/bin")
    assert spec.id == "handover/x86_64-q35-max_la57=off-qemu-bin"


@pytest.mark.parametrize(
    ("options", "machine", "why"),
    [
        ({"machine_option": ("smm",)}, "q35", "expected NAME=VALUE"),
        ({"machine_option": ("a=1,b=2",)}, "q35", "expected NAME=VALUE"),
        ({"qemu": "99.9"}, "q35", "not fetched (fix: khorig qemu fetch 99.9)"),
        ({"qemu": "/no/such/qemu"}, "q35", "/no/such/qemu is no program"),
        ({"qemu": "/dev"}, "q35", "/dev/qemu-system-x86_64 is no program"),
    ],
)
def test_what_cannot_be_is_refused(
    options: dict[str, object],
    machine: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(click.UsageError, match=why.replace("(", r"\(").replace(")", r"\)")):
        hardware_of(options, machine_named(machine))


def test_kvm_runs_the_architecture_of_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    class Host:
        machine = "x86_64"

    monkeypatch.setattr("os.uname", Host)
    monkeypatch.setattr("khorig.run.kvm_probe.probe_kvm", lambda: "")
    auto, kvm = {"accel": "auto"}, {"accel": "kvm"}
    assert hardware_of(auto, machine_named("q35"))["accel"] == "kvm"
    assert hardware_of(auto, machine_named("virt"))["accel"] == "tcg"
    with pytest.raises(click.UsageError, match="no arm64 guests on a host of x86_64"):
        hardware_of(kvm, machine_named("virt"))
    monkeypatch.setattr("khorig.run.kvm_probe.probe_kvm", lambda: "no /dev/kvm")
    assert hardware_of(auto, machine_named("q35"))["accel"] == "tcg"


@pytest.mark.parametrize(
    ("cpu", "option", "why"),
    [
        ("486", "", "--cpu 486: the kernel needs a 64-bit CPU"),
        ("", "accel=kvm", "--machine-option accel=kvm: 'accel' cannot be set"),
    ],
)
def test_hardware_is_checked_as_arguments_of_qemu_are(cpu: str, option: str, why: str) -> None:
    options = (option,) if option else ()
    with pytest.raises(click.UsageError, match=why):
        check_qemu_arguments(KhorigRun("x86_64", "q35", cpu=cpu, machine_options=options))


def test_a_fetched_qemu_is_found_by_any_part_of_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    machine = machine_named("q35")
    for version in ("10.0.9", "10.0.13", "11.1.3", "part"):
        (tmp_path / "khorig" / "qemu" / version / "bin").mkdir(parents=True)
    found = {wanted: machine.emulator(wanted) for wanted in ("10", "10.0", "11.1.3", "11")}
    names = {wanted: Path(path).parts[-3] for wanted, path in found.items()}
    assert names == {"10": "10.0.13", "10.0": "10.0.13", "11.1.3": "11.1.3", "11": "11.1.3"}
    with pytest.raises(InfraError, match="not fetched"):
        machine.emulator("1")
    assert machine.emulator("") == "qemu-system-x86_64"
    assert machine.emulator("/bin/sh") == "/bin/sh"
