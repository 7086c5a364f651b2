# SPDX-License-Identifier: BSD-3-Clause
"""A Linux that its EFI stub started with an initrd leaves a configuration table about it. The next
Linux believes it when it comes without an initrd, and reads it from memory that has been reused."""

from __future__ import annotations

from pathlib import Path

import khorig
from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.linux.user_space import compile_static
from khorig.pytest_plugin import built_peer
from khorig.rules.finding import Verdict

_INIT = Path(khorig.__file__).parent / "linux" / "init"


def run(rig: Rig, folder: Path, boot: str) -> RigResult:
    """Linux to Linux, the second one without an initrd."""
    peer = built_peer("x86_64", "linux-7.3")
    source = Path(__file__).parent / "jumper.c"
    path = folder / "jumper"
    path.write_bytes(compile_static(peer, [source], [_INIT, _INIT / "arch" / "x86_64"], "jumper"))
    path.chmod(0o755)
    kernels = ("linux-7.3", "linux-7.3")
    return rig.run("q35", kernels=kernels, boot=boot, programs=(f"1:{path}",), timeout_s=120.0)


def test_the_next_linux_panics_for_room_for_an_initrd_that_is_not_there(
    rig: Rig, tmp_path: Path
) -> None:
    result = run(rig, tmp_path, "uefi")
    assert result.verdict is Verdict.CRASH, result
    assert result.findings[0].generation == 2
    assert "Cannot find place for new RAMDISK" in result.cause, result


def test_without_firmware_there_is_no_such_table(rig: Rig, tmp_path: Path) -> None:
    """The control: it has no user space, and says so."""
    result = run(rig, tmp_path, "direct")
    assert result.verdict is Verdict.CRASH and result.findings[0].generation == 2, result
    assert "No working init found" in result.cause, result
