# SPDX-License-Identifier: BSD-3-Clause
"""Runs with a tampered handover (khorig.run.tamper)."""

from __future__ import annotations

import dataclasses
from typing import Sequence, TypeVar

from khorig.guest.spec import RunSpec
from khorig.run.judging import StopHook

Spec = TypeVar("Spec", bound=RunSpec)

# khorig.run.tamper is imported on demand: it needs numpy and libfdt.


def known_tamperings() -> tuple[str, ...]:
    """Names of all tamperings."""
    from khorig.run.tamper.catalogue import TAMPERINGS

    return tuple(TAMPERINGS)


def tampered(spec: Spec, name: str) -> Spec:
    """The same run with the handover tampered and the expected refusal. It ends with the generation
    that refuses, because the next kernel was in the handover. Raises KeyError."""
    from khorig.run.tamper.catalogue import TAMPERINGS
    from khorig.run.tamper.hook import GENERATION

    causes = {GENERATION: TAMPERINGS[name].cause}
    return dataclasses.replace(spec.first(GENERATION), tamper=name, expected_refusals=causes)


def tamper_hooks(spec: RunSpec) -> Sequence[StopHook]:
    """The stop hooks that apply `spec.tamper`."""
    if spec.tamper is None:
        return ()
    from khorig.run.tamper.catalogue import TAMPERINGS
    from khorig.run.tamper.hook import TamperHook

    return (TamperHook(TAMPERINGS[spec.tamper]),)
