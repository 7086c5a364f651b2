// SPDX-License-Identifier: BSD-3-Clause
#include "boot/linux_image/x86_64/bzimage.h"

#include <gtest/gtest.h>
#include <string.h>

#include <functional>
#include <string>
#include <vector>

#include "boot/linux_image/x86_64/boot_params.h"

namespace boot {
namespace {

using kexec::ImageHeader;

constexpr size_t kPayloadOffset = 1024;
constexpr size_t kFileBytes = 8192;

SetupHeader GoodHeader() {
  SetupHeader setup{};
  setup.setup_sectors = 1;
  setup.boot_flag = kBootFlag;
  setup.jump_offset = 0x6a;
  setup.magic = kSetupMagic;
  setup.version = 0x20f;
  setup.load_flags = kLoadFlagHigh;
  setup.kernel_alignment = 0x200000;
  setup.relocatable = 1;
  setup.extended_load_flags = kExtendedFlag64Bit | kExtendedFlagAbove4G | kExtendedFlagFiveLevel;
  setup.preferred_address = 0x1000000;
  setup.init_size = 0x300000;
  return setup;
}

class BzImageTest : public testing::Test {
 protected:
  bool Parse(const SetupHeader& setup, size_t file_bytes = kFileBytes, unsigned levels = 4) {
    std::vector<uint8_t> file(file_bytes);
    const size_t available = file_bytes > kSetupHeaderOffset ? file_bytes - kSetupHeaderOffset : 0;
    const size_t bytes = available < sizeof(setup) ? available : sizeof(setup);
    if (bytes != 0) memcpy(file.data() + kSetupHeaderOffset, &setup, bytes);
    why_ = nullptr;
    return ParseBzImage({file.data(), file.size()}, levels, &header_, &why_);
  }

  ImageHeader header_{};
  const char* why_ = nullptr;
};

TEST_F(BzImageTest, ReadsAGoodHeader) {
  ASSERT_TRUE(Parse(GoodHeader())) << why_;
  EXPECT_EQ(header_.payload_offset, kPayloadOffset);
  EXPECT_EQ(header_.payload_bytes, kFileBytes - kPayloadOffset);
  EXPECT_EQ(header_.memory_bytes, 0x300000u);
  EXPECT_EQ(header_.alignment, 0x200000u);
  EXPECT_EQ(header_.minimum_address, 0x1000000u);
  EXPECT_EQ(header_.entry_offset, 0x200u);
}

TEST_F(BzImageTest, NoSetupSectorsMeansFour) {
  SetupHeader setup = GoodHeader();
  setup.setup_sectors = 0;
  ASSERT_TRUE(Parse(setup));
  EXPECT_EQ(header_.payload_offset, 5 * 512u);
}

TEST_F(BzImageTest, NothingIsLoadedBelowOneMiB) {
  SetupHeader setup = GoodHeader();
  setup.preferred_address = 0;
  ASSERT_TRUE(Parse(setup));
  EXPECT_EQ(header_.minimum_address, 0x100000u);
}

TEST_F(BzImageTest, RefusesEachFault) {
  const struct {
    std::function<void(SetupHeader&)> spoil;
    const char* why;
  } kCases[] = {
      {[](SetupHeader& s) { s.magic = 0x53726449; }, "no HdrS at 0x202"},
      {[](SetupHeader& s) { s.boot_flag = 0x55aa; }, "no 0xaa55 at 0x1fe"},
      {[](SetupHeader& s) { s.version = 0x20b; }, "boot protocol older than 2.12"},
      {[](SetupHeader& s) { s.load_flags = 0x80; }, "not to be loaded above 1 MiB"},
      {[](SetupHeader& s) { s.extended_load_flags = 0x22; }, "no 64-bit entry"},
      {[](SetupHeader& s) { s.extended_load_flags = 0x21; }, "not loadable above 4 GiB"},
      {[](SetupHeader& s) { s.relocatable = 0; }, "not relocatable"},
      {[](SetupHeader& s) { s.kernel_alignment = 0x201000; },
       "kernel_alignment is no power of two"},
      {[](SetupHeader& s) { s.kernel_alignment = 0; }, "kernel_alignment is less than a page"},
      {[](SetupHeader& s) { s.kernel_alignment = 2048; }, "kernel_alignment is less than a page"},
      {[](SetupHeader& s) { s.setup_sectors = 255; }, "ends before its 64-bit entry"},
      {[](SetupHeader& s) { s.setup_sectors = 14; }, "ends before its 64-bit entry"},
      {[](SetupHeader& s) { s.init_size = kFileBytes - kPayloadOffset - 1; },
       "init_size is less than the payload"},
  };
  for (const auto& c : kCases) {
    SetupHeader setup = GoodHeader();
    c.spoil(setup);
    EXPECT_FALSE(Parse(setup));
    EXPECT_STREQ(why_, c.why);
  }
}

TEST_F(BzImageTest, FiveLevelPagingNeedsItsFlag) {
  SetupHeader setup = GoodHeader();
  EXPECT_TRUE(Parse(setup, kFileBytes, 5));
  setup.extended_load_flags = kExtendedFlag64Bit | kExtendedFlagAbove4G;
  EXPECT_TRUE(Parse(setup, kFileBytes, 4));
  EXPECT_FALSE(Parse(setup, kFileBytes, 5));
  EXPECT_STREQ(why_, "not made for five-level paging, which is on");
}

TEST_F(BzImageTest, RefusesEveryTruncation) {
  const size_t entry = kPayloadOffset + 0x200;
  for (size_t size = 0; size <= entry; ++size) {
    EXPECT_FALSE(Parse(GoodHeader(), size)) << size;
    EXPECT_STREQ(why_, size < 1024 ? "shorter than 1 KiB" : "ends before its 64-bit entry");
  }
  EXPECT_TRUE(Parse(GoodHeader(), entry + 1));
}

}  // namespace
}  // namespace boot
