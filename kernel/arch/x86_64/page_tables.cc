// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/page_tables.h"

namespace arch {

bool PageTables::Map(uint64_t virtual_address, uint64_t physical, Leaf leaf, uint64_t flags,
                     NewTable new_table) {
  const unsigned last = static_cast<unsigned>(leaf);
  uint64_t table = root_;
  for (unsigned level = levels_; level > last; --level) {
    uint64_t* slot = Slot(table, virtual_address, level);
    if ((*slot & kPresent) == 0) {
      const uint64_t page = new_table();
      if (page == 0) return false;
      *slot = page | kPresent | kWritable;
    }
    table = *slot & kTableAddress;
  }
  const uint64_t large = leaf == Leaf::kLargePage ? kLargePage : 0;
  *Slot(table, virtual_address, last) = physical | flags | large;
  return true;
}

uint64_t* PageTables::Find(uint64_t virtual_address, Leaf leaf) {
  const unsigned last = static_cast<unsigned>(leaf);
  uint64_t table = root_;
  for (unsigned level = levels_; level > last; --level) {
    const uint64_t entry = *Slot(table, virtual_address, level);
    if ((entry & kPresent) == 0 || (entry & kLargePage) != 0) return nullptr;
    table = entry & kTableAddress;
  }
  return Slot(table, virtual_address, last);
}

uint64_t BuildEarlyMap(TablePool* pool, uint64_t load_address, uint64_t image_base,
                       unsigned levels) {
  auto new_table = [pool]() -> uint64_t {
    if (pool->used == TablePool::kPages) return 0;
    return reinterpret_cast<uint64_t>(pool->pages[pool->used++]);
  };
  PageTables tables(new_table(), levels, 0);
  constexpr uint64_t kFlags = kPresent | kWritable;
  for (uint64_t at = 0; at < kEarlyMapEnd; at += kLargePageSize) {
    tables.Map(at, at, Leaf::kLargePage, kFlags, new_table);
  }
  for (uint64_t offset = 0; offset < kLargePageSize; offset += 4096) {
    tables.Map(image_base + offset, load_address + offset, Leaf::kPage, kFlags, new_table);
  }
  const uint64_t first = load_address & ~(kLargePageSize - 1);
  for (uint64_t at = first; at < load_address + kLargePageSize; at += kLargePageSize) {
    tables.Map(at, at, Leaf::kLargePage, kFlags, new_table);
  }
  return tables.root();
}

}  // namespace arch
