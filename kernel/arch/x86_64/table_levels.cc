// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/table_levels.h"

#include <string.h>

namespace arch {

namespace {

constexpr size_t kHalf = kTableEntries / 2;
constexpr size_t kLast = kTableEntries - 1;

}  // namespace

uint64_t ChangeLevels(uint64_t root, unsigned to, uint64_t window, PageTables::NewTable new_table) {
  const auto table = [window](uint64_t physical) {
    return reinterpret_cast<uint64_t*>(physical + window);
  };
  const auto copy_half = [&](uint64_t destination, uint64_t source, size_t first) {
    memcpy(table(destination) + first, table(source) + first, kHalf * sizeof(uint64_t));
  };
  const uint64_t top = new_table();
  if (top == 0) return 0;
  if (to == 5) {
    const uint64_t low = new_table();
    const uint64_t high = new_table();
    if (low == 0 || high == 0) return 0;
    copy_half(low, root, 0);
    copy_half(high, root, kHalf);
    WriteEntry(table(top), low | kPresent | kWritable);
    WriteEntry(table(top) + kLast, high | kPresent | kWritable);
    return top;
  }
  const uint64_t low = table(root)[0];
  const uint64_t high = table(root)[kLast];
  if ((low & kPresent) != 0) copy_half(top, low & kTableAddress, 0);
  if ((high & kPresent) != 0) copy_half(top, high & kTableAddress, kHalf);
  return top;
}

}  // namespace arch
