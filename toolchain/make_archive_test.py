# SPDX-License-Identifier: BSD-3-Clause
"""Archives are read back by libarchive and must be the same bytes every time."""

from __future__ import annotations

import os
from pathlib import Path

import libarchive

import make_archive


def test_members_come_back(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(256)) * 300)
    (tmp_path / "b").write_bytes(b"quiet")
    archive = tmp_path / "x.cpio"
    status = make_archive.main(
        [str(archive), f"kernel={tmp_path / 'a'}", f"cmdline={tmp_path / 'b'}"]
    )
    assert status == 0
    assert archive.read_bytes().startswith(b"070701")
    with libarchive.file_reader(str(archive)) as reader:
        members = {entry.pathname: b"".join(entry.get_blocks()) for entry in reader}
    assert members == {"kernel": bytes(range(256)) * 300, "cmdline": b"quiet"}


def test_same_contents_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"contents")
    members = [("kernel", tmp_path / "a")]
    make_archive.write_archive(tmp_path / "first", members)
    os.utime(tmp_path / "a", (1, 1))
    (tmp_path / "a").chmod(0o600)
    make_archive.write_archive(tmp_path / "second", members)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_bad_usage() -> None:
    assert make_archive.main([]) == 2
    assert make_archive.main(["x.cpio", "kernel"]) == 2
