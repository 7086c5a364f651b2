# SPDX-License-Identifier: BSD-3-Clause
"""Where `khorig replay --gdb` stops a run."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import click

from khorig.cli.session import SessionOptions
from khorig.guest.chain_run import is_linux
from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec
from khorig.run.debug.attach import gdb_command, no_gdb
from khorig.run.debug.before_store import (
    MOST_STORES,
    CountReached,
    CountStores,
    StopBeforeStore,
    halts_before,
)
from khorig.run.debug.debugger import Announce, Debugger, GdbAtStop, GdbFromStart
from khorig.run.run_folder import RunFolder
from khorig.run.session import RunKind, Session
from khorig.vm.errors import InfraError

# Where Linux maps all RAM: what is added to a physical address (x86_64 without KASLR; arm64 with
# addresses of 48 bits, and RAM of `virt` from 1 GiB on).
_LINEAR = {"x86_64": 0xFFFF888000000000, "arm64": 0xFFFF000000000000 - 0x40000000}
_U64 = (1 << 64) - 1


def debugger_for(
    run: RunFolder,
    kind: RunKind[Any],
    options: SessionOptions,
    port: int,
    at: tuple[str, int] | None,
    before_write: int | None,
) -> Debugger:
    """The debugger that stops the run where it was asked for, and prints then how to attach gdb.
    For a write the run is done twice here. Raises UsageError for a place that the run does not
    reach, InfraError."""
    announce = announcer(run, options, port)
    if before_write is not None:
        return _before_write(run.spec, kind, options, port, before_write, announce)
    if at is None:
        announce(1, None)
        return GdbFromStart(port)
    check_stop(run.spec, *at)
    return GdbAtStop(port, at[1], at[0], announce)


def announcer(run: RunFolder, options: SessionOptions, port: int) -> Announce:
    """What prints how to attach gdb to the run."""
    images = run.images()

    def announce(generation: int, boot: GuestEvent | None) -> None:
        elf = images.elves.get(run.spec.kernel_of(max(1, generation)))
        command = gdb_command(run.spec.arch, elf, port, boot)
        click.echo(
            f"stopped in generation {generation}, waiting for gdb:  {command}", options.people
        )
        if (mend := no_gdb(run.spec.arch)) is not None:
            click.echo(f"  ({mend})", options.people)

    return announce


def check_stop(spec: RunSpec, stop: str, generation: int) -> None:
    """Raises UsageError for a stop that the run does not have."""
    if not 1 <= generation <= spec.generations:
        raise click.UsageError(f"--at: the run has generations 1 to {spec.generations}")
    if stop not in (stops := spec.stops_of(generation)):
        raise click.UsageError(f"--at: generation {generation} stops at {', '.join(stops)}")


def _before_write(
    spec: RunSpec,
    kind: RunKind[Any],
    options: SessionOptions,
    port: int,
    address: int,
    announce: Announce,
) -> Debugger:
    if not spec.counted:
        raise click.UsageError("--before-write: this run does not count virtual time (--count)")
    addresses = [address]
    if any(is_linux(spec.kernel_of(g)) for g in range(1, spec.generations + 1)):
        addresses.append((address + _LINEAR[spec.arch]) & _U64)
    stores = CountStores(port, spec.arch, addresses)
    _do(spec, kind, stores)
    if stores.last is None:
        raise InfraError(f"no CPU stored to {address:#018x}: a device or the host did, or nobody")
    if stores.too_many:
        raise InfraError(f"more than {MOST_STORES} stores to {address:#018x}")
    place = stores.last
    if not halts_before(spec.arch):
        reached = CountReached(port, spec.arch, addresses, place)
        _do(spec, kind, reached)
        if not reached.reached:
            raise InfraError(f"the store to {address:#018x} is in too long a loop to follow")
        place = dataclasses.replace(place, reached=reached.reached)
    people = options.people
    click.echo(f"{place.store} stores to {address:#018x}; stopping before the last one", people)
    return StopBeforeStore(port, spec.arch, addresses, place, announce)


def _do(spec: RunSpec, kind: RunKind[Any], debugger: Debugger) -> None:
    from khorig.out.session_documents import SessionDocuments
    from khorig.vm.cancellation import Cancellation

    with tempfile.TemporaryDirectory(prefix="khorig.") as folder:
        cancellation = Cancellation()
        cancellation.install()
        session: Session[Any] = Session(
            Path(folder), kind, SessionDocuments(), cancellation, record=False, debugger=debugger
        )
        session.run(spec)
        cancellation.check()
