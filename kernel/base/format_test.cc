// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/format.h"

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <string>

namespace base {
namespace {

template <typename... Arguments>
void ExpectAsPrintf(const char* format, Arguments... arguments) {
  char want[256];
  char got[256];
  const int length = snprintf(want, sizeof(want), format, arguments...);
  EXPECT_EQ(FormatTo(got, sizeof(got), format, arguments...), static_cast<size_t>(length));
  EXPECT_STREQ(got, want) << format;
}

TEST(Format, IsPrintf) {
  ExpectAsPrintf("plain, 100%% of %s", "it");
  ExpectAsPrintf("%s|%8s|%-8s|", "abc", "abc", "abc");
  ExpectAsPrintf("%d %d %d", 0, -1, 2147483647);
  ExpectAsPrintf("%ld", INT64_MIN);
  ExpectAsPrintf("%u %x %08x %016lx", 42u, 0xabcu, 0xabcu, uint64_t{0x123456789abcdef});
  ExpectAsPrintf("%lu %llx %zu", ~uint64_t{0}, ~0ull, size_t{7});
  ExpectAsPrintf("%c%c", 'x', 'y');
  ExpectAsPrintf("%-6u|%6u|", 42u, 42u);
}

TEST(Format, CutsAndTerminates) {
  char buffer[4] = "zzz";
  EXPECT_EQ(FormatTo(buffer, sizeof(buffer), "%s", "abcdef"), 6u);
  EXPECT_STREQ(buffer, "abc");
  EXPECT_EQ(FormatTo(nullptr, 0, "%u", 12345u), 5u);
}

}  // namespace
}  // namespace base
