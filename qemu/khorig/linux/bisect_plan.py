# SPDX-License-Identifier: BSD-3-Clause
"""What a bisection is to do."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from khorig.guest.chain_run import ChainRun
from khorig.guest.spec_json import spec_from_json, spec_to_json
from khorig.mem.untrusted import Untrusted, read_object, typed
from khorig.run.artifacts import write_whole
from khorig.vm.errors import InfraError

UNDER_TEST = "source"  # name in a chain of the kernel that a commit is built into
_FILE = "bisect.json"
_LARGEST = 1 << 20  # bytes of it
_DIGITS = (40, 64)  # of an object name


@dataclass(frozen=True)
class BisectPlan:
    """Written into the folder of artifacts, where each step reads it."""

    source: str  # the user's tree
    good: str  # full object names
    bad: str
    spec: ChainRun  # with UNDER_TEST among its kernels
    match: str = ""  # rule or part of the cause; "" for any failure
    repeat: int = 1  # runs that a good commit passes
    jobs: int = 2  # as make's -j
    keep: bool = False  # guest RAM at every stop of every run

    def __post_init__(self) -> None:
        """Raises ValueError."""
        for name in (self.good, self.bad):
            if len(name) not in _DIGITS or set(name) - set("0123456789abcdef"):
                raise ValueError(f"{name[:80]!r} is not an object name")
        if self.repeat < 1 or self.jobs < 1:
            raise ValueError(f"{self.repeat} runs, {self.jobs} jobs, expected at least one")
        if UNDER_TEST not in self.spec.kernels:
            raise ValueError(f"no '{UNDER_TEST}' in chain {','.join(self.spec.kernels)}")


def write_plan(plan: BisectPlan, folder: Path) -> None:
    """Raises OSError."""
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    document = json.dumps({**values, "spec": spec_to_json(plan.spec)}, indent=1)
    write_whole(folder / _FILE, document + "\n")


def read_plan(folder: Path) -> BisectPlan:
    """Raises InfraError for a folder that holds no plan."""
    path = folder / _FILE
    try:
        return typed(BisectPlan, read_object(path.read_bytes(), _LARGEST), spec=_chain)
    except OSError as error:
        raise InfraError(f"{folder}: no bisection: {error.strerror}") from error
    except ValueError as error:
        raise InfraError(f"{path}: {error}") from error


def _chain(record: Any) -> ChainRun:
    spec = spec_from_json(record)
    if not isinstance(spec, ChainRun):
        raise Untrusted(f"a run of kind {spec.kind}, expected {ChainRun.kind}")
    return spec
