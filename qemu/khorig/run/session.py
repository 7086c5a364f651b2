# SPDX-License-Identifier: BSD-3-Clause
"""Runs in sequence or in parallel, with one folder for their artifacts."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Generic, Sequence, TypeVar

from khorig.guest import status as exit_status
from khorig.guest.spec import RunSpec
from khorig.rules.changed import Changed
from khorig.rules.finding import Finding, Verdict
from khorig.run.artifacts import hold_session, new_folder, new_session_folder
from khorig.run.debug.debugger import Debugger
from khorig.run.images import images_for
from khorig.run.judging import Judge, StopHook
from khorig.run.keep import Keep
from khorig.run.kernel_stops import with_probe
from khorig.run.outputs import Documents, Renderer
from khorig.run.renderers import Renderers
from khorig.run.rerun import rerun_command, write_rerun_script
from khorig.run.result import RunResult
from khorig.run.result_builder import ResultBuilder, skipped_result
from khorig.run.run import Run
from khorig.run.run_folder import RECORDED
from khorig.run.run_file import RunFile
from khorig.vm.build_outputs import Images
from khorig.vm.cancellation import Cancellation
from khorig.vm.errors import InfraError
from khorig.vm.journal import Journal
from khorig.vm.limits import Limits
from khorig.vm.machines import Machine, machine_named

if TYPE_CHECKING:
    from khorig.run.store_watch import StoreWatch

Spec = TypeVar("Spec", bound=RunSpec)

_TICK_S = 0.5


@dataclass(frozen=True)
class RunKind(Generic[Spec]):
    """How to set up runs of one kind; each function is called per run."""

    judge: Callable[[Spec], Judge]
    hooks: Callable[[Spec], Sequence[StopHook]]
    # Finds or builds the images for QEMU in the folder of the run. Raises InfraError.
    images: Callable[[Spec, Machine, Path], Images]
    # The same run with what only its kernels tell. Raises InfraError.
    complete: Callable[[Spec], Spec] = lambda spec: spec


class Session(Generic[Spec]):
    """Owns a folder below `out`, complete after each run: the documents and a folder per run; the
    report follows at the end.

    A failed run leaves guest RAM at every stop. One that is reproducible and short is repeated for
    that, in the subfolder `recorded`, so that passing runs need no copies; of others copies are
    kept meanwhile. RAM at the end of the first run is saved in any case.
    """

    def __init__(
        self,
        out: Path,
        kind: RunKind[Spec],
        documents: Documents,
        cancellation: Cancellation,
        renderers: Sequence[Renderer] = (),
        keep: bool = False,
        record: bool = True,
        limits: Limits = Limits(),
        debugger: Debugger = Debugger(),
    ) -> None:
        """`keep` keeps guest RAM at every stop of every run, `record` that of failed runs;
        `debugger` may hold up the one run. Raises InfraError when there can be no folder."""
        self.folder = new_session_folder(out)
        self.results: list[RunResult] = []
        self._kind = kind
        self._documents = documents
        self._cancellation = cancellation
        self._renderers = Renderers(renderers)
        self._keep = keep
        self._record = record
        self._limits = limits
        self._debugger = debugger
        self._lock = threading.Lock()

    def run_all(self, specs: Sequence[Spec], jobs: int = 1) -> list[RunResult]:
        """Does all runs, `jobs` at a time; skips the rest after a cancellation. Raises InfraError
        if the results cannot be written."""
        started_s = time.monotonic()
        self._renderers.begin(specs)
        held = hold_session(self.folder)
        try:
            with ThreadPoolExecutor(max_workers=jobs) as pool:
                pending = futures = [pool.submit(self.run, spec) for spec in specs]
                while pending:
                    pending = list(wait(pending, _TICK_S).not_done)
                    self._renderers.tick()
                results = [future.result() for future in futures]
        finally:
            self._report()
            os.close(held)
            self._renderers.end(self.results, self.folder, time.monotonic() - started_s)
        return results

    @property
    def output_error(self) -> OSError | None:
        """Why not all was shown, or None."""
        return self._renderers.error

    def run(self, spec: Spec) -> RunResult:
        """Does one run. Raises InfraError if the folder cannot be written."""
        try:
            result = self._run(spec)
            self._finish(result)
        except OSError as error:
            raise InfraError(f"{error.filename or self.folder}: {error.strerror}") from error
        return result

    def _run(self, spec: Spec) -> RunResult:
        machine = machine_named(spec.machine)
        spec = with_probe(spec, machine, type(self._debugger) is not Debugger)
        reason = machine.refuses(spec.memory, spec.boot)
        if (number := self._cancellation.signal_number) is not None:
            reason = f"not started: interrupted by {signal.Signals(number).name}"
        if reason is not None:
            result = skipped_result(spec, Finding("", reason, verdict=Verdict.SKIP))
            result.id = spec.id
            return result
        folder = new_folder(self.folder, spec.id)
        try:
            spec = self._kind.complete(spec)
            images = images_for(self._kind, spec, machine, folder)
        except InfraError as error:
            what, evidence = error.what, error.evidence
            finding = Finding("", what, evidence=evidence, verdict=Verdict.INFRA)
            result = skipped_result(spec, finding)
        else:
            write_rerun_script(folder / "rerun.sh", spec, machine, images)
            keep = self._images_of(spec)
            result = self._run_in(folder, spec, machine, images, keep)
            if self._worth_recording(result) and (keep is Keep.END or _changed(result)):
                self._do_again(folder / RECORDED, spec, result, machine, images, keep)
        result.id = str(folder.relative_to(self.folder))
        result.directory = str(folder)
        result.rerun = rerun_command(spec)
        return result

    def _run_in(
        self,
        folder: Path,
        spec: Spec,
        machine: Machine,
        images: Images,
        keep: Keep,
        watch: StoreWatch | None = None,
    ) -> RunResult:
        builder = ResultBuilder(spec)
        show = functools.partial(self._renderers.record, spec)
        about = RunFile(folder, spec, machine, images)
        with Journal(folder / "events.jsonl", builder, show, about) as journal:
            Run(
                spec,
                machine,
                images,
                functools.partial(self._kind.judge, spec),
                self._kind.hooks(spec),
                folder,
                journal,
                self._cancellation,
                keep,
                self._limits,
                self._debugger,
                watch,
            ).execute()
        return builder.result()

    def _images_of(self, spec: Spec) -> Keep:
        if self._keep:
            return Keep.EVERY
        return Keep.FAILED if self._record and not spec.repeatable else Keep.END

    def _worth_recording(self, result: RunResult) -> bool:
        if not self._record or self._keep:
            return False
        broken = result.verdict in (Verdict.FAIL, Verdict.CRASH, Verdict.HANG)
        refused = result.exit_status in (exit_status.NO_MEMORY, exit_status.USAGE)
        return broken and not refused and self._cancellation.signal_number is None

    def _do_again(
        self,
        folder: Path,
        spec: Spec,
        first: RunResult,
        machine: Machine,
        images: Images,
        kept: Keep,
    ) -> None:
        """Adds to the first result what the second run shows. It keeps the images that the first,
        by `kept`, has not."""
        from khorig.run.store_watch import StoreWatch  # of failed runs only

        folder.mkdir()
        changed = _changed(first)
        traced = changed is not None and spec.accel == "tcg"
        watch = StoreWatch(changed, spec, images.elves) if changed and traced else None
        keep = Keep.EVERY if kept is Keep.END else Keep.END
        again = self._run_in(folder, spec, machine, images, keep, watch)
        self._documents.write_run(folder, again)
        first.who = again.who
        where = "guest RAM at every stop in recorded/" if keep is Keep.EVERY else "see recorded/"
        if again.images_left_out:
            where += f", {again.images_left_out} omitted (time limit)"
        if _is_same(first, again):
            first.recorded = f"reproduced; {where}"
            return
        outcome = f"{again.verdict.value}: {again.cause}" if again.cause else again.verdict.value
        first.recorded = f"NOT reproduced: rerun gave {outcome}; {where}"

    def _report(self) -> None:
        if not self.results:
            return
        try:
            self._documents.write_report(self.folder)
        except Exception as error:  # the results count, whatever becomes of their picture
            known = isinstance(error, (InfraError, OSError))
            why = str(error) if known else f"bug in khorig: {error!r}"
            with contextlib.suppress(OSError):
                print(f"khorig: no report: {why}", file=sys.stderr)

    def _finish(self, result: RunResult) -> None:
        with self._lock:
            self.results.append(result)
            if result.directory:
                self._documents.write_run(Path(result.directory), result)
            self._documents.write_session(self.folder, self.results)
        self._renderers.result(result)


def _is_same(first: RunResult, again: RunResult) -> bool:
    """Where in its loop a hang is caught differs, and in a run that counts no instructions where a
    page lies."""
    if again.verdict is not first.verdict:
        return False
    if again.verdict is Verdict.HANG or again.cause == first.cause:
        return True
    if not (first.findings and again.findings):
        return False
    one, other = first.findings[0], again.findings[0]
    if not (one.changed and other.changed and all(one.changed.owners)):
        return False
    owners = set(one.changed.owners)
    there = (one.rule, one.generation, one.stop) == (other.rule, other.generation, other.stop)
    return there and bool(owners) and owners == set(other.changed.owners)


def _changed(result: RunResult) -> Changed | None:
    """The pages to watch."""
    return next((finding.changed for finding in result.findings if finding.changed), None)
