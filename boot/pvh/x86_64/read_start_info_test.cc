// SPDX-License-Identifier: BSD-3-Clause
//
// The structures are laid down by offset, as Xen's start_info.h has them.

#include "boot/pvh/x86_64/read_start_info.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kernel/base/testing/fake_memory.h"

namespace boot {
namespace {

using base::BootInfo;
using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kBase = 0xe0000;
constexpr size_t kSize = 0x8000;
constexpr uint64_t kStart = kBase + 0x1000;
constexpr uint64_t kModules = kBase + 0x3000;
constexpr uint64_t kMap = kBase + 0x5000;
constexpr uint64_t kLine = kBase + 0x7000;

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

class ReadStartInfoTest : public testing::Test {
 protected:
  ReadStartInfoTest() {
    Put32(kStart, 0x336ec578);
    Put32(kStart + 4, 1);
    Put64(kStart + 32, 0xf5a00);
    Put64(kStart + 40, kMap);
    Put32(kStart + 48, 3);
    PutRegion(0, 0, 0x9fc00, 1);
    PutRegion(1, 0x5000, 0, 1);
    PutRegion(2, 0x100000, 0x7f00000, 1);
  }

  void Put32(uint64_t at, uint32_t value) { memory_.Put(at, value); }
  void Put64(uint64_t at, uint64_t value) { memory_.Put(at, value); }
  void PutRegion(uint64_t index, uint64_t begin, uint64_t size, uint32_t type) {
    Put64(kMap + index * 24, begin);
    Put64(kMap + index * 24 + 8, size);
    Put32(kMap + index * 24 + 16, type);
  }
  void PutModule(uint64_t begin, uint64_t size) {
    Put32(kStart + 12, 1);
    Put64(kStart + 16, kModules);
    Put64(kModules, begin);
    Put64(kModules + 8, size);
  }
  bool Read(uint64_t address = kStart) {
    info_ = std::make_unique<BootInfo>();
    bool read = false;
    memory_.With([&](const base::BootReader& reader) {
      read = ReadStartInfo(address, reader, info_.get());
    });
    return read;
  }
  bool Kept(uint64_t address) const {
    for (size_t i = 0; i < info_->keep_count; ++i) {
      if (info_->keep[i].Contains(Range(address, 1))) return true;
    }
    return false;
  }
  void ExpectNote(const std::string& text) {
    ASSERT_EQ(memory_.notes().size(), 1u);
    EXPECT_EQ(memory_.notes()[0], text);
  }

  base::FakeMemory memory_{kBase, kSize};
  std::unique_ptr<BootInfo> info_;
};

TEST_F(ReadStartInfoTest, ReadsMemoryMapAndRsdp) {
  ASSERT_TRUE(Read());
  EXPECT_STREQ(info_->protocol, "pvh");
  EXPECT_EQ(info_->parameters.raw(), kStart);
  EXPECT_EQ(info_->rsdp.raw(), 0xf5a00u);
  ASSERT_EQ(info_->region_count, 2u);  // the empty one is left out
  EXPECT_EQ(info_->regions[0].range, Range(0, 0x9fc00));
  EXPECT_EQ(info_->regions[1].range, Range(0x100000, 0x7f00000));
  EXPECT_TRUE(Kept(kStart));
  EXPECT_TRUE(Kept(kMap));
  EXPECT_TRUE(memory_.notes().empty());
}

TEST_F(ReadStartInfoTest, ReadsCommandLineAndInitrd) {
  Put64(kStart + 24, kLine);
  memory_.PutString(kLine, "scenario=x");
  PutModule(0x200000, 0x1234);
  ASSERT_TRUE(Read());
  EXPECT_STREQ(info_->command_line, "scenario=x");
  EXPECT_EQ(info_->initrd, Range(0x200000, 0x1234));
  EXPECT_TRUE(Kept(kLine));
  EXPECT_TRUE(Kept(kModules));
}

TEST_F(ReadStartInfoTest, RefusesWhatIsNone) {
  EXPECT_FALSE(Read(kBase + kSize - 8));
  EXPECT_FALSE(Read(~uint64_t{0}));
  Put32(kStart + 4, 0);  // version 0 has no memory map
  EXPECT_FALSE(Read());
  Put32(kStart, 0x336ec579);
  Put32(kStart + 4, 1);
  EXPECT_FALSE(Read());
}

TEST_F(ReadStartInfoTest, InitrdOutsideRamIsIgnored) {
  PutModule(0x7fff000, 0x1001);
  PutRegion(2, 0x100000, 0x7f00000 - 0x1000, 1);
  ASSERT_TRUE(Read());
  EXPECT_EQ(info_->initrd.size, 0u);
  ExpectNote("initrd outside RAM at");
}

TEST_F(ReadStartInfoTest, BadModuleListIsIgnored) {
  PutModule(0x200000, 0x1000);
  Put64(kStart + 16, kBase + kSize - 31);
  ASSERT_TRUE(Read());
  EXPECT_EQ(info_->initrd.size, 0u);
  ExpectNote("module list cannot be read at");
}

TEST_F(ReadStartInfoTest, MemoryMapEndsWhereItCannotBeRead) {
  Put64(kStart + 40, kBase + kSize - 30);
  Put32(kStart + 48, 100);
  ASSERT_TRUE(Read());
  EXPECT_LE(info_->region_count, 1u);
  ExpectNote("memory map cannot be read at");
}

TEST_F(ReadStartInfoTest, HugeMemoryMapIsCutOff) {
  Put32(kStart + 48, 0xffffffff);
  ASSERT_TRUE(Read());
  ASSERT_FALSE(memory_.notes().empty());
  EXPECT_EQ(memory_.notes()[0], "start_info has too many memory regions:");
}

TEST_F(ReadStartInfoTest, NoMoreRegionsThanAMapMayHaveAreRead) {
  constexpr uint64_t kLong = kBase + 0x10000;
  base::FakeMemory memory(kBase, 0x40000);
  memory.Put(kStart, uint32_t{0x336ec578});
  memory.Put(kStart + 4, uint32_t{1});
  memory.Put(kStart + 40, kLong);
  memory.Put(kStart + 48, uint32_t{5000});
  for (uint64_t i = 0; i < 5000; ++i) memory.Put(kLong + i * 24 + 8, uint64_t{1});
  const auto info = std::make_unique<BootInfo>();
  memory.With([&](const base::BootReader& reader) {
    ASSERT_TRUE(ReadStartInfo(kStart, reader, info.get()));
  });
  EXPECT_EQ(info->region_count + info->regions_dropped, 4096u);
}

}  // namespace
}  // namespace boot
