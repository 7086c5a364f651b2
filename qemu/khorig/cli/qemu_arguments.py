# SPDX-License-Identifier: BSD-3-Clause
"""What a user chooses of QEMU, by options and behind `--`.

Of two conflicting options QEMU takes the last; the rig would continue with its own and blame the
guest.
"""

from __future__ import annotations

import math
import os
import re
from typing import Any, Callable, Iterator, Mapping

import click

from khorig.guest.spec import RunSpec
from khorig.vm.errors import InfraError
from khorig.vm.machines import Machine, machine_named

_SMP_FACTORS = ("drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads")
# "pc-q35-7.2" is the q35 of an older QEMU.
_OF_OLDER_QEMU = {"q35": "pc-q35-", "pc": "pc-i440fx-", "virt": "virt-"}
# Machine properties that the rig relies on, with the reason.
_FIXED = {
    "memory-backend": "the host reads guest RAM through the rig's own",
    "accel": "use --accel",
}


HARDWARE = ("numa", "cpu", "machine_option", "qemu", "accel")  # options, in khorig.cli.run_options

_PROPERTY = re.compile(r"[a-z][\w.-]*=[^,]+")


def hardware_of(options: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """The fields of a RunSpec that `options` choose on a machine. Raises UsageError."""
    accel = _accelerator(options.get("accel", "tcg"), machine)
    qemu = options.get("qemu", "")
    if os.sep in qemu or os.path.exists(qemu):
        qemu = os.path.abspath(qemu)
    try:
        machine.emulator(qemu)
    except InfraError as error:
        raise click.UsageError(error.what) from error
    for option in options.get("machine_option", ()):
        if _PROPERTY.fullmatch(option) is None:
            expected = "expected NAME=VALUE (e.g. virtualization=on)"
            raise click.UsageError(f"--machine-option '{option}': {expected}")
    return {
        "numa": options.get("numa", ()),
        "cpu": options.get("cpu", ""),
        "machine_options": tuple(options.get("machine_option", ())),
        "qemu": qemu,
        "accel": accel,
    }


def _accelerator(wanted: str, machine: Machine) -> str:
    """ "tcg" or "kvm". Raises UsageError when KVM cannot run that architecture."""
    if wanted == "tcg":
        return wanted
    host = os.uname().machine
    if host not in machine.host_cpus:
        if wanted == "auto":
            return "tcg"
        raise click.UsageError(f"--accel kvm: no {machine.arch} guests on a host of {host}")
    if wanted == "auto":
        from khorig.run.kvm_probe import probe_kvm

        return "tcg" if probe_kvm() else "kvm"
    return wanted


def check_qemu_arguments(spec: RunSpec) -> None:
    """Raises UsageError for an argument that conflicts with the run, and for NUMA nodes that its
    machine cannot have."""
    if spec.numa:
        from khorig.guest.numa import why_no_numa  # few runs have any

        if (why := why_no_numa(spec)) is not None:
            raise click.UsageError(f"--numa: {why}")
    chosen = (("--cpu", "-cpu", spec.cpu),) if spec.cpu else ()
    for name, option, value in (
        *chosen,
        *(("--machine-option", "-machine", value) for value in spec.machine_options),
        *((f"-- {option}", option, value) for option, value in _options(spec.extra_qemu)),
    ):
        why = _CHECKS[option](spec, value) if option in _CHECKS else None
        if why is not None:
            raise click.UsageError(f"{name} {value}".rstrip() + f": {why}")


def _options(arguments: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each option with the word after it; QEMU accepts two dashes for one."""
    for at, word in enumerate(arguments):
        if word.startswith("-"):
            following = arguments[at + 1 : at + 2]
            yield "-" + word.lstrip("-"), following[0] if following else ""


def _properties(value: str, first: str) -> dict[str, str]:
    """QEMU's "VALUE,NAME=VALUE,...", where a first part without name is that of `first`."""
    properties = {}
    for number, part in enumerate(value.split(",")):
        name, equals, rest = part.partition("=")
        if number == 0 and not equals:
            name, rest = first, name
        properties[name] = rest
    return properties


def _memory(spec: RunSpec, value: str) -> str | None:
    return f"conflicts with --mem {spec.memory >> 20}M; use --mem"


def _smp(spec: RunSpec, value: str) -> str | None:
    properties = _properties(value, "cpus")
    try:
        factors = (int(properties.get(name, 1)) for name in _SMP_FACTORS)
        cpus = int(properties["cpus"]) if "cpus" in properties else math.prod(factors)
    except ValueError:
        return None  # QEMU refuses it itself
    return None if cpus == spec.smp else f"conflicts with --smp {spec.smp}; use --smp"


def _machine(spec: RunSpec, value: str) -> str | None:
    properties = _properties(value, "type")
    kind = properties.get("type", spec.machine)
    if kind != spec.machine and not kind.startswith(_OF_OLDER_QEMU.get(spec.machine, "?")):
        return f"the machine is {spec.machine}; use --machine"
    for name, why in _FIXED.items():
        if name in properties:
            return f"'{name}' cannot be set: {why}"
    if properties.get("acpi") == "off" and spec.arch == "x86_64" and spec.smp > 1:
        return f"the kernel finds the other {spec.smp - 1} CPUs by ACPI"
    return None


def _cpu(spec: RunSpec, value: str) -> str | None:
    from khorig.vm.cpu_model import why_no_cpu

    return why_no_cpu(machine_named(spec.machine), value, spec.qemu)


def _loaded(instead: str) -> Callable[[RunSpec, str], str | None]:
    return lambda spec, value: f"the rig chooses what is loaded; {instead}"


_CHECKS: Mapping[str, Callable[[RunSpec, str], str | None]] = {
    "-m": _memory,
    "-smp": _smp,
    "-numa": lambda spec, value: "the host reads guest RAM through the rig's own; use --numa",
    "-machine": _machine,
    "-M": _machine,
    "-cpu": _cpu,
    "-kernel": _loaded("use 'linux run --kernel'"),
    "-initrd": _loaded("use 'linux run --initrd'"),
    "-append": _loaded("use --append"),
    "-icount": lambda spec, value: "the rig controls virtual time; use 'linux run --count'",
    "-rtc": lambda spec, value: "the rig controls virtual time",
    "-accel": lambda spec, value: "use --accel",
    "-enable-kvm": lambda spec, value: "use --accel kvm",
    "-serial": lambda spec, value: "the first serial port is the rig's console",
    "-S": lambda spec, value: "use --gdb",
    "-s": lambda spec, value: "use --gdb",
    "-gdb": lambda spec, value: "use --gdb",
    "-daemonize": lambda spec, value: "the rig waits for the end of QEMU",
}
