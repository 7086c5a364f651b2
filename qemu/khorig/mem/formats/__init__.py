# SPDX-License-Identifier: BSD-3-Clause
"""Physical memory out of files: whatever holds the RAM of a machine opens as a `Dump`.

    with open_dump(Path("gen1.sealed.ram.zst")) as dump:
        dump.memory.view(0x8465000, 4096)
"""

from khorig.mem.formats.dump import Dump, DumpMemory, RunFacts
from khorig.mem.formats.errors import UnreadableDump
from khorig.mem.formats.open import open_dump

__all__ = ["Dump", "DumpMemory", "RunFacts", "UnreadableDump", "open_dump"]
