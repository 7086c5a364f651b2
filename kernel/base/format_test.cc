// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/format.h"

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
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

TEST(Format, TakesPointersNullAndWhatItDoesNotKnow) {
  char text[64];
  FormatTo(text, sizeof(text), "%p", reinterpret_cast<void*>(uint64_t{0xfeedfacecafe}));
  EXPECT_STREQ(text, "feedfacecafe");
  const char* const none = nullptr;
  FormatTo(text, sizeof(text), "%s|%d", none, INT32_MIN);
  EXPECT_STREQ(text, "(null)|-2147483648");
}

TEST(Format, WritesNoByteBehindItsBuffer) {
  for (size_t size = 1; size < 8; ++size) {
    char buffer[16];
    memset(buffer, '#', sizeof(buffer));
    EXPECT_EQ(FormatTo(buffer, size, "%05u", 123u), 5u);
    EXPECT_EQ(std::string(buffer), std::string("00123").substr(0, size - 1)) << size;
    for (size_t i = size; i < sizeof(buffer); ++i) EXPECT_EQ(buffer[i], '#') << size;
  }
}

TEST(Format, CutsAndTerminates) {
  char buffer[4] = "zzz";
  EXPECT_EQ(FormatTo(buffer, sizeof(buffer), "%s", "abcdef"), 6u);
  EXPECT_STREQ(buffer, "abc");
  EXPECT_EQ(FormatTo(nullptr, 0, "%u", 12345u), 5u);
}

}  // namespace
}  // namespace base
