# SPDX-License-Identifier: BSD-3-Clause
"""Builds Linux peers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Iterator, Sequence

import xxhash

from khorig.guest.chain_run import short_name
from khorig.linux.flavour import already_so, needs_of, unknown, why_not
from khorig.linux.peer import (
    CROSS_PREFIX,
    IMAGE_PATH,
    IMAGE_TARGET,
    KERNEL_ARCH,
    Peer,
    cache_directory,
    list_peers,
    make_newest,
    write_peer,
)
from khorig.linux.kconfig_option import KconfigOption, unmet
from khorig.linux.source import Source
from khorig.vm.errors import InfraError
from khorig.vm.exit_meaning import describe_status, last_lines
from khorig.vm.private_apt import Report

_CONFIG = Path(__file__).parent / "config"
_RECIPE = 2  # increment when the steps below change
_REPORT_S = 10.0
_LOG = "build.log"
_NEEDED = {
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "/usr/include/libelf.h": "libelf-dev",
    "/usr/include/openssl/opensslv.h": "libssl-dev",
    CROSS_PREFIX["x86_64"] + "gcc": "gcc",
    CROSS_PREFIX["arm64"] + "gcc": "gcc-aarch64-linux-gnu",
}


def missing_packages() -> list[str]:
    """Missing Debian packages needed for a build."""
    return [
        package
        for program, package in _NEEDED.items()
        if not (Path(program).exists() if program.startswith("/") else shutil.which(program))
    ]


class Builder:
    """Builds one source for one architecture, unless it is cached."""

    def __init__(
        self,
        source: Source,
        arch: str,
        jobs: int,
        report: Report,
        settings: Sequence[KconfigOption] = (),
    ) -> None:
        """`report` gets progress lines, at least every ten seconds. `settings` are added to the
        rig's configuration, with what they need, and to the name of the peer."""
        self._source = source
        self._arch = arch
        self._jobs = jobs
        self._report = report
        self._settings = sorted(settings)
        self._needs = needs_of(self._settings)
        self._name = source.name + "".join(setting.suffix for setting in self._settings)
        self._started_s = 0.0

    def build(self) -> Peer:
        """The built kernel, cached if possible. Raises InfraError."""
        if missing := missing_packages():
            command = f"apt-get install --no-install-recommends {' '.join(missing)}"
            raise InfraError("missing packages for building Linux", (command,))
        identity = self._source.identity(self._report)
        key = self._key(self._name, identity)
        kept = cache_directory() / "peers" / key
        for peer in list_peers():
            if peer.directory == kept:
                make_newest(peer)
                return peer
        edited = self._source.edited
        # Whatever the name of its peers, which may be that of a commit, a tree has one folder.
        objects = cache_directory() / "objects"
        objects /= self._key(Path(edited).name, edited) if edited else key
        shutil.rmtree(kept, ignore_errors=True)
        objects.mkdir(parents=True, exist_ok=True)
        (objects / _LOG).unlink(missing_ok=True)
        self._started_s = time.monotonic()
        tree = self._source.tree(self._report)
        self._build(tree, objects)
        if edited and self._source.identity(self._report) != identity:
            raise InfraError(f"{edited} changed during the build; build it again")
        peer = self._keep(tree, objects, kept)
        if not edited:
            shutil.rmtree(objects)
        self._report(f"{peer.short} for {self._arch}: {self._elapsed_s():.0f} s")
        return peer

    def _key(self, name: str, identity: str) -> str:
        digest = xxhash.xxh64(f"{_RECIPE} {self._arch} {identity}")
        for path in self._fragments():
            digest.update(path.read_bytes())
        for line in self._added:
            digest.update(f"{line}\n")
        compiler = [CROSS_PREFIX[self._arch] + "gcc", "-v"]
        digest.update(subprocess.run(compiler, capture_output=True, check=False).stderr)
        return f"{short_name(name)}-{self._arch}-{digest.hexdigest()}"

    def _fragments(self) -> list[Path]:
        return [_CONFIG / "common.config", _CONFIG / f"{self._arch}.config"]

    @property
    def _added(self) -> list[str]:
        """On top of the rig's configuration; later lines win."""
        return [*self._needs, *(setting.line for setting in self._settings)]

    def _build(self, tree: Path, objects: Path) -> None:
        log = objects / _LOG
        make = [
            *("make", f"ARCH={KERNEL_ARCH[self._arch]}", f"O={objects}", f"-j{self._jobs}"),
            f"CROSS_COMPILE={CROSS_PREFIX[self._arch]}",
        ]
        config = objects / ".config"
        added = objects / "settings.config"
        added.write_text("".join(f"{line}\n" for line in self._added))
        merge = [str(tree / "scripts/kconfig/merge_config.sh"), "-m", "-O", str(objects)]
        merge.append(str(config))
        self._run([*make, "tinyconfig"], tree, log)
        self._run([*merge, *map(str, self._fragments())], tree, log)
        self._run([*make, "olddefconfig"], tree, log)
        if self._settings:
            self._check_settings(config.read_text(), tree)
            self._run([*merge, str(added)], tree, log)
            self._run([*make, "olddefconfig"], tree, log)
        self._check_config(config.read_text(), tree)
        self._run([*make, IMAGE_TARGET[self._arch]], tree, log)
        self._run([*make, "headers"], tree, log)

    def _keep(self, tree: Path, objects: Path, kept: Path) -> Peer:
        kept.mkdir(parents=True)
        shutil.copy(objects / IMAGE_PATH[self._arch], kept / IMAGE_TARGET[self._arch])
        shutil.copy(objects / "vmlinux", kept)
        shutil.copy(objects / ".config", kept / "config")
        shutil.copytree(objects / "usr/include", kept / "include")
        shutil.copytree(tree / "tools/include/nolibc", kept / "include", dirs_exist_ok=True)
        release = (objects / "include/config/kernel.release").read_text().strip()
        peer = Peer(self._arch, self._name, release, kept)
        write_peer(peer)
        return peer

    def _check_settings(self, base: str, tree: Path) -> None:
        """Raises InfraError where the peer would be the one without settings under another name."""
        so = already_so(self._settings, base)
        name = f"{short_name(self._name)} for {self._arch}"
        for setting in so:
            if setting.value == "n" and (gone := unknown(setting, self._arch, tree)):
                raise InfraError(f"{name}: no such option", (gone,))
            self._report(f"{name}: {setting.line}: already so in {self._source.name}")
        if len(so) == len(self._settings):
            what = f"{name} is {self._source.name}: it has these settings already"
            lines = (setting.line for setting in so)
            raise InfraError(what, (*lines, f"fix: use {self._source.name}"))

    def _check_config(self, config: str, tree: Path) -> None:
        """Raises InfraError for options dropped by olddefconfig."""
        lines = [line for path in self._fragments() for line in path.read_text().splitlines()]
        wanted = [line for line in lines if line.startswith("CONFIG_")]
        if missing := unmet([*wanted, *self._added], config):
            what = f"{short_name(self._name)} for {self._arch}: options not applied by olddefconfig"
            failed = (s for s in self._settings if unmet([s.line], config))
            why = (line for setting in failed for line in why_not(setting, self._arch, tree))
            raise InfraError(what, (*missing, *why))

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started_s

    def _run(self, words: list[str], tree: Path, log: Path) -> None:
        what = f"{short_name(self._name)} for {self._arch}"
        with log.open("ab") as sink:
            process = subprocess.Popen(
                ["nice", "-n", "19", *words],
                cwd=tree,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                process_group=0,
            )
            try:
                self._wait(process, what, log)
            except BaseException:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise
        if process.returncode:
            tail = last_lines(log.read_text(errors="replace").splitlines(), 12)
            how = f"{words[0]} {describe_status(process.returncode)}"
            raise InfraError(f"building {what} failed: {how}, log: {log}", tail)

    def _wait(self, process: subprocess.Popen[bytes], what: str, log: Path) -> None:
        while True:
            try:
                process.wait(_REPORT_S)
                return
            except subprocess.TimeoutExpired:
                compiled = log.read_bytes().count(b"\n  CC ")
                self._report(f"{what}: {compiled} files compiled, {self._elapsed_s():.0f} s")


@contextlib.contextmanager
def only_builder(report: Report) -> Iterator[None]:
    """Locks the cache for building, waiting for other builds."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    with (cache_directory() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another build")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
