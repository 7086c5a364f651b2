// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/identity_map.h"

#include "kernel/arch/x86_64/page_tables.h"

namespace arch {

using khocore::AlignDown;
using khocore::AlignUp;
using khocore::Error;
using khocore::ErrorCode;
using khocore::PageFrame;
using khocore::PageSource;
using khocore::PhysAddr;
using khocore::PhysicalMemory;
using khocore::PhysRange;
using khocore::Result;

namespace {

/// What is mapped whatever is RAM: firmware's tables and data of a PC lie below.
constexpr PhysRange kAlwaysMapped{PhysAddr(), kEarlyMapEnd};

}  // namespace

Result<PhysAddr> BuildIdentityMap(unsigned levels, bool huge, const PhysicalMemory& ram,
                                  PageSource& pages) {
  // Without memory for a table its address is null, as for PageTables.
  const auto new_table = [&pages]() -> uint64_t {
    const Result<PageFrame> page = pages.AllocatePage();
    return page.ok() ? page.value().address().raw() : 0;
  };
  const Error no_memory{ErrorCode::kOutOfMemory, PhysAddr()};
  PageTables tables(new_table(), levels, 0);
  if (tables.root() == 0) return no_memory;
  const Leaf leaf = huge ? Leaf::kHugePage : Leaf::kLargePage;
  const uint64_t grain = huge ? kHugePageSize : kLargePageSize;
  const auto map = [&](PhysRange range) {
    const uint64_t begin = AlignDown(range.begin.raw(), grain);
    const uint64_t end = AlignUp(range.end().raw(), grain);
    return tables.Map(begin, begin, end - begin, leaf, kPresent | kWritable, new_table);
  };
  if (!map(kAlwaysMapped)) return no_memory;
  for (size_t i = 0; i < ram.window_count(); ++i) {
    const PhysRange window = ram.window(i);
    if (!kAlwaysMapped.Contains(window) && !map(window)) return no_memory;
  }
  return PhysAddr::FromRaw(tables.root());
}

}  // namespace arch
