# SPDX-License-Identifier: BSD-3-Clause
"""Which package of Linux's source is taken, with a script in place of apt-get."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from khorig.linux.peer import cache_directory
from khorig.linux.source import linux_apt
from khorig.vm.errors import InfraError

_PACKAGE, _OTHER = "linux-source-7.3", "linux-source-7.2"
_APT = """#!/bin/sh
echo "$@" >> {folder}/calls
case "$*" in *"indextargets"*) echo http://mirror.example/debian/; exit ;; esac
test -e {folder}/offline && {{ echo "Could not resolve" >&2; exit 100; }}
case "$*" in
  *" download "*) for package; do :; done; touch "${{package}}_$(cat {folder}/version)_all.deb" ;;
esac
"""


class Mirror:
    """What apt-get finds, and how often it was asked to download."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "calls").touch()

    def has(self, version: str) -> None:
        (self._folder / "version").write_text(version)

    def goes_offline(self) -> None:
        (self._folder / "offline").touch()

    def comes_back(self) -> None:
        (self._folder / "offline").unlink()

    @property
    def downloads(self) -> int:
        return (self._folder / "calls").read_text().count(" download ")


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(_APT.format(folder=tmp_path))
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Mirror(tmp_path)


def _fetch(package: str = _PACKAGE) -> tuple[str, list[str]]:
    """The version that is taken, and what is told meanwhile."""
    told: list[str] = []
    return linux_apt().fetch(package, told.append).name.split("_")[1], told


def _a_week_passes() -> None:
    then = time.time() - 8 * 86400
    for path in (cache_directory() / "apt").rglob("*"):
        os.utime(path, (then, then))


def test_of_packages_that_were_fetched_the_newest_counts(mirror: Mirror) -> None:
    archives = cache_directory() / "apt" / "cache" / "archives"
    archives.mkdir(parents=True)
    assert linux_apt().kept(_PACKAGE) is None
    for version in ("7.3.10-1~bpo13+1", "7.3.9-1~bpo13+1", "7.3~rc7-1", "1%3a7.3.1-1"):
        (archives / f"{_PACKAGE}_{version}_all.deb").touch()
    for newest in ("1%3a7.3.1-1", "7.3.10-1~bpo13+1", "7.3.9-1~bpo13+1", "7.3~rc7-1"):
        kept = linux_apt().kept(_PACKAGE)
        assert kept is not None and kept.name == f"{_PACKAGE}_{newest}_all.deb"
        kept.unlink()


def test_the_mirror_is_asked_again_after_a_week(mirror: Mirror) -> None:
    mirror.has("7.3.9-1")
    assert _fetch()[0] == "7.3.9-1"
    mirror.has("7.3.10-1")
    assert (_fetch()[0], mirror.downloads) == ("7.3.9-1", 1)
    _a_week_passes()
    assert (_fetch()[0], mirror.downloads) == ("7.3.10-1", 2)
    assert (_fetch()[0], mirror.downloads) == ("7.3.10-1", 2)


def test_without_the_mirror_what_was_fetched_is_taken(mirror: Mirror) -> None:
    mirror.has("7.3.9-1")
    _fetch()
    _a_week_passes()
    mirror.goes_offline()
    version, told = _fetch()
    assert version == "7.3.9-1"
    assert told[-1].startswith("Debian's mirror: ") and "using linux-source-7.3_7.3.9" in told[-1]


def test_the_mirror_is_asked_for_each_package(mirror: Mirror) -> None:
    """An answer for one says nothing of the other."""
    mirror.has("7.3.9-1")
    _fetch(), _fetch(_OTHER)
    _a_week_passes()
    mirror.has("7.3.10-1")
    assert (_fetch()[0], _fetch(_OTHER)[0]) == ("7.3.10-1", "7.3.10-1")


def test_a_mirror_that_did_not_answer_is_asked_again(mirror: Mirror) -> None:
    mirror.has("7.3.9-1")
    _fetch()
    _a_week_passes()
    mirror.goes_offline()
    assert _fetch()[0] == "7.3.9-1"
    mirror.comes_back()
    mirror.has("7.3.10-1")
    assert _fetch()[0] == "7.3.10-1"


def test_without_the_mirror_and_a_package_it_is_an_error(mirror: Mirror) -> None:
    mirror.goes_offline()
    with pytest.raises(InfraError, match="Debian's mirror: apt-get"):
        _fetch()
