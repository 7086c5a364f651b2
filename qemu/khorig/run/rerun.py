# SPDX-License-Identifier: BSD-3-Clause
"""The command that repeats a run."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path

from khorig.guest.spec import RunSpec
from khorig.vm.build_outputs import Images, source_root
from khorig.vm.command import standalone_command
from khorig.vm.machines.machine import Machine

# The checkout around the folder comes first, so that a copied checkout repeats its own runs; one of
# somebody else's, in /tmp, is none.
_SCRIPT = """\
#!/bin/sh
# Without the rig, in this folder, console on this terminal:
# {alone}
khorig=${{KHORIG:-}}
above=$(cd "$(dirname "$0")" && pwd -P) || exit
while [ -z "$khorig" ] && [ "$above" != / ]; do
  above=$(dirname "$above")
  if [ -x "$above/scripts/khorig" ] && [ -O "$above/scripts/khorig" ]; then
    khorig=$above/scripts/khorig
  fi
done
if [ -z "$khorig" ]; then khorig=$(command -v khorig) || khorig={made_by}; fi
if ! command -v "$khorig" >/dev/null; then
  echo "$0: no khorig at $khorig; set KHORIG to scripts/khorig of a checkout" >&2
  exit 3
fi
"""


def rerun_command(spec: RunSpec) -> str:
    """Shell command, to be run in the checkout."""
    return shlex.join(["scripts/khorig", *rerun_words(spec)])


def rerun_words(spec: RunSpec) -> list[str]:
    """Arguments of khorig that repeat a run."""
    khorig, qemu = _parts(spec)
    return [*khorig, *qemu]


def _parts(spec: RunSpec) -> tuple[list[str], list[str]]:
    """Arguments for khorig, and "-- ..." for QEMU."""
    words = list(spec.verb)
    words += ["--machine", spec.machine, *spec.rerun_words, "--mem", _size(spec.memory)]
    words += ["--seed", f"{spec.seed:#x}", "--timeout", f"{spec.timeout_s:g}"]
    if spec.boot != RunSpec.boot:
        words += ["--boot", spec.boot]
    if spec.numa:
        words += ["--numa", ",".join(_size(size) if size else "0" for size in spec.numa)]
    if spec.smp != RunSpec.smp:
        words += ["--smp", str(spec.smp)]
    if spec.tamper:
        words += ["--tamper", spec.tamper]
    for poke in spec.pokes:
        words += ["--poke", str(poke)]
    if spec.stops != RunSpec.stops:
        words += ["--stops", ",".join(spec.stops) or "none"]
    if spec.cpu:
        words += ["--cpu", spec.cpu]
    for option in spec.machine_options:
        words += ["--machine-option", option]
    if spec.qemu:
        words += ["--qemu", spec.qemu]
    if spec.accel != RunSpec.accel:
        words += ["--accel", spec.accel]
    for option in spec.extra_options:
        words += ["--append", option]
    return words, ["--", *spec.extra_qemu] if spec.extra_qemu else []


def _size(count: int) -> str:
    return f"{count >> 10}K" if count % (1 << 20) else f"{count >> 20}M"


def write_rerun_script(path: Path, spec: RunSpec, machine: Machine, images: Images) -> None:
    """Writes an executable script that repeats the run, wherever its folder is moved; a comment has
    the QEMU command without the rig. Arguments of the script go to khorig."""
    root = source_root()
    made_by = os.fspath(root / "scripts/khorig") if root else "khorig"
    khorig, qemu = map(shlex.join, _parts(spec))
    alone = standalone_command(machine, spec, _seen_from(path.parent, images))
    path.write_text(
        _SCRIPT.format(alone=alone, made_by=shlex.quote(made_by))
        + f'exec "$khorig" {khorig} "$@" {qemu}'.rstrip()
        + "\n"
    )
    path.chmod(0o755)


def _seen_from(folder: Path, images: Images) -> Images:
    """Files in the folder without it."""
    found = {
        name: path.relative_to(folder)
        for name in ("kernel", "archive", "volume")
        if (path := getattr(images, name)) is not None and path.is_relative_to(folder)
    }
    return dataclasses.replace(images, **found)
