# SPDX-License-Identifier: BSD-3-Clause
"""Prints the C++ example of a Markdown file with the number given, counted from 1."""

from __future__ import annotations

import re
import sys
from pathlib import Path

document, number = sys.argv[1], int(sys.argv[2])
blocks = re.findall(r"^```cpp\n(.*?)^```$", Path(document).read_text(), re.S | re.M)
if not 1 <= number <= len(blocks):
    sys.exit(f"{document}: {len(blocks)} C++ examples, there is no number {number}")
print(blocks[number - 1], end="")
