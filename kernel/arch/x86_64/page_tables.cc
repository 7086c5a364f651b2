// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/page_tables.h"

#include <string.h>

namespace arch {

using khocore::Span;

khocore::Span<uint64_t> PageTables::Make(uint64_t virtual_address, Leaf leaf, NewTable new_table) {
  const unsigned last = static_cast<unsigned>(leaf);
  uint64_t* table = Table(root_);
  for (unsigned level = levels_; level > last; --level) {
    uint64_t& entry = table[Index(virtual_address, level)];
    if ((entry & kPresent) == 0) {
      const uint64_t page = new_table();
      if (page == 0) return {};
      // The table is zeroed for every walker that finds the link: this CPU writes in order, the
      // compiler has to be told.
      __atomic_store_n(&entry, page | kPresent | kWritable, __ATOMIC_RELEASE);
    }
    if ((entry & kLargePage) != 0) return {};
    table = Table(entry & kTableAddress);
  }
  const size_t first = Index(virtual_address, last);
  return {table + first, kTableEntries - first};
}

uint64_t* PageTables::FindLeaf(uint64_t virtual_address) {
  constexpr Leaf kLeaves[] = {Leaf::kHugePage, Leaf::kLargePage, Leaf::kPage};
  for (const Leaf leaf : kLeaves) {
    const Span<uint64_t> entries = Find(virtual_address, leaf);
    if (entries.size == 0) return nullptr;
    if ((entries[0] & kPresent) == 0) return nullptr;
    if (leaf == Leaf::kPage || (entries[0] & kLargePage) != 0) return entries.data;
  }
  return nullptr;
}

khocore::Span<uint64_t> PageTables::Find(uint64_t virtual_address, Leaf leaf) {
  const unsigned last = static_cast<unsigned>(leaf);
  uint64_t* table = Table(root_);
  for (unsigned level = levels_; level > last; --level) {
    const uint64_t entry = table[Index(virtual_address, level)];
    if ((entry & kPresent) == 0 || (entry & kLargePage) != 0) return {};
    table = Table(entry & kTableAddress);
  }
  const size_t first = Index(virtual_address, last);
  return {table + first, kTableEntries - first};
}

bool PageTables::Map(uint64_t virtual_address, uint64_t physical, uint64_t bytes, Leaf leaf,
                     uint64_t flags, NewTable new_table) {
  const uint64_t leaf_bytes = khocore::kPageSize << (9 * (static_cast<unsigned>(leaf) - 1));
  const uint64_t leaf_flags = leaf == Leaf::kPage ? flags : flags | kLargePage;
  for (uint64_t offset = 0; offset < bytes;) {
    const Span<uint64_t> entries = Make(virtual_address + offset, leaf, new_table);
    if (entries.size == 0) return false;
    for (uint64_t& entry : entries) {
      if (offset == bytes) break;
      WriteEntry(&entry, (physical + offset) | leaf_flags);
      offset += leaf_bytes;
    }
  }
  return true;
}

uint64_t* TablePool::Take() {
  if (used == kPages) return nullptr;
  uint64_t* table = pages[used++];
  memset(table, 0, sizeof(pages[0]));
  return table;
}

uint64_t* TablePool::TakeForStacks() {
  if (stack_pages_used == kStackPages) return nullptr;
  uint64_t* table = stack_pages[stack_pages_used++];
  memset(table, 0, sizeof(stack_pages[0]));
  return table;
}

uint64_t BuildEarlyMap(TablePool* pool, uint64_t load_address, uint64_t image_base,
                       unsigned levels) {
  pool->used = 0;
  pool->stack_pages_used = 0;
  auto new_table = [pool] { return reinterpret_cast<uint64_t>(pool->Take()); };
  PageTables tables(new_table(), levels, 0);
  constexpr uint64_t kFlags = kPresent | kWritable;
  tables.Map(0, 0, kEarlyMapEnd, Leaf::kLargePage, kFlags, new_table);
  tables.Map(image_base, load_address, kLargePageSize, Leaf::kPage, kFlags, new_table);
  const uint64_t begin = khocore::AlignDown(load_address, kLargePageSize);
  const uint64_t end = khocore::AlignUp(load_address + kLargePageSize, kLargePageSize);
  tables.Map(begin, begin, end - begin, Leaf::kLargePage, kFlags, new_table);
  return tables.root();
}

}  // namespace arch
