// SPDX-License-Identifier: BSD-3-Clause
//
// Reads what BuildParameters wrote by the offsets of Linux's zero-page.rst and setup_data.h, not
// through boot_params.h, so that a wrong layout there is found.

#include <gtest/gtest.h>
#include <string.h>

#include <memory>
#include <string>
#include <vector>

#include "kernel/base/boot_info.h"
#include "kernel/kexec/linux_boot.h"

namespace boot {
namespace {

using base::BootInfo;
using base::MemoryType;
using kexec::BuildParameters;
using kexec::NextBoot;
using kexec::ParametersSize;
using khocore::ErrorCode;
using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kDestination = 0x123456000;
constexpr uint64_t kRoot = 0x7654321000;

class ParametersTest : public testing::Test {
 protected:
  ParametersTest() : image_(4096) {
    PutImage<uint8_t>(0x201, 0x6a);
    PutImage<uint32_t>(0x202, 0x53726448);
    PutImage<uint32_t>(0x238, 2047);
    PutImage<uint32_t>(0x260, 0x400000);
    for (size_t at = 0x26c; at < image_.size(); ++at) image_[at] = 0xee;
    image_[0x1f0] = 0xee;
    AddRegions(3);
    info_->rsdp = PhysAddr::FromRaw(0x1f0000e0000);
  }

  void AddRegions(size_t count) {
    info_->region_count = count;
    for (uint64_t i = 0; i < count; ++i) {
      info_->regions[i] = {{PhysAddr::FromRaw(i << 24), 0x100000 + i},
                           i % 2 ? MemoryType::kReserved : MemoryType::kRam};
    }
  }

  NextBoot Next() {
    return {.info = info_.get(),
            .image_file = {image_.data(), image_.size()},
            .command_line = command_line_.c_str(),
            .initrd = initrd_,
            .kho_root = root_,
            .scratch = {scratch_.data(), scratch_.size()}};
  }

  void Build() {
    const NextBoot next = Next();
    built_.assign(ParametersSize(next), 0);
    const khocore::Status status =
        BuildParameters(next, {built_.data(), built_.size()}, PhysAddr::FromRaw(kDestination));
    ASSERT_TRUE(status.ok());
  }

  template <typename T>
  void PutImage(size_t at, T value) {
    memcpy(image_.data() + at, &value, sizeof(value));
  }
  template <typename T>
  T Get(uint64_t at) const {
    T value{};
    EXPECT_LE(at + sizeof(value), built_.size());
    if (at + sizeof(value) <= built_.size()) memcpy(&value, built_.data() + at, sizeof(value));
    return value;
  }
  /// The offset of the setup_data node of `type`, or 0.
  uint64_t FindNode(uint32_t type) const {
    for (uint64_t at = Get<uint64_t>(0x250); at != 0; at = Get<uint64_t>(at - kDestination)) {
      if (Get<uint32_t>(at - kDestination + 8) == type) return at - kDestination;
    }
    return 0;
  }

