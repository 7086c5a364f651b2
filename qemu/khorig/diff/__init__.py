# SPDX-License-Identifier: BSD-3-Clause
"""What is different between two dumps of a machine, by what its memory is used for.

    with open_dump(before) as a, open_dump(after) as b:
        difference = compare_dumps(a, b)
        difference.lost     # what must not have changed
"""

from khorig.diff.difference import CannotCompare, Difference, compare_dumps

__all__ = ["CannotCompare", "Difference", "compare_dumps"]
