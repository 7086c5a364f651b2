# SPDX-License-Identifier: BSD-3-Clause
"""Runs in which the host damages the handover (khorig.run.tamper)."""

from __future__ import annotations

import dataclasses
from typing import Sequence, TypeVar

from khorig.guest.spec import RunSpec
from khorig.run.judging import StopHook

Spec = TypeVar("Spec", bound=RunSpec)

# khorig.run.tamper is imported only when it is needed: with it come numpy and libfdt.


def known_tamperings() -> tuple[str, ...]:
    """Their names."""
    from khorig.run.tamper.catalogue import TAMPERINGS

    return tuple(TAMPERINGS)


def tampered(spec: Spec, name: str) -> Spec:
    """The same run with the handover damaged, and the refusal that this has to cause. It ends with
    the generation that refuses: what that would load next was in the handover. Raises KeyError."""
    from khorig.run.tamper.catalogue import TAMPERINGS
    from khorig.run.tamper.hook import GENERATION

    causes = {GENERATION: TAMPERINGS[name].cause}
    return dataclasses.replace(spec.first(GENERATION), tamper=name, expected_refusals=causes)


def tamper_hooks(spec: RunSpec) -> Sequence[StopHook]:
    """What a session needs to carry `spec.tamper` out."""
    if spec.tamper is None:
        return ()
    from khorig.run.tamper.catalogue import TAMPERINGS
    from khorig.run.tamper.hook import TamperHook

    return (TamperHook(TAMPERINGS[spec.tamper]),)
