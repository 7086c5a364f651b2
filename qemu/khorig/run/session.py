# SPDX-License-Identifier: BSD-3-Clause
"""Runs, one after the other or side by side, with one folder for what they leave."""

from __future__ import annotations

import functools
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from khorig.guest import status as exit_status
from khorig.guest.spec import RunSpec
from khorig.out.documents import results_document, verdict_document
from khorig.out.junit import junit_document
from khorig.out.ktap import ktap_document
from khorig.out.renderer import Renderer
from khorig.rules.finding import Finding, Verdict
from khorig.run.artifacts import new_folder, new_session_folder, write_whole
from khorig.run.judging import Judge, StopHook
from khorig.run.rerun import rerun_command, write_rerun_script
from khorig.run.result import RunResult
from khorig.run.result_builder import ResultBuilder, skipped_result
from khorig.run.run import Run
from khorig.vm.build_outputs import Images, find_images
from khorig.vm.cancellation import Cancellation
from khorig.vm.command import guest_command_line
from khorig.vm.errors import InfraError
from khorig.vm.journal import Journal
from khorig.vm.machines import Machine, machine_named
from khorig.vm.uefi_volume import make_uefi_images

JudgeFactory = Callable[[RunSpec], Judge]
HookFactory = Callable[[RunSpec], Sequence[StopHook]]

_TICK_S = 0.5


def _images(spec: RunSpec, machine: Machine, folder: Path) -> Images:
    if spec.kernels:
        from khorig.linux.chain import make_images

        images = make_images(spec, machine, folder)
    else:
        images = find_images(machine)
    if spec.boot == "uefi":
        return make_uefi_images(machine, images, guest_command_line(spec), folder)
    return images


class Session:
    """Owns a folder below `out`. After each run the folder is complete as far as it goes:
    results.json, junit.xml, results.ktap and a folder for each run; report.html and trace.json follow
    at the end.

    A run that did not pass is done once more with guest RAM kept at every stop, in the subfolder
    `recorded`: runs depend on nothing but their inputs, so the second one shows what led to the end
    of the first, and passing runs need not pay for copies nobody looks at. The RAM at the end of
    the first is kept anyhow.
    """

    def __init__(
        self,
        out: Path,
        judges: JudgeFactory,
        hooks: HookFactory,
        cancellation: Cancellation,
        renderers: Sequence[Renderer] = (),
        keep: bool = False,
        record: bool = True,
    ) -> None:
        """`keep` keeps guest RAM at every stop of every run; `record` does failed runs again.
        Raises InfraError when there can be no folder."""
        self.folder = new_session_folder(out)
        self.results: list[RunResult] = []
        self._judges = judges
        self._hooks = hooks
        self._cancellation = cancellation
        self._renderers = renderers
        self._keep = keep
        self._record = record
        self._lock = threading.Lock()

    def run_all(self, specs: Sequence[RunSpec], jobs: int = 1) -> list[RunResult]:
        """Does all runs, `jobs` at a time; after a cancellation the rest is skipped. Raises
        InfraError when the results cannot be written."""
        started_s = time.monotonic()
        for renderer in self._renderers:
            renderer.begin(specs)
        try:
            with ThreadPoolExecutor(max_workers=jobs) as pool:
                pending = futures = [pool.submit(self.run, spec) for spec in specs]
                while pending:
                    pending = list(wait(pending, _TICK_S).not_done)
                    self._tick()
                results = [future.result() for future in futures]
        finally:
            self._report()
            for renderer in self._renderers:
                renderer.end(self.results, self.folder, time.monotonic() - started_s)
        return results

    def run(self, spec: RunSpec) -> RunResult:
        """Does one run, whatever happens to it. Raises InfraError when the folder cannot be
        written."""
        try:
            result = self._run(spec)
            self._finish(result)
        except OSError as error:
            raise InfraError(f"{error.filename or self.folder}: {error.strerror}") from error
        return result

    def _run(self, spec: RunSpec) -> RunResult:
        machine = machine_named(spec.machine)
        reason = machine.refuses(spec.memory, spec.boot)
        if (number := self._cancellation.signal_number) is not None:
            reason = f"not begun: interrupted by {signal.Signals(number).name}"
        if reason is not None:
            result = skipped_result(spec, Finding("skip", reason, verdict=Verdict.SKIP))
            result.id = spec.id
            return result
        folder = new_folder(self.folder, spec.id)
        try:
            images = _images(spec, machine, folder)
        except InfraError as error:
            what, evidence = error.what, error.evidence
            finding = Finding("infrastructure", what, evidence=evidence, verdict=Verdict.INFRA)
            result = skipped_result(spec, finding)
        else:
            write_rerun_script(folder / "rerun.sh", spec, machine, images)
            result = self._run_in(folder, spec, machine, images, self._keep)
        result.id = str(folder.relative_to(self.folder))
        result.directory = str(folder)
        result.rerun = rerun_command(spec)
        return result

    def _run_in(
        self, folder: Path, spec: RunSpec, machine: Machine, images: Images, keep: bool
    ) -> RunResult:
        builder = ResultBuilder(spec)
        show = functools.partial(self._show, spec)
        with Journal(folder / "events.jsonl", builder, show) as journal:
            Run(
                spec,
                machine,
                images,
                self._judges(spec),
                self._hooks(spec),
                folder,
                journal,
                self._cancellation,
                keep,
            ).execute()
        result = builder.result()
        if self._record and not keep and self._worth_recording(result):
            result.recorded = self._do_again(folder / "recorded", result, machine, images)
        return result

    def _worth_recording(self, result: RunResult) -> bool:
        broken = result.verdict in (Verdict.FAIL, Verdict.CRASH, Verdict.HANG)
        refused = result.exit_status in (exit_status.NO_MEMORY, exit_status.USAGE)
        return broken and not refused and self._cancellation.signal_number is None

    def _do_again(
        self, folder: Path, first: RunResult, machine: Machine, images: Images
    ) -> str:
        folder.mkdir()
        again = self._run_in(folder, first.spec, machine, images, keep=True)
        write_whole(folder / "verdict.json", verdict_document(again))
        if again.verdict is first.verdict and again.cause == first.cause:
            return "the same once more; guest RAM at every stop is in recorded/"
        outcome = f"{again.verdict.value}: {again.cause}" if again.cause else again.verdict.value
        return f"NOT the same once more, but {outcome}; guest RAM at every stop is in recorded/"

    def _report(self) -> None:
        """Makes the page for people. It is made of what is in the folder already, so a session
        without it has lost nothing."""
        from khorig.out.report.page import write_report

        if not self.results:
            return
        try:
            write_report(self.folder)
        except InfraError as error:
            print(f"khorig: no report: {error.what}", file=sys.stderr)

    def _tick(self) -> None:
        with self._lock:
            for renderer in self._renderers:
                renderer.tick()

    def _show(self, spec: RunSpec, record: Mapping[str, Any]) -> None:
        with self._lock:
            for renderer in self._renderers:
                renderer.record(spec, record)

    def _finish(self, result: RunResult) -> None:
        with self._lock:
            self.results.append(result)
            if result.directory:
                write_whole(Path(result.directory) / "verdict.json", verdict_document(result))
            for name, document in (
                ("results.json", results_document),
                ("junit.xml", junit_document),
                ("results.ktap", ktap_document),
            ):
                write_whole(self.folder / name, document(self.results))
            for renderer in self._renderers:
                renderer.result(result)

