# SPDX-License-Identifier: BSD-3-Clause
"""A git tree of Linux with ten commits, one of which breaks the handover.

User space does not notice: what it wrote is still there when it looks.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_IDENTITY = {
    "GIT_AUTHOR_NAME": "A. Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.org",
    "GIT_COMMITTER_NAME": "A. Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


@dataclass(frozen=True)
class Edit:
    """One commit: a text that a file has once, and what takes its place."""

    subject: str
    path: str
    old: str
    new: str


_KHO = "kernel/liveupdate/kexec_handover.c"

# The next kernel reads the page before it gives free memory away, so its content is still there.
BAD = Edit(
    "memblock: leave it to kho_add_subtree() to preserve the FDT",
    "mm/memblock.c",
    """\
\terr = kho_preserve_pages(fdt_page, 1);
\tif (err)
\t\tgoto err_free_fdt;

\terr |= fdt_create(fdt, PAGE_SIZE);
""",
    """\
\terr = fdt_create(fdt, PAGE_SIZE);
\tif (err)
\t\tgoto err_free_fdt;

""",
)
EDITS = (
    Edit(
        "liveupdate: luo_session: reword a warning",
        "kernel/liveupdate/luo_session.c",
        "Unable to finish session [%s] on release",
        "Cannot finish session [%s] on release",
    ),
    Edit(
        "mm: memfd_luo: reword an error",
        "mm/memfd_luo.c",
        "failed to pin folios: %d",
        "failed to pin the folios: %d",
    ),
    Edit(
        "kho: declare the order where it is used",
        _KHO,
        """\
\tunsigned int order;

\twhile (pfn < end_pfn) {
\t\torder = __kho_preserve_pages_order(pfn, end_pfn);

\t\tkho_radix_del_key(""",
        """\
\twhile (pfn < end_pfn) {
\t\tunsigned int order = __kho_preserve_pages_order(pfn, end_pfn);

\t\tkho_radix_del_key(""",
    ),
    Edit(
        "memblock: shorten a warning",
        "mm/memblock.c",
        "KHO reserve-mem '%s' has wrong alignment (",
        "KHO reserve-mem '%s' is misaligned (",
    ),
    Edit(
        "test_kho: reword a warning",
        "lib/test_kho.c",
        "failed to retrieve %s FDT: %d",
        "cannot retrieve %s FDT: %d",
    ),
    BAD,
    Edit(
        "liveupdate: luo_file: reword a warning",
        "kernel/liveupdate/luo_file.c",
        "File count mismatch: expected %llu, found %llu",
        "File count mismatch: %llu expected, %llu found",
    ),
    Edit(
        "kho: reword an error",
        _KHO,
        "Failed to reserve scratch array",
        "Failed to reserve the scratch array",
    ),
    Edit(
        "mm: memfd_luo: simplify the error path",
        "mm/memfd_luo.c",
        "\tfor (i = i - 1; i >= 0; i--)\n\t\tkho_unpreserve_folio(folios[i]);",
        "\twhile (--i >= 0)\n\t\tkho_unpreserve_folio(folios[i]);",
    ),
    Edit(
        "liveupdate: luo_core: reword an error",
        "kernel/liveupdate/luo_core.c",
        "failed to prepare LUO state: %d",
        "preparing LUO state failed: %d",
    ),
)


def make_history(tree: Path) -> list[str]:
    """Makes a repository of `tree` and a commit for each edit. Returns the object names, that of
    the source as it was first."""
    _git(tree, "init", "--quiet", "--initial-branch=main")
    _git(tree, "config", "gc.auto", "0")
    commits = [_commit(tree, "Linux")]
    for edit in EDITS:
        path = tree / edit.path
        text = path.read_text(encoding="utf-8")
        assert text.count(edit.old) == 1, f"{edit.path} has not once: {edit.old}"
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
        commits.append(_commit(tree, edit.subject, edit.path))
    return commits


def _commit(tree: Path, subject: str, path: str = ".") -> str:
    _git(tree, "add", "--force", path)
    _git(tree, "commit", "--quiet", "-m", subject)
    return _git(tree, "rev-parse", "HEAD").strip()


def _git(tree: Path, *words: str) -> str:
    environment = {**os.environ, **_IDENTITY}
    done = subprocess.run(
        ["git", *words], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
