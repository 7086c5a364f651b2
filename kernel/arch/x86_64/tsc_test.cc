// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/tsc.h"

#include <gtest/gtest.h>

#include <map>

#include "kernel/arch/nanoseconds.h"

namespace arch {
namespace {

constexpr uint64_t kGigahertz = 1'000'000'000;
constexpr CpuidResult kHypervisor{.eax = 0, .ebx = 0, .ecx = 1U << 31, .edx = 0};

/// A leaf that is missing reads as that of a CPU which answers with its last one: not zero.
uint64_t Frequency(const std::map<uint32_t, CpuidResult>& leaves) {
  return TscFrequency([&](uint32_t leaf) {
    const auto at = leaves.find(leaf);
    return at != leaves.end() ? at->second : CpuidResult{0, 0, 0, 0};
  });
}

TEST(TscFrequency, TakesACpuThatNamesNoneForQemusVirtualTime) {
  EXPECT_EQ(Frequency({{0, {0xd, 0, 0, 0}}}), kGigahertz);
  // The leaves are there, and empty, as QEMU has them.
  EXPECT_EQ(
      Frequency({{0, {0x1f, 0, 0, 0}}, {1, kHypervisor}, {0x40000000, {0x40000010, 0, 0, 0}}}),
      kGigahertz);
}

TEST(TscFrequency, TakesTheHypervisorsFirst) {
  EXPECT_EQ(Frequency({{0, {0x16, 0, 0, 0}},
                       {1, kHypervisor},
                       {0x16, {3000, 0, 0, 0}},
                       {0x40000000, {0x40000010, 0, 0, 0}},
                       {0x40000010, {2'496'123, 0, 0, 0}}}),
            2'496'123'000u);
}

TEST(TscFrequency, ReadsNoLeafOfAHypervisorThatIsNone) {
  EXPECT_EQ(Frequency({{0, {0x16, 0, 0, 0}},
                       {0x16, {3000, 0, 0, 0}},
                       {0x40000000, {0x40000010, 0, 0, 0}},
                       {0x40000010, {2'496'123, 0, 0, 0}}}),
            3 * kGigahertz);
}

TEST(TscFrequency, MultipliesTheCrystal) {
  EXPECT_EQ(Frequency({{0, {0x16, 0, 0, 0}}, {0x15, {2, 216, 24'000'000, 0}}}), 2'592'000'000u);
}

TEST(TscFrequency, TakesTheProcessorsWhereTheCrystalIsUnknown) {
  EXPECT_EQ(
      Frequency(
          {{0, {0x16, 0, 0, 0}}, {0x15, {2, 216, 0, 0}}, {0x16, {0xabcd0000 | 2600, 0, 0, 0}}}),
      2'600'000'000u);
  // Leaf 0x16 is not read where there is none.
  EXPECT_EQ(Frequency({{0, {0x15, 0, 0, 0}}, {0x15, {2, 216, 0, 0}}, {0x16, {2600, 0, 0, 0}}}),
            kGigahertz);
}

TEST(NanosecondsOf, NeitherWrapsNorRoundsUp) {
  EXPECT_EQ(NanosecondsOf(12345, kGigahertz), 12345u);
  EXPECT_EQ(NanosecondsOf(62'500'000, 62'500'000), kGigahertz);
  EXPECT_EQ(NanosecondsOf(2, 3 * kGigahertz), 0u);
  // A year of 3 GHz.
  constexpr uint64_t kYear = 31'536'000;
  EXPECT_EQ(NanosecondsOf(kYear * 3 * kGigahertz + 3, 3 * kGigahertz), kYear * kGigahertz + 1);
}

}  // namespace
}  // namespace arch
