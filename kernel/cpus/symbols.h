// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace cpus {

/// The symbol table that the image carries. The linker script reserves section `.symbols`
/// (`SYMBOL_TABLE_BYTES`, read-only, between `__symbols_begin` and `__symbols_end`); after linking,
/// `toolchain/make_image.py` fills it: this header, `count` entries sorted by `offset`, then the
/// zero-terminated demangled function names.
inline constexpr uint32_t kSymbolTableMagic = 0x4d59534b;  // "KSYM"

struct SymbolTableHeader {
  uint32_t magic;
  uint32_t count;
};
struct SymbolEntry {
  uint32_t offset;       ///< of the function from arch::kImageBase
  uint32_t name_offset;  ///< of its name from the start of the table
};

/// The function that `pc` lies in, or null; `*offset` is the distance from its start.
const char* FindSymbol(uint64_t pc, uint64_t* offset);
/// As `FindSymbol`, in `table`.
const char* FindSymbolIn(const void* table, uint64_t pc, uint64_t* offset);

}  // namespace cpus
