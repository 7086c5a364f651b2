# SPDX-License-Identifier: BSD-3-Clause
"""One way to make a bug of the catalogue."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Mapping

from khorig.guest.spec import BOOTS
from khorig.rules.finding import Verdict

# Words of a way that choose its runs, and options of a run that they become.
RUN_OPTIONS = {
    "scenario": "scenario",
    "generations": "generations",
    "memory": "memory",
    "smp": "smp",
    "boot": "boot",
    "pages": "page_sizes",
    "chain": "kernels",
    "options": "extra_options",
    "linux": "linux_options",
    "qemu": "extra_qemu",
    "stops": "stops",
    "timeout": "timeout_s",
}


@dataclass(frozen=True)
class Way:
    """A defect, and how a run with it ends. The control is the same run without the defect, which
    passes."""

    _: KW_ONLY
    machines: tuple[str, ...]
    rule: str = ""  # of the first finding; "" when a test or a mutant's test finds it
    verdict: Verdict = Verdict.FAIL
    generation: int = 0  # of the first finding
    # The defect is one of these:
    fault: str = ""  # of khorig's kernel (khorig.run.faults)
    damage: str = ""  # to the handover (khorig.run.damage)
    poke: str = ""  # GENERATION:STOP:PLACE
    defect: Mapping[str, Any] = field(default_factory=dict, hash=False)  # of a run's options
    header: str = ""  # OFFSET=BYTES in the image of the last kernel, a Linux: "0x202=00000000"
    mutant: str = ""  # LIST/ID in tests/mutants, killed by the tests that it names
    test: str = ""  # FILE::TEST, which makes it by itself
    run: Mapping[str, Any] = field(default_factory=dict, hash=False)  # options of both runs

    @property
    def means(self) -> str:
        """The defect in a few words."""
        for kind in ("fault", "damage", "poke", "header", "mutant", "test"):
            if name := getattr(self, kind):
                return f"{kind} {name}"
        words = (f"{name}={_plain(value)}" for name, value in self.defect.items())
        return "run with " + " ".join(words)

    @property
    def is_run(self) -> bool:
        """Whether it is a run, in which a rule finds the bug."""
        return not self.mutant and not self.test

    @property
    def needs_linux(self) -> bool:
        """Whether a Linux takes part."""
        chains = (self.run.get("kernels", ()), self.defect.get("kernels", ()))
        return any(kernel != "khorig" for chain in chains for kernel in chain)


def run_options(words: Mapping[str, Any]) -> dict[str, Any]:
    """Options of khorig.Rig.run out of those of the catalogue. Raises ValueError."""
    options: dict[str, Any] = {}
    for word, value in words.items():
        if word not in RUN_OPTIONS:
            raise ValueError(f"unknown option '{word}'")
        if word == "memory":
            value = int(value) << 20
        elif word == "boot" and value not in BOOTS:
            raise ValueError(f"boot '{value}'")
        options[RUN_OPTIONS[word]] = tuple(value) if isinstance(value, list) else value
    return options


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
