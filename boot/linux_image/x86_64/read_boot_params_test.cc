// SPDX-License-Identifier: BSD-3-Clause
#include "boot/linux_image/x86_64/read_boot_params.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernel/base/testing/fake_memory.h"

namespace boot {
namespace {

using base::AddRegion;
using base::BootInfo;
using base::MemoryType;
using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kBase = 0x140000000;  // above 4 GiB: both halves of a split address count
constexpr uint64_t kParams = kBase + 0x3000;
constexpr uint64_t kLine = kBase + 0x5000;
constexpr uint64_t kNode = kBase + 0x7010;
constexpr uint64_t kNextNode = kBase + 0x9ff0;  // its payload lies in the next page
constexpr uint64_t kInitrd = kBase + 0xc000;
constexpr KhoData kKho{0x11000, 0x1000, 0x22000, 0x30};

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

class ReadBootParamsTest : public testing::Test {
 protected:
  ReadBootParamsTest() {
    params_->e820_entries = 2;
    params_->e820[0] = {kBase, kSize, 1};
    params_->e820[1] = {kBase + kSize, 0x1000, 2};
  }

  void PutNode(uint64_t at, uint64_t next, uint32_t type, uint32_t length) {
    memory_.Put(at, SetupData{next, type, length});
  }
  void PutKho(uint64_t at, uint64_t next, const KhoData& kho) {
    PutNode(at, next, boot::kSetupDataKho, sizeof(kho));
    memory_.Put(at + sizeof(SetupData), kho);
  }
  const BootInfo& Read() {
    info_ = std::make_unique<BootInfo>();
    memory_.With([this](const base::BootReader& reader) {
      ReadBootParams(*params_, kParams, reader, info_.get());
    });
    return *info_;
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

  static constexpr size_t kSize = 4 << 20;
  base::FakeMemory memory_{kBase, kSize};
  std::unique_ptr<BootParams> params_ = std::make_unique<BootParams>();
  std::unique_ptr<BootInfo> info_;
};

TEST_F(ReadBootParamsTest, ReadsTheMemoryMap) {
  const BootInfo& info = Read();
  EXPECT_STREQ(info.protocol, "linux");
  EXPECT_EQ(info.parameters.raw(), kParams);
  ASSERT_EQ(info.region_count, 2u);
  EXPECT_EQ(info.regions[0].range, Range(kBase, kSize));
  EXPECT_EQ(info.regions[1].type, MemoryType::kReserved);
  EXPECT_TRUE(Kept(kParams));
  EXPECT_TRUE(memory_.notes().empty());
}

TEST_F(ReadBootParamsTest, TooManyEntriesAreCutOff) {
  params_->e820_entries = 255;
  EXPECT_LE(Read().region_count, 128u);
  ExpectNote("boot_params has too many memory regions:");
}

TEST_F(ReadBootParamsTest, ReadsCommandLineAndInitrdAboveFourGiB) {
  memory_.PutString(kLine, "scenario=x");
  params_->header.command_line = static_cast<uint32_t>(kLine);
  params_->command_line_high = kLine >> 32;
  params_->header.ramdisk_image = static_cast<uint32_t>(kInitrd);
  params_->ramdisk_image_high = kInitrd >> 32;
  params_->header.ramdisk_size = 0x2345;
  const BootInfo& info = Read();
  EXPECT_STREQ(info.command_line, "scenario=x");
  EXPECT_EQ(info.initrd, Range(kInitrd, 0x2345));
  EXPECT_TRUE(Kept(kLine));
}

TEST_F(ReadBootParamsTest, InitrdOutsideRamIsIgnored) {
  params_->header.ramdisk_image = 0x1000;
  params_->header.ramdisk_size = 1;
  EXPECT_EQ(Read().initrd.size, 0u);
  ExpectNote("initrd outside RAM at");
}

TEST_F(ReadBootParamsTest, HandsOnWhatOthersOwn) {
  PutNode(kNode, kNextNode, 2, 64);
  PutNode(kNextNode, kInitrd, kSetupDataEfi, sizeof(EfiSetupData));
  memory_.Put(kNextNode + sizeof(SetupData), EfiSetupData{1, 0, 0x7f000000, 3, {}});
  PutNode(kInitrd, 0, 77, 0);
  params_->header.setup_data = kNode;
  const BootInfo& info = Read();
  ASSERT_EQ(info.setup_node_count, 3u);
  EXPECT_EQ(info.setup_nodes[0].type, 2u);
  EXPECT_EQ(info.setup_nodes[0].payload, Range(kNode + sizeof(SetupData), 64));
  EXPECT_EQ(info.setup_nodes[1].type, kSetupDataEfi);
  EXPECT_EQ(info.setup_nodes[2].payload.size, 0u);
  EXPECT_EQ(info.firmware.tables.raw(), 0x7f000000u);
  EXPECT_TRUE(Kept(kNode) && Kept(kNextNode));
}

TEST_F(ReadBootParamsTest, ASeedIsForOneKernel) {
  PutNode(kNode, kNextNode, kSetupDataSeed, 32);
  PutNode(kNextNode, 0, kSetupDataE820, sizeof(E820Entry));
  memory_.Put(kNextNode + sizeof(SetupData), E820Entry{1 << 20, 1 << 20, 2});
  params_->header.setup_data = kNode;
  EXPECT_EQ(Read().setup_node_count, 0u);
}

TEST_F(ReadBootParamsTest, ABufferInRamGoesOnWithTheNodeThatPointsToIt) {
  PutNode(kNode, kNextNode, kSetupDataIma, sizeof(ImaData));
  memory_.Put(kNode + sizeof(SetupData), ImaData{kInitrd, 0x1234});
  PutNode(kNextNode, 0, kSetupDataIndirect | 3, sizeof(IndirectData));
  params_->header.setup_data = kNode;
  const BootInfo& info = Read();
  ASSERT_EQ(info.setup_node_count, 2u);
  EXPECT_EQ(info.setup_nodes[0].buffer, Range(kInitrd, 0x1234));
  EXPECT_EQ(info.setup_nodes[0].pointer, 0u);
  EXPECT_TRUE(Kept(kInitrd + 0x1233));
}

TEST_F(ReadBootParamsTest, ABufferOutsideRamStaysWhereItIs) {
  PutNode(kNode, kNextNode, kSetupDataIma, sizeof(ImaData));
  memory_.Put(kNode + sizeof(SetupData), ImaData{0x1000, ~uint64_t{0}});
  PutNode(kNextNode, 0, kSetupDataIma, 8);  // too short
  params_->header.setup_data = kNode;
  const BootInfo& info = Read();
  ASSERT_EQ(info.setup_node_count, 2u);
  EXPECT_EQ(info.setup_nodes[0].buffer.size, 0u);
  EXPECT_EQ(info.setup_nodes[1].buffer.size, 0u);
}

TEST_F(ReadBootParamsTest, HandsOnNoMoreThanThereIsRoomFor) {
  for (uint64_t i = 0; i < 40; ++i) {
    const uint64_t at = kNode + i * 32;
    PutNode(at, i == 39 ? 0 : at + 32, 2, 16);
  }
  params_->header.setup_data = kNode;
  EXPECT_EQ(Read().setup_node_count, BootInfo::kMaxSetupNodes);
  EXPECT_EQ(memory_.notes(), std::vector<std::string>(40 - BootInfo::kMaxSetupNodes,
                                                      "too much setup_data, not handed on from"));
}

TEST_F(ReadBootParamsTest, HandsOnNoMoreThanTwoMegabytes) {
  PutNode(kNode, kNextNode, 2, 1 << 20);
  PutNode(kNextNode, kInitrd, 3, (1 << 20) + 1);
  PutNode(kInitrd, 0, 5, 1 << 20);
  params_->header.setup_data = kNode;
  const BootInfo& info = Read();
  ASSERT_EQ(info.setup_node_count, 2u);
  EXPECT_EQ(info.setup_nodes[1].type, 5u);
  ExpectNote("too much setup_data, not handed on from");
}

TEST_F(ReadBootParamsTest, ReadsWhatAnEfiLoaderNames) {
  params_->efi = {kEfiLoader64, 0x5000, 48, 1, 0x6000, 480, 1, 2};
  params_->secure_boot = 2;
  const BootInfo& info = Read();
  EXPECT_STREQ(info.protocol, "efi");
  EXPECT_EQ(info.firmware.system_table.raw(), 0x100005000u);
  EXPECT_EQ(info.firmware.map, Range(0x200006000, 480));
  EXPECT_EQ(info.firmware.descriptor_size, 48u);
  EXPECT_EQ(info.firmware.descriptor_version, 1u);
  EXPECT_EQ(info.firmware.secure_boot, 2);
  params_->efi.loader_signature = 0;
  EXPECT_TRUE(Read().firmware.system_table.is_null());
}

TEST_F(ReadBootParamsTest, FindsTheHandoverBehindOtherNodes) {
  PutNode(kNode, kNextNode, 9, 64);
  PutKho(kNextNode, 0, kKho);
  params_->header.setup_data = kNode;
  const BootInfo& info = Read();
  EXPECT_EQ(info.kho_root, Range(0x11000, 0x1000));
  EXPECT_EQ(info.kho_scratch, Range(0x22000, 0x30));
  EXPECT_TRUE(Kept(kNode));
  EXPECT_TRUE(Kept(kNextNode));
  EXPECT_TRUE(Kept(kNextNode + sizeof(SetupData) + sizeof(KhoData) - 1));
  EXPECT_TRUE(memory_.notes().empty());
}

TEST_F(ReadBootParamsTest, ShortHandoverIsPassedOnToBeRefused) {
  PutKho(kNode, 0, kKho);
  PutNode(kNode, 0, boot::kSetupDataKho, sizeof(KhoData) - 1);
  params_->header.setup_data = kNode;
  EXPECT_TRUE(Read().has_handover);
  EXPECT_EQ(Read().kho_root.size, 0u);
  ExpectNote("handover node is too short at");
}

TEST_F(ReadBootParamsTest, EmptyHandoverIsPassedOnToBeRefused) {
  PutKho(kNode, kNextNode, KhoData{0x11000, 0, 0x22000, 0x30});
  PutKho(kNextNode, 0, kKho);
  params_->header.setup_data = kNode;
  EXPECT_TRUE(Read().has_handover);
  EXPECT_EQ(Read().kho_root.size, 0u);
  ExpectNote("second handover node at");
}

TEST_F(ReadBootParamsTest, FirstHandoverCounts) {
  PutKho(kNode, kNextNode, kKho);
  PutKho(kNextNode, 0, KhoData{0x99000, 0x1000, 0x99000, 0x10});
  params_->header.setup_data = kNode;
  EXPECT_EQ(Read().kho_root, Range(0x11000, 0x1000));
  ExpectNote("second handover node at");
}

TEST_F(ReadBootParamsTest, NodesOutsideRamAreIgnored) {
  for (const uint64_t address : {uint64_t{1}, kBase - 1, kBase + kSize - 15, ~uint64_t{0}}) {
    params_->header.setup_data = address;
    EXPECT_EQ(Read().kho_root.size, 0u);
    ExpectNote("setup_data outside RAM at");
  }
}

TEST_F(ReadBootParamsTest, CyclesEnd) {
  PutNode(kNode, kNode, 9, 0);
  params_->header.setup_data = kNode;
  EXPECT_FALSE(Read().has_handover);
  ExpectNote("setup_data is a cycle, stopped at");
}

TEST_F(ReadBootParamsTest, ImpossibleLengthsAreSkipped) {
  // Beyond any node that Linux makes, and beyond the end of RAM.
  constexpr uint64_t kLateNode = kBase + kSize - 0x1000;
  const struct {
    uint64_t node;
    uint32_t length;
  } kCases[] = {{kNode, 0xffffffff}, {kNode, 0x200001}, {kLateNode, 0x1000}};
  for (const auto& c : kCases) {
    PutNode(c.node, kNextNode, 9, c.length);
    PutKho(kNextNode, 0, kKho);
    params_->header.setup_data = c.node;
    EXPECT_EQ(Read().kho_root, Range(0x11000, 0x1000)) << c.length;
    ExpectNote("setup_data of impossible length at");
    EXPECT_FALSE(Kept(c.node));
  }
}

TEST_F(ReadBootParamsTest, ReadsMoreMemoryMap) {
  PutNode(kNode, 0, boot::kSetupDataE820, 2 * sizeof(boot::E820Entry) + 19);
  memory_.Put(kNode + sizeof(SetupData), boot::E820Entry{0x1000, 0x2000, 1});
  memory_.Put(kNode + sizeof(SetupData) + 20, boot::E820Entry{0x8000, 0x3000, 3});
  params_->header.setup_data = kNode;
  const BootInfo& info = Read();
  ASSERT_EQ(info.region_count, 4u);
  EXPECT_EQ(info.regions[2].range, Range(0x1000, 0x2000));
  EXPECT_EQ(info.regions[3].range, Range(0x8000, 0x3000));
  EXPECT_EQ(info.regions[3].type, MemoryType::kAcpi);
}

TEST(MayBeRam, AFullTableMayGoOnInMemoryThatItDoesNotDescribe) {
  const auto info = std::make_unique<BootInfo>();
  constexpr uint32_t kRam = 1, kReserved = 2;
  AddRegion(info.get(), 0x1000, 0x1000, kReserved);
  for (uint64_t i = 2; i < BootParams::kMaxE820Entries; ++i) {
    AddRegion(info.get(), i << 20, 0x1000, kRam);
  }
  const PhysRange beyond = Range(uint64_t{1} << 32, 0x100);
  EXPECT_FALSE(MayBeRam(*info, beyond)) << "the table has room for it";
  AddRegion(info.get(), uint64_t{200} << 20, 0x1000, kRam);
  EXPECT_TRUE(MayBeRam(*info, beyond));
  EXPECT_TRUE(MayBeRam(*info, Range(uint64_t{200} << 20, 0x1000)));
  EXPECT_FALSE(MayBeRam(*info, Range(0x1800, 0x1000))) << "described as reserved";
  EXPECT_FALSE(MayBeRam(*info, Range(~uint64_t{0} - 10, 100)));
  AddRegion(info.get(), uint64_t{201} << 20, 0x1000, kRam);
  EXPECT_FALSE(MayBeRam(*info, beyond)) << "what it goes on in has been read";
}

// Random bytes where pointers, lengths and types are expected must neither crash nor hang.
TEST_F(ReadBootParamsTest, SurvivesGarbage) {
  std::mt19937_64 random(1);
  constexpr uint64_t kUsed = 0x10000;
  for (int round = 0; round < 100; ++round) {
    for (uint64_t at = kBase; at < kBase + kUsed; at += 0x100) {
      PutNode(at, kBase + (random() % kUsed & ~uint64_t{0xff}),
              static_cast<uint32_t>(random() % 12), static_cast<uint32_t>(random() % 0x20000));
    }
    params_->header.setup_data = kBase + (random() % kUsed & ~uint64_t{0xff});
    params_->header.command_line = static_cast<uint32_t>(random());
    params_->command_line_high = static_cast<uint32_t>(random() % 2);
    params_->header.ramdisk_image = static_cast<uint32_t>(random());
    params_->ramdisk_image_high = static_cast<uint32_t>(random());
    params_->header.ramdisk_size = static_cast<uint32_t>(random());
    params_->e820_entries = static_cast<uint8_t>(random());
    const BootInfo& info = Read();
    EXPECT_LE(info.region_count, BootInfo::kMaxRegions);
    EXPECT_LE(info.keep_count, sizeof(info.keep) / sizeof(info.keep[0]));
  }
}

}  // namespace
}  // namespace boot
