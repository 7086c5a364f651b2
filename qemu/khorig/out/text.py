# SPDX-License-Identifier: BSD-3-Clause
"""A result as text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Sequence

from khorig.guest.program_end import ProgramEnd
from khorig.guest.spec import RunSpec
from khorig.mem.untrusted import printable
from khorig.out.costs import PAGE_PHASES, cost_per_page, jump_cost, start_cost
from khorig.rules.finding import Finding, Verdict
from khorig.rules.registry import RULES
from khorig.run.result import RunResult

_EVIDENCE_LINES = 14
_LOG_LINES = 6
_SHORT_EVIDENCE = 8
_SHORT_LOG_LINES = 3  # below much evidence: a failure has less than 30 lines
_BACKTRACE = "backtrace:"  # kernel/cpus/panic.cc
_WIDTH = 400  # characters of a value


def machine_label(spec: RunSpec) -> str:
    """ "x86_64/q35", with boot method and memory if not the default."""
    label = f"{spec.arch}/{spec.machine}"
    if spec.boot != RunSpec.boot:
        label += f" {spec.boot}"
    return label if spec.memory == RunSpec.memory else f"{label} {size(spec.memory)}"


def scenario_label(spec: RunSpec) -> str:
    """ "handover", with injected fault, tampering and pokes."""
    done = [*spec.defects, *(f"poke {poke}" for poke in spec.pokes)]
    return f"{spec.what}[{','.join(done)}]" if done else spec.what


def size(count: int) -> str:
    """Bytes with a unit: "64.5 MiB", "6 GiB"."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << shift:
            number = f"{count / (1 << shift):.1f}".removesuffix(".0")
            return f"{number} {unit}"
    return f"{count} B"


def result_lines(result: RunResult, in_document: bool = False) -> list[str]:
    """All lines about a run; the first starts with the verdict. In a document of the session its
    folder is named relative to the session's, which may be moved."""
    head = f" {result.verdict.value:<5} {machine_label(result.spec):<15} "
    head += f"{scenario_label(result.spec):<10} "
    if result.verdict is Verdict.PASS:
        programs = [_program_line(program) for program in result.programs]
        stress = ["       " + stress.line for stress in result.stress]
        return [head + _proven(result), *_cost_lines(result), *stress, *programs]
    if result.verdict is Verdict.SKIP:
        return [head + printable(result.cause)]
    return [head + _place(result), *_failure_lines(result, in_document)]


def summary_lines(results: Sequence[RunResult], folder: Path, wall_s: float) -> list[str]:
    """The last lines of a session."""
    counts = {verdict: sum(r.verdict is verdict for r in results) for verdict in Verdict}
    failed = counts[Verdict.FAIL] + counts[Verdict.CRASH] + counts[Verdict.HANG]
    seeds = ", ".join(dict.fromkeys(f"{r.spec.seed:#x}" for r in results))
    report = (
        [f"report   {relative(folder)}/report.html"] if (folder / "report.html").exists() else []
    )
    return [
        f"{_plural(len(results), 'run')}: {counts[Verdict.PASS]} passed, {failed} failed, "
        f"{counts[Verdict.SKIP]} skipped, {_plural(counts[Verdict.INFRA], 'infrastructure error')}"
        f"   {wall_s:.1f} s"
        f"   seed {seeds}",
        f"results  {relative(folder)}/results.json  junit.xml  results.ktap",
        *report,
    ]


def relative(path: Path) -> str:
    """Relative to the current directory, if below it."""
    try:
        return os.fspath(path.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)


def _proven(result: RunResult) -> str:
    statistics = result.statistics
    ran = f"{_plural(result.generations, 'generation')}  {result.wall_s:.2f} s  "
    if result.spec.crash_kernel and not statistics.preserved_pages:
        return ran + "a crash kernel, which is given no handover"
    if not statistics.preserved_pages:
        return ran + "no handover was looked at"
    return (
        f"{ran}{size(statistics.preserved_bytes)} in "
        f"{_plural(statistics.preserved_pages, 'page')}, "
        f"{_plural(statistics.preserved_blocks, 'block')}; "
        f"{_plural(statistics.fragments, 'fragment')}, depth {statistics.fragment_depth}"
    )


def _cost_lines(result: RunResult) -> list[str]:
    lines = []
    phases = result.phases if result.spec.counted else ()  # else the phases are wall time
    if parts := jump_cost(phases):
        split = ", ".join(f"{label} {_instructions(cost)}" for label, cost in parts.items())
        lines.append(f"jump {_instructions(sum(parts.values()))} instructions: {split}")
    if start := start_cost(phases):
        split = ", ".join(f"{name} {_instructions(cost)}" for name, cost in start.items())
        lines.append(f"before the first kernel: {split}")
    words = []
    for phase, label in PAGE_PHASES:
        if (cost := cost_per_page(phases, phase)) is not None:
            words.append(f"{label} {cost:.1f} instructions a page")
    if result.statistics.jumps:
        words.append(coverage_line(result))
    elif result.generations > 1:
        words.append("no pages compared across a jump")
    words += _idle_cpus(result)
    if words:
        lines.append(", ".join(words))
    return ["       " + line for line in lines]


