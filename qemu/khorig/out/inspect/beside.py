# SPDX-License-Identifier: BSD-3-Clause
"""What lies beside the image of a stop: the images of earlier stops, and what its run says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from khorig.guest.spec import RunSpec
from khorig.guest.spec_json import spec_from_json
from khorig.mem.untrusted import Untrusted, read_object
from khorig.out.report.run_record import read_result
from khorig.rules.finding import Finding

_IMAGE = re.compile(r"gen(?P<generation>\d{1,9})\.(?P<at>[a-z]+)(?P<suffix>\.ram(?:\.zst)?)")
_SEQUENCE = ("entry", "refused", "restored", "sealed", "end")  # stops of a generation
_SEALED = "sealed"
_LARGEST = 64 << 20  # bytes of a document


@dataclass(frozen=True)
class RunBeside:
    """What the folder of an image says; nothing for an image that no run wrote."""

    spec: RunSpec | None = None
    findings: Sequence[Finding] = ()


def run_beside(image: Path) -> RunBeside:
    """From run.json and verdict.json, as far as they can be read."""
    if not _IMAGE.fullmatch(image.name):
        return RunBeside()
    spec: RunSpec | None = None
    findings: Sequence[Finding] = ()
    try:
        spec = spec_from_json(_document(image.with_name("run.json")).get("spec"))
    except (OSError, Untrusted):
        pass
    try:
        findings = tuple(read_result(_document(image.with_name("verdict.json"))).findings)
    except (OSError, Untrusted):
        pass
    return RunBeside(spec, findings)


def _document(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        return read_object(file.read(_LARGEST + 1), _LARGEST)


def stop_before(image: Path) -> Path | None:
    """The image that the content of preserved pages came from: that of the last seal before the
    stop, or else of the last stop before it; None when there is none."""
    mine = _IMAGE.fullmatch(image.name)
    if mine is None or mine["at"] not in _SEQUENCE:
        return None
    here = _order(mine)
    try:
        names = [path.name for path in image.parent.iterdir()]
    except OSError:
        return None
    found = [match for name in names if (match := _IMAGE.fullmatch(name))]
    before = [m for m in found if m["at"] in _SEQUENCE and _order(m) < here]
    sealed = [m for m in before if m["at"] == _SEALED]
    if not before:
        return None
    return image.with_name(max(sealed or before, key=_order).group())


def _order(image: re.Match[str]) -> tuple[int, int]:
    return int(image["generation"]), _SEQUENCE.index(image["at"])
