// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/console/escape.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>

namespace console {
namespace {

TEST(Escaped, LeavesPrintableTextAlone) {
  EXPECT_STREQ(Escaped("").text(), "");
  EXPECT_STREQ(Escaped(" az~\"%s").text(), " az~\"%s");
}

TEST(Escaped, EveryOtherByteIsFourPrintableOnes) {
  for (int byte = 1; byte < 256; ++byte) {
    const char text[] = {static_cast<char>(byte), '\0'};
    const Escaped escaped(text);
    for (const char* at = escaped.text(); *at != '\0'; ++at) {
      EXPECT_TRUE(*at >= ' ' && *at <= '~') << byte;
    }
    const bool plain = byte >= ' ' && byte <= '~' && byte != '\\';
    EXPECT_EQ(strlen(escaped.text()), plain ? 1u : 4u) << byte;
  }
  EXPECT_STREQ(Escaped("a\n\\\x80").text(), "a\\x0a\\x5c\\x80");
}

TEST(Escaped, IsCutBetweenBytes) {
  EXPECT_EQ(strlen(Escaped(std::string(64, '\n').c_str()).text()), 256u);
  EXPECT_EQ(strlen(Escaped(("a" + std::string(64, '\n')).c_str()).text()), 253u);
  EXPECT_EQ(strlen(Escaped(std::string(1000, 'x').c_str()).text()), 256u);
}

}  // namespace
}  // namespace console
