# SPDX-License-Identifier: BSD-3-Clause
"""UEFI firmware of a machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Firmware:
    """What QEMU needs to start a machine from UEFI firmware."""

    code: Path
    variables: Path  # the firmware's settings as they come from the factory
    package: str  # Debian's, which has both
    loader: str  # the path that the firmware looks for on a volume, by the specification
    extra: tuple[str, ...] = ()  # more of QEMU's arguments
    # Log2 of the virtual nanoseconds that one instruction takes. Firmware that polls a clock runs
    # fewer rounds the faster the clock is.
    icount_shift: int = 0

    def missing(self) -> str | None:
        """The file that is not installed, or None."""
        for path in (self.code, self.variables):
            if not path.is_file():
                return str(path)
        return None

    def arguments(self, volume: Path) -> list[str]:
        """Of a machine that starts from `volume`. What the firmware writes is forgotten."""
        flash = "if=pflash,format=raw"
        return [
            *("-drive", f"{flash},unit=0,readonly=on,file={_quoted(self.code)}"),
            *("-drive", f"{flash},unit=1,snapshot=on,file={_quoted(self.variables)}"),
            *("-drive", f"if=none,id=esp,format=raw,readonly=on,file={_quoted(volume)}"),
            *("-device", "virtio-blk-pci,drive=esp,bootindex=0"),
            *self.extra,
        ]


def _quoted(path: Path) -> str:
    """As the value of an option of QEMU."""
    return str(path).replace(",", ",,")
