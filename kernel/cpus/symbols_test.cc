// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/cpus/symbols.h"

#include <gtest/gtest.h>

#include "kernel/arch/mmu.h"

namespace cpus {
namespace {

struct Table {
  SymbolTableHeader header = {kSymbolTableMagic, 3};
  SymbolEntry entries[3] = {{0x100, 32}, {0x180, 36}, {0x200, 40}};
  char names[12] = {'o', 'n', 'e', 0, 't', 'w', 'o', 0, 't', 'r', 'e', 0};
};
static_assert(offsetof(Table, names) == 32);

void ExpectSymbol(const Table& table, uint64_t at, const char* name, uint64_t distance) {
  uint64_t offset = 0;
  EXPECT_STREQ(FindSymbolIn(&table, arch::kImageBase + at, &offset), name) << at;
  if (name != nullptr) {
    EXPECT_EQ(offset, distance) << at;
  }
}

TEST(FindSymbol, FindsTheFunctionAtOrBelow) {
  const Table table;
  ExpectSymbol(table, 0xff, nullptr, 0);
  ExpectSymbol(table, 0x100, "one", 0);
  ExpectSymbol(table, 0x17f, "one", 0x7f);
  ExpectSymbol(table, 0x180, "two", 0);
  ExpectSymbol(table, 0x1ff, "two", 0x7f);
  ExpectSymbol(table, 0x200, "tre", 0);
  ExpectSymbol(table, arch::kImageMaxSize - 1, "tre", arch::kImageMaxSize - 1 - 0x200);
  ExpectSymbol(table, arch::kImageMaxSize, nullptr, 0);
}

TEST(FindSymbol, FindsNothingInATableThatIsNone) {
  Table table;
  table.header.magic = 0;
  ExpectSymbol(table, 0x100, nullptr, 0);
  table.header = {kSymbolTableMagic, 0};
  ExpectSymbol(table, 0x100, nullptr, 0);
}

}  // namespace
}  // namespace cpus
