// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/esr.h"

#include <gtest/gtest.h>

namespace arch {
namespace {

struct Fault {
  uint64_t esr;
  const char* name;
  const char* fault;
  int level;
  const char* access;
};

/// As QEMU and hardware print them, from runs of this kernel and from Linux's documentation.
constexpr Fault kFaults[] = {
    {0x9600004f, "data abort", "permission", 3, "write"},
    {0x9600000f, "data abort", "permission", 3, "read"},
    {0x96000005, "data abort", "translation", 1, "read"},
    {0x96000044, "data abort", "translation", 0, "write"},
    {0x92000009, "data abort", "access flag", 1, "read"},
    {0x96000000, "data abort", "address size", 0, "read"},
    {0x96000010, "data abort", "external abort", -1, "read"},
    {0x96000016, "data abort", "external abort on a table walk", 2, "read"},
    {0x96000061, "data abort", "alignment", -1, "write"},
    {0x96000030, "data abort", "other fault", -1, "read"},
    {0x8600000e, "instruction abort", "permission", 2, "fetch"},
    // Bit 6 means nothing there.
    {0x86000047, "instruction abort", "translation", 3, "fetch"},
    {0x82000006, "instruction abort", "translation", 2, "fetch"},
};

TEST(Esr, NamesAborts) {
  for (const Fault& fault : kFaults) {
    SCOPED_TRACE(testing::Message() << std::hex << "0x" << fault.esr);
    int level = 17;
    EXPECT_TRUE(IsAbort(fault.esr));
    EXPECT_STREQ(ClassName(fault.esr), fault.name);
    EXPECT_STREQ(FaultName(fault.esr, &level), fault.fault);
    EXPECT_EQ(level, fault.level);
    EXPECT_STREQ(AccessName(fault.esr), fault.access);
  }
}

TEST(Esr, NamesWhatHasNoAddress) {
  constexpr struct {
    uint64_t exception_class;
    const char* name;
  } kClasses[] = {
      {0x00, "undefined instruction"},
      {0x07, "trapped floating point"},
      {0x0e, "illegal execution state"},
      {0x15, "svc"},
      {0x16, "hvc"},
      {0x17, "smc"},
      {0x18, "trapped system register"},
      {0x22, "pc alignment"},
      {0x26, "sp alignment"},
      {0x2f, "serror"},
      {0x30, "breakpoint"},
      {0x3c, "brk"},
      {0x3f, "unknown class"},
  };
  for (const auto& expected : kClasses) {
    const uint64_t esr = expected.exception_class << 26 | 0x2000000 | 0x4f;
    EXPECT_STREQ(ClassName(esr), expected.name);
    EXPECT_FALSE(IsAbort(esr)) << expected.name;
  }
}

}  // namespace
}  // namespace arch
