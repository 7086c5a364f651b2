# SPDX-License-Identifier: BSD-3-Clause
"""UEFI firmware of a machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from khorig.vm.errors import InfraError


@dataclass(frozen=True)
class Firmware:
    """UEFI firmware for a machine."""

    code: Path
    variables: Path  # template of the variable store
    package: str  # Debian package of both
    loader: str  # default boot path on a volume
    extra: tuple[str, ...] = ()  # further QEMU arguments
    # Log2 of ns of virtual time per instruction. A faster clock shortens polling loops of firmware.
    icount_shift: int = 0

    def missing(self) -> str | None:
        """The missing file, or None."""
        for path in (self.code, self.variables):
            if not path.is_file():
                return str(path)
        return None

    def check(self) -> None:
        """Raises InfraError when it is not installed."""
        if missing := self.missing():
            mend = f"fix: apt-get install {self.package}"
            raise InfraError(f"firmware {missing} is not installed", (mend,))

    def arguments(self) -> list[str]:
        """QEMU arguments for the firmware. What it writes to its variables is discarded."""
        flash = "if=pflash,format=raw"
        return [
            *("-drive", f"{flash},unit=0,readonly=on,file={_quoted(self.code)}"),
            *("-drive", f"{flash},unit=1,snapshot=on,file={_quoted(self.variables)}"),
            *self.extra,
        ]

    @staticmethod
    def volume_arguments(volume: Path) -> list[str]:
        """QEMU arguments for what it boots from."""
        return [
            *("-drive", f"if=none,id=esp,format=raw,readonly=on,file={_quoted(volume)}"),
            *("-device", "virtio-blk-pci,drive=esp,bootindex=0"),
        ]


def _quoted(path: Path) -> str:
    """Escapes the value of a QEMU option."""
    return str(path).replace(",", ",,")
