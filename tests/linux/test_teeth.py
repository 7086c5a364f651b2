# SPDX-License-Identifier: BSD-3-Clause
"""A byte that changes on the way is found: by Linux's module, by its user space, and by the host,
which names page and owner wherever it can look (`khorig teeth`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Sequence

import numpy as np
import pytest

from khorig.api.rig import Rig
from khorig.cli.main import main
from khorig.kho.clients.khorig import decode_clients
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.linux.teeth import CHAINS
from khorig.mem.memory import RamMemory
from khorig.pytest_plugin import built_peer, each_arch
from khorig.rules.finding import Verdict
from khorig.run.judging import StopContext
from khorig.vm.machines import machine_named

CHAIN = ("linux-7.3", "khorig", "linux-7.3")


class Flip:
    """Flips a byte of what khorig has sealed, after the judge has looked."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __call__(self, context: StopContext) -> list[str]:
        if (context.at, context.generation) != ("sealed", 2):
            return []
        memory = RamMemory(context.ram)
        handover = decode_handover(memory, context.event.address("root"), GEOMETRY_4K)
        if self._what == "folio":
            # The largest block that is not reserved memory is one of test_kho's folios.
            reserved = [area.area for area in decode_clients(memory, handover).reserved]
            sizes = np.array(
                [
                    -1 if any(a.contains(int(f) << 12, 1) for a in reserved) else int(o)
                    for f, o in zip(handover.blocks.frames, handover.blocks.orders)
                ]
            )
            address = int(handover.blocks.frames[int(sizes.argmax())]) << 12
        else:
            address = decode_clients(memory, handover).reserved[0].area.begin
        byte = context.ram.read(address + 100, 1)[0]
        context.ram.write(address + 100, bytes([byte ^ 1]))
        return [f"flipped a byte of the page {address:#018x}"]


@each_arch
@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("folio", "KHO restore failed"),
        ("reserved", "pages lost their content: page 0 of memblock/reference at 0x"),
    ],
)
def test_a_flipped_byte_is_found(rig: Rig, machine: str, what: str, says: str) -> None:
    # Without the host's look at `entry`, which would find it before Linux does.
    result = rig.run(machine, kernels=CHAIN, hooks=(Flip(what),), stops=("sealed", "restored"))
    assert result.verdict is Verdict.FAIL
    assert any(says in finding.what for finding in result.findings), result.findings
    assert result.findings[0].generation == 3


@each_arch
@pytest.mark.parametrize("kernels", CHAINS[1:], ids="-".join)
def test_every_class_of_owners(
    capsys: pytest.CaptureFixture[str], out: Path, machine: str, kernels: Sequence[str]
) -> None:
    for name in kernels:
        if name != "khorig":
            built_peer(machine_named(machine).arch, name)
    words = ("--machine", machine, "--chain", ",".join(kernels), "--out", str(out))
    with pytest.raises(SystemExit) as ended:
        main(("teeth", "--json", *words))
    printed, said = capsys.readouterr()
    if ended.value.code != 0:
        pytest.fail(said, pytrace=False)
    (chain,) = json.loads(printed)["chains"]
    assert chain["teeth"] == chain["of"] > 0
