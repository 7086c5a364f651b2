// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/cpus/symbols.h"

#include "kernel/arch/mmu.h"

extern "C" const uint8_t __symbols_begin[];

namespace cpus {

const char* FindSymbol(uint64_t pc, uint64_t* offset) {
  return FindSymbolIn(__symbols_begin, pc, offset);
}

const char* FindSymbolIn(const void* table, uint64_t pc, uint64_t* offset) {
  const auto* header = static_cast<const SymbolTableHeader*>(table);
  const auto* entries = reinterpret_cast<const SymbolEntry*>(header + 1);
  if (header->magic != kSymbolTableMagic || pc < arch::kImageBase ||
      pc - arch::kImageBase >= arch::kImageMaxSize) {
    return nullptr;
  }
  const auto target = static_cast<uint32_t>(pc - arch::kImageBase);
  uint32_t low = 0;
  uint32_t high = header->count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (entries[middle].offset <= target) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return nullptr;
  *offset = target - entries[low - 1].offset;
  return static_cast<const char*>(table) + entries[low - 1].name_offset;
}

}  // namespace cpus
