// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/hex.h"

#include <gtest/gtest.h>

#include <string>

namespace base {
namespace {

bool Read(const std::string& text, uint64_t* value) {
  return ReadHex(reinterpret_cast<const uint8_t*>(text.data()), text.size(), value);
}

TEST(Hex, OnlyDigitsHaveAValue) {
  const std::string lower = "0123456789abcdef";
  const std::string upper = "0123456789ABCDEF";
  for (unsigned c = 0; c < 256; ++c) {
    size_t want = lower.find(static_cast<char>(c));
    if (want == std::string::npos) want = upper.find(static_cast<char>(c));
    EXPECT_EQ(HexDigit(static_cast<uint8_t>(c)), want == std::string::npos ? 16 : want) << c;
  }
}

TEST(Hex, ReadsUpToTheLargestNumber) {
  uint64_t value = 1;
  EXPECT_TRUE(Read("ffffFFFFffffFFFF", &value));
  EXPECT_EQ(value, ~uint64_t{0});
  EXPECT_TRUE(Read("0123456789aBcDeF", &value));
  EXPECT_EQ(value, 0x0123456789abcdefu);
  EXPECT_TRUE(Read("", &value));
  EXPECT_EQ(value, 0u);
  EXPECT_TRUE(Read("00000010", &value));
  EXPECT_EQ(value, 16u);
}

TEST(Hex, RefusesANumberWithOneOtherByte) {
  uint64_t value = 0;
  for (size_t at = 0; at < 8; ++at) {
    std::string text(8, '1');
    for (const char bad : {'g', 'G', 'x', ' ', '\0', '/', ':', '@', '`'}) {
      text[at] = bad;
      EXPECT_FALSE(Read(text, &value)) << text;
    }
  }
}

}  // namespace
}  // namespace base
