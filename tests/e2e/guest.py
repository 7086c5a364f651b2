# SPDX-License-Identifier: BSD-3-Clause
"""Runs of the real kernel, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Sequence

import pytest

from khorig.guest.khorig_run import KhorigRun
from khorig.out.session_documents import SessionDocuments
from khorig.out.text import result_lines
from khorig.rules.finding import Verdict
from khorig.run.judging import StopHook
from khorig.run.khorig_kind import khorig_kind
from khorig.run.result import RunResult
from khorig.run.session import Session
from khorig.vm.cancellation import Cancellation
from khorig.vm.machines import MACHINES

MIB = 1 << 20
GIB = 1 << 30
SEED = 0x5EED0001

# One machine of each architecture for what does not depend on the machine.
ONE_OF_EACH = pytest.mark.parametrize("machine", ["q35", "virt"])
ALL_MACHINES = pytest.mark.parametrize("machine", [machine.name for machine in MACHINES])


class Guest:
    """Runs scenarios and keeps what they leave below one folder."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def run(
        self,
        machine: str,
        scenario: str,
        hooks: Sequence[StopHook] = (),
        record: bool = False,
        **spec: Any,
    ) -> RunResult:
        """One run on the machine of that name; `spec` are fields of KhorigRun."""
        arch = next(known.arch for known in MACHINES if known.name == machine)
        session = Session(
            self._out,
            khorig_kind(hooks=lambda spec: hooks),
            SessionDocuments(),
            Cancellation(),
            record=record,
        )
        values: dict[str, Any] = {"memory": 256 * MIB, "seed": SEED, "timeout_s": 60.0, **spec}
        return session.run(KhorigRun(arch=arch, machine=machine, scenario=scenario, **values))


def events(result: RunResult, kind: str) -> list[dict[str, Any]]:
    """The guest's own events of one kind, in order."""
    lines = (Path(result.directory) / "events.jsonl").read_text().splitlines()
    records = map(json.loads, lines)
    found = [record["event"] for record in records if record["ev"] == "guest"]
    return [event for event in found if event["ev"] == kind]


def expect_pass(result: RunResult) -> None:
    """Fails with what a user would be told."""
    if result.verdict is not Verdict.PASS:
        pytest.fail("\n".join(result_lines(result)), pytrace=False)