def _program_line(program: ProgramEnd) -> str:
    return "       " + _shown(program.line)


def _idle_cpus(result: RunResult) -> list[str]:
    """CPUs of the machine that a kernel did not use; how many there were where all did."""
    smp = result.spec.smp
    if smp > 1 and result.online and set(result.online.values()) == {smp}:
        each = " in each generation" if len(result.online) > 1 else ""
        return [f"{smp} CPUs{each}"]
    fewer = {g: online for g, online in result.online.items() if online < result.spec.smp}
    return [
        f"generation {generation} ran on {_plural(online, 'CPU')} of {result.spec.smp}"
        for generation, online in sorted(fewer.items())[:2]
    ]


def coverage_line(result: RunResult) -> str:
    """Pages compared across the jumps."""
    coverages = result.statistics.jumps
    jumps = sum(coverage.jumps for coverage in coverages)
    least, most = (pick(coverage.pages for coverage in coverages) for pick in (min, max))
    pages = _plural(most, "page") if least == most else f"{least} to {most} pages"
    return f"{pages} compared across {'the jump' if jumps == 1 else f'each of {jumps} jumps'}"


def rule_label(rule: str) -> str:
    """ "KHR-I080 no preserved page changes across a jump"; "" without a rule."""
    return f"{rule} {RULES[rule].title}" if rule in RULES else rule


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _instructions(instructions: int) -> str:
    return f"{instructions / 1e6:.2f} M" if instructions >= 10_000 else str(instructions)


def _place(result: RunResult) -> str:
    finding = result.findings[0]
    words = []
    if finding.generation:
        words.append(f"generation {finding.generation} of {result.spec.generations}")
    if finding.stop:
        words.append(f"at {finding.stop}")
    place = [" ".join(words) or "before the guest ran"]
    rule = [f"violates {rule_label(finding.rule)}"] if finding.rule else []
    return "  ".join([*place, *rule])


def _failure_lines(result: RunResult, in_document: bool) -> list[str]:
    finding = result.findings[0]
    lines = [_line("error", finding.what)]
    if finding.where:
        lines.append(_line("where", finding.where))
    if finding.owner:
        lines.append(_line("owner", finding.owner))
    lines += _block("program", [program.line for program in result.programs])
    lines += _block("stress", [stress.line for stress in result.stress])
    lines += _block("poked", [poked.line for poked in result.poked])
    lines += _block("why", [reason.what for reason in finding.why])
    lines += _block("who", result.who.lines if result.who else ())
    evidence = _backtrace_first([line for line in finding.evidence if line not in finding.what])
    lines += _block("evidence", evidence[:_EVIDENCE_LINES])
    lines += _block("more", _others(result.findings[1:]))
    if finding.verdict is not Verdict.INFRA:
        log = [line for line in result.console_tail if line and line not in evidence]
        count = _LOG_LINES if len(evidence) <= _SHORT_EVIDENCE else _SHORT_LOG_LINES
        lines += _block("log", log[-count:])
    if result.recorded:
        lines.append(_line("repeat", result.recorded))
    if result.directory:
        folder = result.id if in_document else relative(Path(result.directory))
        lines.append(_line("files", folder))
    if result.rerun:
        lines.append(f"  {'rerun':<9} {result.rerun}")
    return lines


def _backtrace_first(evidence: Sequence[str]) -> Sequence[str]:
    """A kernel prints its registers first; where it was matters more."""
    begin = evidence.index(_BACKTRACE) if _BACKTRACE in evidence else 0
    return [*evidence[begin:], *evidence[:begin]]


def _others(findings: Sequence[Finding]) -> list[str]:
    lines = [" ".join((finding.rule, finding.what)).strip() for finding in findings[:3]]
    if len(findings) > 3:
        lines.append(f"and {len(findings) - 3} more in verdict.json")
    return lines


def _block(label: str, texts: Sequence[str]) -> list[str]:
    return [_line(label if index == 0 else "", text) for index, text in enumerate(texts)]


def _line(label: str, text: str) -> str:
    # Guest output must not control the terminal.
    return f"  {label:<9} {_shown(text)}"


def _shown(text: str) -> str:
    clean = printable(text)
    return clean if len(clean) <= _WIDTH else clean[:_WIDTH] + "..."
