// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/vectors.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace arch {
namespace {

TEST(Vectors, EachHasItsOwnName) {
  std::set<std::string> names;
  for (unsigned vector = 0; vector < kExceptionVectors; ++vector) names.insert(VectorName(vector));
  EXPECT_EQ(names.size(), kExceptionVectors);
  EXPECT_STREQ(VectorName(0), "#DE divide error");
  EXPECT_STREQ(VectorName(kNmi), "NMI");
  EXPECT_STREQ(VectorName(6), "#UD invalid opcode");
  EXPECT_STREQ(VectorName(kDoubleFault), "#DF double fault");
  EXPECT_STREQ(VectorName(13), "#GP general protection");
  EXPECT_STREQ(VectorName(kPageFault), "#PF page fault");
  EXPECT_STREQ(VectorName(kMachineCheck), "#MC machine check");
  EXPECT_STREQ(VectorName(31), "vector 31");
}

TEST(Vectors, SayWhyAPageFaultWas) {
  constexpr struct {
    uint64_t error_code;
    const char* cause;
    const char* access;
  } kFaults[] = {
      {0x00, "not mapped", "read"},
      {0x02, "not mapped", "write"},
      {0x10, "not mapped", "fetch"},
      {0x01, "not allowed", "read"},
      {0x03, "not allowed", "write"},
      {0x11, "not allowed", "fetch"},
      {0x07, "not allowed", "write"},
      {0x0b, "reserved bit set in an entry", "write"},
      {0x09, "reserved bit set in an entry", "read"},
  };
  for (const auto& fault : kFaults) {
    EXPECT_STREQ(PageFaultCause(fault.error_code), fault.cause) << fault.error_code;
    EXPECT_STREQ(PageFaultAccess(fault.error_code), fault.access) << fault.error_code;
  }
}

}  // namespace
}  // namespace arch