  std::vector<uint8_t> image_;
  std::unique_ptr<BootInfo> info_ = std::make_unique<BootInfo>();
  std::string command_line_ = "scenario=chain seed=7";
  PhysRange initrd_{PhysAddr::FromRaw(0x2345678000), 0x123456789a};
  PhysAddr root_ = PhysAddr::FromRaw(kRoot);
  std::vector<PhysRange> scratch_{{PhysAddr::FromRaw(0x400000), 0x800000},
                                  {PhysAddr::FromRaw(0x140000000), 0x400000}};
  std::vector<uint8_t> built_;
};

TEST_F(ParametersTest, CopiesTheSetupHeaderAndNothingElse) {
  Build();
  EXPECT_EQ(built_[0x1f0], 0);
  EXPECT_EQ(built_[0x1ef], 0);
  EXPECT_EQ(Get<uint32_t>(0x202), 0x53726448u);
  EXPECT_EQ(Get<uint32_t>(0x260), 0x400000u);
  EXPECT_EQ(Get<uint32_t>(0x26c), 0u);
  EXPECT_EQ(built_[0x210], 0xff);
}

TEST_F(ParametersTest, HeaderLengthIsBounded) {
  PutImage<uint8_t>(0x201, 0xff);
  Build();
  EXPECT_EQ(built_[0x28f], 0xee);
  EXPECT_EQ(built_[0x290], 0);
}

TEST_F(ParametersTest, PassesTheMemoryMapOn) {
  Build();
  ASSERT_EQ(built_[0x1e8], 3);
  for (uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(Get<uint64_t>(0x2d0 + i * 20), i << 24);
    EXPECT_EQ(Get<uint64_t>(0x2d0 + i * 20 + 8), 0x100000 + i);
    EXPECT_EQ(Get<uint32_t>(0x2d0 + i * 20 + 16), i % 2 ? 2u : 1u);
  }
  EXPECT_EQ(FindNode(1), 0u);
}

TEST_F(ParametersTest, FullMemoryMapNeedsNoExtension) {
  AddRegions(128);
  Build();
  EXPECT_EQ(built_[0x1e8], 128);
  EXPECT_EQ(FindNode(1), 0u);
}

TEST_F(ParametersTest, LongMemoryMapGoesOnInSetupData) {
  AddRegions(201);
  Build();
  EXPECT_EQ(built_[0x1e8], 128);
  EXPECT_EQ(Get<uint64_t>(0x2d0 + 127 * 20), uint64_t{127} << 24);
  const uint64_t node = FindNode(1);
  ASSERT_NE(node, 0u);
  EXPECT_EQ(Get<uint32_t>(node + 12), 73 * 20u);
  EXPECT_EQ(Get<uint64_t>(node + 16), uint64_t{128} << 24);
  EXPECT_EQ(Get<uint64_t>(node + 16 + 72 * 20), uint64_t{200} << 24);
  EXPECT_NE(FindNode(10), 0u);
}

TEST_F(ParametersTest, HandsTheHandoverOn) {
  Build();
  const uint64_t node = FindNode(10);
  ASSERT_NE(node, 0u);
  EXPECT_EQ(node % 8, 0u);
  EXPECT_EQ(Get<uint32_t>(node + 12), 32u);
  EXPECT_EQ(Get<uint64_t>(node + 16), kRoot);
  EXPECT_EQ(Get<uint64_t>(node + 24), 4096u);
  EXPECT_EQ(Get<uint64_t>(node + 40), 32u);
  const uint64_t array = Get<uint64_t>(node + 32) - kDestination;
  EXPECT_EQ(Get<uint64_t>(array), 0x400000u);
  EXPECT_EQ(Get<uint64_t>(array + 8), 0x800000u);
  EXPECT_EQ(Get<uint64_t>(array + 16), 0x140000000u);
  EXPECT_EQ(Get<uint64_t>(array + 24), 0x400000u);
}

TEST_F(ParametersTest, WithoutAHandoverThereIsNoNode) {
  root_ = PhysAddr();
  Build();
  EXPECT_EQ(Get<uint64_t>(0x250), 0u);
}

TEST_F(ParametersTest, HandsOnSetupData) {
  alignas(8) const char tree[] = "a device tree";
  alignas(8) const char log[] = "measurements";
  struct {
    uint64_t address, size;
  } ima{1, sizeof(log)};
  const auto here = [](const void* bytes, uint64_t size) {
    return PhysRange{PhysAddr::FromRaw(reinterpret_cast<uint64_t>(bytes)), size};
  };
  info_->setup_nodes[0] = {2, here(tree, sizeof(tree)), {}, 0};
  info_->setup_nodes[1] = {8, here(&ima, sizeof(ima)), here(log, sizeof(log)), 0};
  info_->setup_nodes[2] = {77, here(tree, 0), {}, 0};
  info_->setup_node_count = 3;
  AddRegions(129);
  Build();
  const uint64_t first = FindNode(2);
  ASSERT_NE(first, 0u);
  EXPECT_EQ(first % 8, 0u);
  EXPECT_EQ(Get<uint32_t>(first + 12), sizeof(tree));
  EXPECT_STREQ(reinterpret_cast<const char*>(&built_[first + 16]), tree);
  const uint64_t second = FindNode(8);
  EXPECT_EQ(Get<uint64_t>(first), kDestination + second);  // in the order in which they came
  EXPECT_EQ(Get<uint64_t>(second + 24), sizeof(log));
  const uint64_t moved = Get<uint64_t>(second + 16) - kDestination;
  ASSERT_LT(moved, built_.size());
  EXPECT_STREQ(reinterpret_cast<const char*>(&built_[moved]), log);
  EXPECT_NE(FindNode(77), 0u);
  EXPECT_NE(FindNode(1), 0u);
  const uint64_t node = FindNode(10);
  ASSERT_NE(node, 0u);
  EXPECT_EQ(Get<uint64_t>(Get<uint64_t>(node + 32) - kDestination), 0x400000u);
}

TEST_F(ParametersTest, HandsOnWhatTheFirmwareNeedsToBeCalled) {
  struct Descriptor {
    uint64_t type, physical, at, pages, attributes, more;
  };
  constexpr uint64_t kRuntime = uint64_t{1} << 63 | 0xf;
  const Descriptor map[] = {{7, 0x100000, 0, 1, 0xf, 1},
                            {5, 0x200000, 0xffffffff00200000, 2, kRuntime, 2},
                            {4, 0x300000, 0, 3, 0xf, 3},
                            {6, 0x400000, 0, 4, kRuntime, 4}};
  info_->firmware = {PhysAddr::FromRaw(0x1234567890),
                     {PhysAddr::FromRaw(reinterpret_cast<uint64_t>(map)), sizeof(map)},
                     sizeof(Descriptor),
                     1,
                     2,
                     {}};
  Build();
  EXPECT_EQ(Get<uint32_t>(0x1c0), 0x34364c45u);
  EXPECT_EQ(Get<uint32_t>(0x1c4), 0x34567890u);
  EXPECT_EQ(Get<uint32_t>(0x1d8), 0x12u);
  EXPECT_EQ(Get<uint32_t>(0x1c8), sizeof(Descriptor));
  EXPECT_EQ(Get<uint32_t>(0x1cc), 1u);
  EXPECT_EQ(Get<uint32_t>(0x1d4), 2 * sizeof(Descriptor));
  EXPECT_EQ(built_[0x1ec], 2);
  const uint64_t at = (Get<uint32_t>(0x1d0) | uint64_t{Get<uint32_t>(0x1dc)} << 32) - kDestination;
  EXPECT_EQ(at % 8, 0u);
  EXPECT_EQ(memcmp(&built_[at], &map[1], sizeof(Descriptor)), 0);
  EXPECT_EQ(memcmp(&built_[at + sizeof(Descriptor)], &map[3], sizeof(Descriptor)), 0);
}

TEST_F(ParametersTest, AFirmwareThatCannotBeCalledIsNotNamed) {
  const uint64_t map[6] = {7, 0x100000, 0, 1, 0xf, 1};
  info_->firmware = {PhysAddr::FromRaw(0x1000),
                     {PhysAddr::FromRaw(reinterpret_cast<uint64_t>(map)), sizeof(map)},
                     sizeof(map),
                     1,
                     2,
                     {}};
  Build();
  for (uint64_t at = 0x1c0; at < 0x1e0; ++at) EXPECT_EQ(built_[at], 0);
  EXPECT_EQ(built_[0x1ec], 0);
}

TEST_F(ParametersTest, AddressesAreSplit) {
  Build();
  EXPECT_EQ(Get<uint32_t>(0x218), 0x45678000u);
  EXPECT_EQ(Get<uint32_t>(0xc0), 0x23u);
  EXPECT_EQ(Get<uint32_t>(0x21c), 0x3456789au);
  EXPECT_EQ(Get<uint32_t>(0xc4), 0x12u);
  EXPECT_EQ(Get<uint64_t>(0x70), 0x1f0000e0000u);
  const uint64_t line = Get<uint32_t>(0x228) | uint64_t{Get<uint32_t>(0xc8)} << 32;
  ASSERT_LT(line - kDestination, built_.size());
  EXPECT_STREQ(reinterpret_cast<const char*>(built_.data()) + (line - kDestination),
               command_line_.c_str());
}

TEST_F(ParametersTest, CommandLineMustFitTheImage) {
  command_line_ = std::string(2047, 'x');
  Build();
  command_line_ += 'x';
  const NextBoot next = Next();
  built_.assign(ParametersSize(next), 0);
  const khocore::Status status =
      BuildParameters(next, {built_.data(), built_.size()}, PhysAddr::FromRaw(kDestination));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(status.error().found, 2048u);
  EXPECT_EQ(status.error().expected, 2047u);
}

TEST_F(ParametersTest, SmallBufferIsRefused) {
  const NextBoot next = Next();
  // The exact need: a page, KHO node of 48 bytes, two areas of 16, the command line and its zero.
  const uint64_t need = 4096 + 48 + 32 + command_line_.size() + 1;
  std::vector<uint8_t> buffer(need);
  EXPECT_TRUE(BuildParameters(next, {buffer.data(), need}, PhysAddr::FromRaw(kDestination)).ok());
  const khocore::Status status =
      BuildParameters(next, {buffer.data(), need - 1}, PhysAddr::FromRaw(kDestination));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(status.error().expected, need);
}

}  // namespace
}  // namespace boot
