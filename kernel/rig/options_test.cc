// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/options.h"

#include <gtest/gtest.h>

#include <string>

#include "kernel/rig/fault.h"

namespace rig {
namespace {

KHORIG_FAULT(option_fault) = {"fault-of-a-test", "", "", 2};

uint64_t Size(const std::string& text) {
  uint64_t value = 0;
  return ParseSize(text.c_str(), text.size(), &value) ? value : ~uint64_t{0};
}

TEST(ParseSize, ReadsWholeNumbersOnly) {
  EXPECT_EQ(Size("0"), 0u);
  EXPECT_EQ(Size("0x10"), 16u);
  EXPECT_EQ(Size("0xFFffFFffFFffFFfe"), 0xfffffffffffffffeu);
  EXPECT_EQ(Size("3K"), 3072u);
  EXPECT_EQ(Size("0x1M"), 1u << 20);
  EXPECT_EQ(Size("2g"), uint64_t{2} << 30);
  for (const char* bad : {"", "x", "1x", "0x", "1KK", "18446744073709551616", "-1", "1 ",
                          "99999999999999999999", "17179869184G"}) {
    EXPECT_EQ(Size(bad), ~uint64_t{0}) << bad;
  }
}

TEST(ParseOptions, ReadsAll) {
  Options options;
  const OptionError error = ParseOptions(
      "scenario=handover  generation=2 generations=5 seed=0xabc stops=sealed,entry,settled "
      "fault=fault-of-a-test kho_scratch=16M,8M,4M reserve_mem=1M:4096:one "
      "reserve_mem=8K:8K:two la57=on,off,on megabytes=3 fragments=7 operations=9 settle=250",
      &options);
  ASSERT_EQ(error.text, nullptr) << error.token;
  EXPECT_STREQ(options.scenario, "handover");
  EXPECT_EQ(options.generation, 2u);
  EXPECT_EQ(options.generations, 5u);
  EXPECT_EQ(options.seed, 0xabcu);
  EXPECT_TRUE(options.stop_at_sealed);
  EXPECT_TRUE(options.stop_at_entry);
  EXPECT_TRUE(options.stop_at_settled);
  EXPECT_EQ(options.settle_ms, 250u);
  EXPECT_FALSE(options.stop_at_restored);
  EXPECT_EQ(options.fault, &option_fault);
  EXPECT_EQ(options.scratch_sizes[0], uint64_t{16} << 20);
  EXPECT_EQ(options.scratch_sizes[2], uint64_t{4} << 20);
  ASSERT_EQ(options.reserved_count, 2u);
  EXPECT_STREQ(options.reserved[1].name, "two");
  EXPECT_EQ(options.reserved[1].alignment, 8192u);
  ASSERT_EQ(options.la57_count, 3u);
  EXPECT_TRUE(options.la57[0] && !options.la57[1] && options.la57[2]);
  EXPECT_EQ(options.megabytes, 3u);
  EXPECT_EQ(options.fragments, 7u);
  EXPECT_EQ(options.operations, 9u);
}

TEST(ParseOptions, NamesTheTokenThatIsWrong) {
  for (const std::string bad : {"nonsense",
                                "seeds=1",
                                "seed",
                                "seed=",
                                "seed=1z",
                                "generation=0",
                                "generations=99999999",
                                "stops=never",
                                "fault=maybe",
                                "fault=",
                                "fault=fault-of-a-tes",
                                "fault=fault-of-a-test2",
                                "kho_scratch=1M",
                                "kho_scratch=1M,2M,3M,4M",
                                "kho_scratch=1M,0,3M",
                                "reserve_mem=1M:4096",
                                "reserve_mem=1M:4095:x",
                                "reserve_mem=0:1:x",
                                "reserve_mem=1M:4096:a-name-that-is-longer-than-thirty-one",
                                "la57=",
                                "la57=yes",
                                "la57=on,",
                                "la57=,on",
                                "la57=on,on,on,on,on,on,on,on,on",
                                "scenario="}) {
    Options options;
    const OptionError error = ParseOptions(("seed=1 " + bad + " seed=2").c_str(), &options);
    ASSERT_NE(error.text, nullptr) << bad;
    EXPECT_EQ(bad.substr(0, sizeof(error.token) - 1), error.token);
  }
}

}  // namespace
}  // namespace rig
