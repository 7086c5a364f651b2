# SPDX-License-Identifier: BSD-3-Clause
"""A run of a chain of kernels with real Linux."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Sequence

from khorig.guest.program import program_words
from khorig.guest.spec import KHORIGS, RunSpec

# Memory that the first kernel reserves by name and every later one finds again.
RESERVED_NAME = "reference"
RESERVED_BYTES = 1 << 20
RESERVED_ALIGNMENT = 1 << 16  # the largest page of all; Linux preserves whole pages only

_RESERVE = f"reserve_mem={RESERVED_BYTES >> 10}K:{RESERVED_ALIGNMENT}:{RESERVED_NAME}"
_U64 = (1 << 64) - 1
_OF_KHORIG = ("entry", "settled")  # stops that a Linux does not make
_LONGEST_NAME, _LONGEST_SETTING, _LONGEST_WHAT = 40, 20, 140  # columns
_BUILD = re.compile(r"(?P<name>linux-[^/]+):(?P<build>[0-9a-f]{4,16})")
# On x86_64 nothing tells Linux where its early console is.
_EARLY_CONSOLE = {"x86_64": "earlycon=uart8250,io,0x3f8,115200", "arm64": "earlycon"}
_CONSOLE = {"x86_64": "ttyS0,115200", "arm64": "ttyAMA0"}
# A busy host delays the timer; Linux then panics with "IO-APIC + timer doesn't work".
_OWN_OPTIONS = {"x86_64": ("no_timer_check",), "arm64": ()}
# The crash kernel and its initrd fit into twice the size; the last crashkernel= counts.
_CRASHES = ("crashkernel=256M", "khorig.crash=panic")
_CRASH_KERNEL = ("nr_cpus=1", "reset_devices", "khorig.crash=check")
# The second name is that of Linux 7.4 (8fe64603a475); a Linux ignores the one it does not know.
_SCRATCH_OPTIONS = ("kho_scratch=", "kho_bootmem=")


def is_linux(name: str) -> bool:
    """Whether a kernel of a chain is a Linux."""
    return name not in KHORIGS


def content_state(seed: int, owner: str) -> int:
    """Random state for page 0 of an owner (docs/abi.md)."""
    import xxhash

    number = xxhash.xxh64_intdigest(owner) & 0xFFFFFFFF
    return (seed + xxhash.xxh64_intdigest("content") + (number << 32)) & _U64


@dataclass(frozen=True)
class ChainRun(RunSpec):
    """Kernels in boot order, each with its own command line."""

    kind = "chain"
    verb = ("linux", "run")

    _: KW_ONLY
    kernels: tuple[
        str, ...
    ]  # of KHORIGS, a peer with or without its build, or the path of an image
    # Counting instructions takes a Linux several times as long.
    counted: bool = True
    linux_options: tuple[str, ...] = ()  # more of the command line of each Linux
    extra_initrd: str = ""  # a file with more of a Linux's user space, as cpio
    programs: tuple[str, ...] = ()  # that each Linux runs (khorig.guest.program)
    # With which each Linux loads the next kernel (khorig.guest.kexec_flags).
    kexec_flags: tuple[str, ...] = ()
    crash: int = 0  # generation that panics, and has the last one as its crash kernel; 0: none
    stress: tuple[int, ...] = ()  # generations that touch all their memory before they jump
    # The page shift of each kernel by its image, 0 where it does not say; empty: nobody has looked.
    page_shifts: tuple[int, ...] = ()
    probed: bool = False  # whether the host stops a Linux at its first instruction, by the probe
    measured: bool = False  # whether the probe counts instructions (khorig.run.marks)

    @property
    def generations(self) -> int:
        """See RunSpec."""
        return len(self.kernels)

    @property
    def repeatable(self) -> bool:
        """See RunSpec. A Linux takes long, counted or not."""
        return False

    @property
    def what(self) -> str:
        """See RunSpec."""
        names = [short_name(Path(split_build(kernel)[0]).name) for kernel in self.kernels]
        whole = "+".join(names)
        if len(whole) <= _LONGEST_WHAT:
            return whole
        first, last = names[0][:_LONGEST_NAME], names[-1][:_LONGEST_NAME]
        return f"{first}+{len(names) - 2}-more-{_digits(whole)}+{last}"

    @property
    def variant(self) -> tuple[str, ...]:
        """See RunSpec."""
        flags = (flags.replace(":", "-").replace(",", "-") for flags in self.kexec_flags)
        return (*flags, *((f"crash-{self.crash}",) if self.crash else ()))

    @property
    def crash_kernel(self) -> int:
        """See RunSpec."""
        return self.crash + 1 if self.crash else 0

    @property
    def defects(self) -> tuple[str, ...]:
        """See RunSpec."""
        return (self.tamper,) if self.tamper else ()

    def kernel_of(self, generation: int) -> str:
        """See RunSpec."""
        return self.kernels[generation - 1]

    def stops_of(self, generation: int) -> tuple[str, ...]:
        """See RunSpec. Linux has a stop at its first instruction only if the probe makes it, armed
        where the kernel before waits for its jump."""
        if not is_linux(self.kernel_of(generation)):
            return self.stops
        probed = self.probed and generation > 1 and "sealed" in self.stops
        return tuple(s for s in self.stops if s not in _OF_KHORIG or (probed and s == "entry"))

    def command_line(self, generation: int, with_stops: bool = True) -> str:
        """See RunSpec."""
        linux = is_linux(self.kernel_of(generation))
        words = self._linux_words(generation) if linux else self._khorig_words(generation)
        mine = (stop for stop in self.stops if stop not in _OF_KHORIG or not linux)
        stops = ",".join(mine) if with_stops else ""
        if stops:
            words.append(f"khorig.stops={stops}" if linux else f"stops={stops}")
        options = self.linux_options if linux else self.extra_options
        chosen = (split_option(option) for option in options)
        words += [text for only, text in chosen if only in (None, generation)]
        return " ".join([*words, *(_scratch_renamed(words) if linux else ())])

    def first(self, generations: int) -> ChainRun:
        """See RunSpec."""
        shifts = self.page_shifts[:generations]
        programs = tuple(p for p in self.programs if (split_option(p)[0] or 0) <= generations)
        stress = tuple(g for g in self.stress if g <= generations)
        flags = tuple(f for f in self.kexec_flags if (split_option(f)[0] or 0) < generations)
        return dataclasses.replace(
            self,
            kernels=self.kernels[:generations],
            page_shifts=shifts,
            programs=programs,
            kexec_flags=flags,
            stress=stress,
            crash=self.crash if self.crash < generations else 0,
        )

    def programs_of(self, generation: int) -> tuple[tuple[str, ...], ...]:
        """See RunSpec. Raises ValueError."""
        if not 0 < generation <= self.generations or not is_linux(self.kernel_of(generation)):
            return ()
        chosen = (split_option(program) for program in self.programs)
        return tuple(program_words(text) for only, text in chosen if only in (None, generation))

    def kexec_flags_of(self, generation: int) -> tuple[str, ...]:
        """The flags with which a generation loads the next kernel. Raises ValueError."""
        if not 0 < generation < self.generations or not is_linux(self.kernel_of(generation)):
            return ()
        from khorig.guest.kexec_flags import flag_words  # of few runs

        chosen = (split_option(flags) for flags in self.kexec_flags)
        words = (flag_words(text) for only, text in chosen if only in (None, generation))
        return tuple(dict.fromkeys(word for some in words for word in some))

    def _shift_of(self, generation: int) -> int | None:
        shifts = self.page_shifts
        found = shifts[generation - 1] if len(shifts) == self.generations else 0
        return found or super()._shift_of(generation)

    def session_action(self, generation: int) -> str:
        """Actions on LUO sessions, separated by commas: each Linux retrieves those of the Linux
        before it and creates new ones, or offers them where no Linux follows: khorig hands them on
        unread, and the host reads them. "" for others."""
        if self.measured:  # the rig's own would be part of what is measured
            return ""
        linuxes = [i for i, name in enumerate(self.kernels, 1) if is_linux(name)]
        if generation not in linuxes or generation == self.crash_kernel:
            return ""
        before = max((i for i in linuxes if i < generation), default=0)
        arrives = before and not set(range(before + 1, generation + 1)) & set(
            self.expected_refusals
        )
        words = ["retrieve"] if arrives else []
        if generation < self.generations:
            words.append("create" if generation < linuxes[-1] else "offer")
        return ",".join(words)

    @property
    def rerun_words(self) -> tuple[str, ...]:
        """See RunSpec."""
        words = ["--chain", ",".join(self.kernels)]
        for option in self.linux_options:
            words += ["--linux-append", option]
        if self.counted:
            words.append("--count")
        if self.extra_initrd:
            words += ["--initrd", self.extra_initrd]
        for program in self.programs:
            words += ["--run", program]
        for flags in self.kexec_flags:
            words += ["--kexec-flag", flags]
        if self.crash:
            words += ["--crash", str(self.crash)]
        if self.stress:
            words += ["--stress", ",".join(map(str, self.stress))]
        return tuple(words)

    def _linux_words(self, generation: int) -> list[str]:
        words = [
            f"console={_CONSOLE[self.arch]}",
            *(_EARLY_CONSOLE[self.arch], "panic=-1", "kho=on", "liveupdate=on", "retain_initrd"),
            *_OWN_OPTIONS[self.arch],
            # The same seed is to give the same run; who wants addresses at random says so.
            *(() if "kaslr" in self.linux_options else ("nokaslr",)),
            f"khorig.generation={generation}",
            f"khorig.generations={self.generations}",
        ]
        if generation == self.crash_kernel:
            return [*words, *_CRASH_KERNEL]
        if generation == self.crash:
            words += _CRASHES
        state = content_state(self.seed, RESERVED_NAME)
        words += [_RESERVE, f"khorig.content={RESERVED_NAME}:{state:x}"]
        if action := self.session_action(generation):
            words.append(f"khorig.luo={action}")
        if flags := self.kexec_flags_of(generation):
            words.append(f"khorig.kexec={','.join(flags)}")
        if generation in self.stress:
            words.append("khorig.stress=on")
        return words

    def _khorig_words(self, generation: int) -> list[str]:
        words = [
            "scenario=relay",
            f"generation={generation}",
            f"generations={self.generations}",
            f"seed={self.seed}",
        ]
        # In between it owns nothing and hands everything on; at the ends it makes and checks.
        if generation in (1, self.generations):
            words.append(_RESERVE)
        return words


def split_build(name: str) -> tuple[str, str]:
    """Splits "linux-7.3:33279efd" into a peer's name and the first digits of its build, "" for the
    newest. A colon needs no quotes in any shell."""
    found = _BUILD.fullmatch(name)
    return (found["name"], found["build"]) if found else (name, "")


def short_name(name: str) -> str:
    """A peer's name for lines and folders: of many settings the first, how many more there are, and
    digits that tell one set from another."""
    peer, _, settings = name.partition("@")
    if not settings or len(name) <= _LONGEST_NAME:
        return name
    first, *more = settings.split("@")
    return f"{peer}@{first[:_LONGEST_SETTING]}@{len(more)}-more-{_digits(name)}"


def _digits(name: str) -> str:
    """Tells a short name from others."""
    import xxhash

    return xxhash.xxh64_hexdigest(name)[:6]


def _scratch_renamed(options: Sequence[str]) -> list[str]:
    """The options of scratch by their other name, unless both are in use."""
    words = [word for text in options for word in text.split()]
    used = [name for name in _SCRATCH_OPTIONS if any(word.startswith(name) for word in words)]
    if len(used) != 1:
        return []
    (name,) = used
    (other,) = set(_SCRATCH_OPTIONS) - {name}
    return [other + word.removeprefix(name) for word in words if word.startswith(name)]


def split_option(option: str) -> tuple[int | None, str]:
    """Splits "3:reserve_mem=4M:4096:late" into generation and option; None means all
    generations."""
    number, colon, rest = option.partition(":")
    if colon and number.isascii() and number.isdigit():
        return int(number), rest
    return None, option
