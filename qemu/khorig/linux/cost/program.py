# SPDX-License-Identifier: BSD-3-Clause
"""The program that hands over, and the runs of a measurement."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from pathlib import Path

import xxhash

from khorig.guest.chain_run import ChainRun
from khorig.linux.archive import write_whole_bytes
from khorig.linux.cost.kind import Kind
from khorig.linux.peer import Peer, cache_directory
from khorig.linux.user_space import FLAGS, compile_static
from khorig.vm.errors import InfraError

_SOURCE = Path(__file__).parents[1] / "user" / "cost.c"
# Where no other program has code: the probe knows a mark by its virtual address.
_MORE = ("-Wl,--image-base=0x7e000000", "-fno-builtin")
_AREA = "64K:65536"  # the largest page of all


def build_program(peer: Peer) -> Path:
    """The program for a peer, in the cache. Raises InfraError."""
    digest = xxhash.xxh64(f"{peer.directory.name} {FLAGS} {_MORE}")
    digest.update(_SOURCE.read_bytes())
    path = cache_directory() / "cost" / f"{peer.arch}-{digest.hexdigest()}"
    if path.is_file():
        return path
    more = (*_MORE, *(("-mno-outline-atomics",) if peer.arch == "arm64" else ()))
    program = compile_static(peer, [_SOURCE], [], "cost.c", more)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole_bytes(path, program)
        path.chmod(0o755)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise InfraError(f"{path}: {error.strerror}") from error
    return path


def measured(spec: ChainRun, kind: Kind, size: int, program: Path) -> ChainRun:
    """The run from a kernel to itself that hands over `size` of a kind."""
    options, programs = spec.linux_options, spec.programs
    if kind.has_program:
        path = shlex.quote(str(program))
        words = f"{kind.value} {size}"
        programs = (f"1:{path} preserve {words}", f"2:{path} restore {words}")
    else:
        options = (*options, *(f"reserve_mem={_AREA}:cost{n}" for n in range(size)))
    return dataclasses.replace(spec, measured=True, linux_options=options, programs=programs)
