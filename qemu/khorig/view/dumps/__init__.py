# SPDX-License-Identifier: BSD-3-Clause
"""Physical memory out of files: whatever holds the RAM of a machine opens as a `Dump`.

    with open_dump(Path("gen1.sealed.ram.zst")) as dump:
        dump.memory.view(0x8465000, 4096)
"""

from khorig.view.dumps.dump import Dump, DumpMemory, RunFacts
from khorig.view.dumps.errors import UnreadableDump
from khorig.view.dumps.open import open_dump

__all__ = ["Dump", "DumpMemory", "RunFacts", "UnreadableDump", "open_dump"]
