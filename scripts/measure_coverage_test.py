# SPDX-License-Identifier: BSD-3-Clause
"""Coverage counts what tests run, in their own process and in children."""

from __future__ import annotations

from pathlib import Path

from measure_coverage import FileCoverage, measure, report_lines

_TEST = """
import subprocess, sys
from package.near import here

def test_both():
    assert here() == 1
    subprocess.run([sys.executable, "-c", "from package.far import there; there()"], check=True)
"""


def test_lines_that_run_anywhere_count(tmp_path: Path) -> None:
    source = tmp_path / "package"
    for room in ("near", "far", "never"):
        (source / room).mkdir(parents=True)
    (source / "near" / "__init__.py").write_text("def here():\n    return 1\n")
    (source / "far" / "__init__.py").write_text(
        "def there():\n    return 2\n\ndef no():\n    pass\n"
    )
    (source / "never" / "a.py").write_text("import os\nimport sys\n")
    test = tmp_path / "test_both.py"
    test.write_text(_TEST)
    passed, files = measure(source, [test], 2)
    assert passed
    assert files == [
        FileCoverage("far/__init__.py", 4, (5,)),
        FileCoverage("near/__init__.py", 2, ()),
        FileCoverage("never/a.py", 2, (1, 2)),
    ]
    test.write_text("def test_wrong():\n    assert False\n")
    assert not measure(source, [test], 1)[0]


def test_the_report_has_rooms_a_total_and_what_is_missed_most() -> None:
    files = [
        FileCoverage("run/a.py", 30, tuple(range(6))),
        FileCoverage("run/b.py", 10, ()),
        FileCoverage("cli/a.py", 10, (1, 2, 3, 4, 5, 6, 7)),
    ]
    assert report_lines(files) == [
        "room               lines  missed  covered",
        "cli                   10       7    30.0%",
        "run                   40       6    85.0%",
        "total                 50      13    74.0%",
        "",
        "most lines missed:",
        "    7 of 10    cli/a.py",
        "    6 of 30    run/a.py",
    ]
