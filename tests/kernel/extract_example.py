# SPDX-License-Identifier: BSD-3-Clause
"""Prints the C++ example of a Markdown file, of which there must be one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

blocks = re.findall(r"^```cpp\n(.*?)^```$", Path(sys.argv[1]).read_text(), re.S | re.M)
if len(blocks) != 1:
    sys.exit(f"{sys.argv[1]}: {len(blocks)} C++ examples, expected one")
print(blocks[0], end="")
