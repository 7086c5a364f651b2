// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <libfdt.h>
#include <string.h>

#include <memory>
#include <string>

#include "boot/linux_image/arm64/read_device_tree.h"
#include "kernel/base/boot_reader.h"
#include "kernel/base/device_tree.h"
#include "kernel/base/testing/guarded_bytes.h"
#include "kernel/base/testing/test_tree.h"
#include "kernel/kexec/linux_boot.h"
#include "khocore/abi/scratch.h"

namespace boot {
namespace {

using base::BootInfo;
using base::DeviceTree;
using base::GuardedBytes;
using base::MemoryType;
using base::TestTree;
using kexec::BuildParameters;
using kexec::kParametersAlignment;
using kexec::NextBoot;
using kexec::ParametersSize;
using khocore::ErrorCode;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;

constexpr PhysAddr kDestination = PhysAddr::FromRaw(0x60000000);

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

/// What the boot code makes of `tree`. The tree lies where it says, so it can be read there.
std::unique_ptr<BootInfo> InfoOf(const void* blob, uint64_t size) {
  auto info = std::make_unique<BootInfo>();
  const auto tree = DeviceTree::Open(blob, size);
  EXPECT_TRUE(tree.ok());
  if (tree.ok()) {
    ReadBootInfo(tree.value(), PhysAddr::FromRaw(reinterpret_cast<uint64_t>(blob)), info.get(),
                 [](const char*) {});
  }
  return info;
}

/// One jump to a next kernel with two scratch areas.
class Hop {
 public:
  explicit Hop(const TestTree& tree) : Hop(tree.blob(), tree.size()) {}
  Hop(const void* blob, uint64_t size) : info_(InfoOf(blob, size)) {
    next.info = info_.get();
    next.command_line = "generation=2";
    next.initrd = Range(0x70000000, 0x1234);
    next.kho_root = PhysAddr::FromRaw(0x12345000);
    next.scratch = {areas_, 2};
  }

  Status Build() { return Build(ParametersSize(next)); }
  Status Build(uint64_t size) {
    built = std::make_unique<GuardedBytes>(size);
    memset(built->data(), 0xaa, size);
    return BuildParameters(next, {built->data(), built->size()}, kDestination);
  }
  /// What the next kernel sees.
  std::unique_ptr<BootInfo> Received() const { return InfoOf(built->data(), built->size()); }
  /// Bytes at an address in the next kernel's parameters.
  const uint8_t* At(PhysAddr address) const { return built->data() + (address - kDestination); }
  bool Has(const char* property) const {
    return fdt_getprop(built->data(), fdt_path_offset(built->data(), "/chosen"), property,
                       nullptr) != nullptr;
  }

  NextBoot next{};
  std::unique_ptr<GuardedBytes> built;

 private:
  std::unique_ptr<BootInfo> info_;
  PhysRange areas_[2] = {Range(0x40000000, 0x400000), Range(0x140000000, 0x800000)};
};

/// What QEMU gives: mostly empty.
TestTree QemuTree() {
  TestTree tree(2, 2, 1 << 20);
  tree.Node("/memory").String("/memory", "device_type", "memory");
  tree.Cells("/memory", "reg", {0, 0x40000000, 0, 0x40000000});
  tree.Node("/chosen").String("/chosen", "bootargs", "generation=1");
  tree.Cells("/chosen", "kaslr-seed", {1, 2}).Cells("/chosen", "rng-seed", {1, 2, 3, 4});
  tree.Cells("/chosen", "linux,initrd-start", {0x48000000});
  tree.Cells("/chosen", "linux,initrd-end", {0x48010000});
  return tree;
}

/// The same, from firmware whose memory map lies at an address.
TestTree FirmwareTree(uint32_t map) {
  TestTree tree = QemuTree();
  tree.Cells("/chosen", "linux,uefi-system-table", {1, 0x2000});
  tree.Cells("/chosen", "linux,uefi-mmap-start", {0, map});
  tree.Cells("/chosen", "linux,uefi-mmap-size", {480});
  tree.Cells("/chosen", "linux,uefi-mmap-desc-size", {48});
  tree.Cells("/chosen", "linux,uefi-mmap-desc-ver", {1});
  tree.Cells("/chosen", "some,property", {7});
  return tree;
}

TEST(BuildParameters, TheFirmwareGoesOnAndItsMapIsReserved) {
  const TestTree tree = FirmwareTree(0x50000800);
  Hop hop(tree);
  ASSERT_TRUE(hop.Build().ok());
  const auto info = hop.Received();
  EXPECT_STREQ(info->protocol, "efi");
  EXPECT_EQ(info->firmware.system_table.raw(), 0x100002000u);
  EXPECT_EQ(info->firmware.map, Range(0x50000800, 480));
  EXPECT_EQ(info->firmware.descriptor_size, 48u);
  EXPECT_TRUE(hop.Has("some,property"));
  ASSERT_EQ(info->region_count, 2u);
  EXPECT_EQ(info->regions[1].range, Range(0x50000000, 0x1000));
  EXPECT_EQ(info->regions[1].type, MemoryType::kReserved);
  // Kept by the next kernel, it is reserved once again and not twice.
  ASSERT_TRUE(base::Keep(info.get(), info->firmware.map));
  hop.next.info = info.get();
  const auto first = std::move(hop.built);
  ASSERT_TRUE(hop.Build().ok());
  EXPECT_EQ(hop.Received()->region_count, 2u);
}

TEST(BuildParameters, AFirmwareWhoseMapCannotBeReadIsNotNamed) {
  const TestTree tree = FirmwareTree(0x50000800);
  Hop hop(tree);
  BootInfo info = *hop.next.info;
  info.firmware = {};
  hop.next.info = &info;
  ASSERT_TRUE(hop.Build().ok());
  EXPECT_EQ(hop.Received()->protocol, nullptr);
  for (const char* const name :
       {"linux,uefi-system-table", "linux,uefi-mmap-start", "linux,uefi-mmap-size",
        "linux,uefi-mmap-desc-size", "linux,uefi-mmap-desc-ver"}) {
    EXPECT_FALSE(hop.Has(name)) << name;
  }
  EXPECT_TRUE(hop.Has("some,property"));
  EXPECT_FALSE(hop.Has("rng-seed"));
}

TEST(BuildParameters, TellsTheNextKernelEverything) {
  const TestTree tree = QemuTree();
  Hop hop(tree);
  ASSERT_TRUE(hop.Build().ok());
  const auto info = hop.Received();
  EXPECT_STREQ(info->command_line, "generation=2");
  EXPECT_EQ(info->initrd, Range(0x70000000, 0x1234));
  EXPECT_EQ(info->kho_root, Range(0x12345000, khocore::kPageSize));
  ASSERT_EQ(info->region_count, 1u);
  EXPECT_EQ(info->regions[0].range, Range(0x40000000, 0x40000000));
  ASSERT_EQ(info->kho_scratch.size, 2 * sizeof(khocore::abi::ScratchArea));
  EXPECT_TRUE(info->kho_scratch.begin.IsAligned(16));
  khocore::abi::ScratchArea areas[2];
  memcpy(areas, hop.At(info->kho_scratch.begin), sizeof(areas));
  EXPECT_EQ(areas[0].address, 0x40000000u);
  EXPECT_EQ(areas[0].size, 0x400000u);
  EXPECT_EQ(areas[1].address, 0x140000000u);
  EXPECT_EQ(areas[1].size, 0x800000u);
  EXPECT_TRUE(hop.Has("linux,booted-from-kexec"));
  EXPECT_FALSE(hop.Has("kaslr-seed"));
  EXPECT_FALSE(hop.Has("rng-seed"));
}

TEST(BuildParameters, LeavesTheRoomOfQemusTreeOut) {
  const TestTree tree = QemuTree();
  Hop hop(tree);
  ASSERT_TRUE(hop.Build().ok());
  EXPECT_LT(hop.built->size(), 4096u);
  EXPECT_LT(fdt_totalsize(hop.built->data()), 1024u);
}

TEST(BuildParameters, LeavesNothingOfTheBufferBehind) {
  const TestTree tree = QemuTree();
  Hop hop(tree);
  ASSERT_TRUE(hop.Build().ok());
  const uint8_t* const array = hop.At(hop.Received()->kho_scratch.begin);
  const uint8_t* at = hop.built->data() + fdt_totalsize(hop.built->data());
  EXPECT_LT(at, array);
  for (; at < array; ++at) ASSERT_EQ(*at, 0);
}

TEST(BuildParameters, ReplacesOnEveryHop) {
  const TestTree tree = QemuTree();
  auto hop = std::make_unique<Hop>(tree);
  ASSERT_TRUE(hop->Build().ok());
  const uint32_t size = fdt_totalsize(hop->built->data());
  for (int i = 0; i < 20; ++i) {
    auto next = std::make_unique<Hop>(hop->built->data(), hop->built->size());
    ASSERT_TRUE(next->Build().ok());
    EXPECT_EQ(fdt_totalsize(next->built->data()), size);
    EXPECT_EQ(next->Received()->kho_root, Range(0x12345000, khocore::kPageSize));
    hop = std::move(next);
  }
}

TEST(BuildParameters, DropsWhatTheNextKernelDoesNotGet) {
  TestTree tree = QemuTree();
  tree.Cells("/chosen", "linux,kho-fdt", {0, 0x5000, 0, 0x1000});
  tree.Cells("/chosen", "linux,kho-scratch", {0, 0x6000, 0, 0x20});
  tree.Cells("/chosen", "linux,elfcorehdr", {0, 1, 0, 1});
  tree.Cells("/chosen", "linux,usable-memory-range", {0, 1, 0, 1});
  tree.Cells("/chosen", "linux,ima-kexec-buffer", {0, 1, 0, 1});
  Hop hop(tree);
  hop.next.initrd = {};
  hop.next.kho_root = {};
  ASSERT_TRUE(hop.Build().ok());
  for (const char* const name :
       {"linux,initrd-start", "linux,initrd-end", "linux,kho-fdt", "linux,kho-scratch",
        "linux,elfcorehdr", "linux,usable-memory-range", "linux,ima-kexec-buffer"}) {
    EXPECT_FALSE(hop.Has(name)) << name;
  }
}

TEST(BuildParameters, MakesAMissingChosen) {
  TestTree tree;
  Hop hop(tree);
  ASSERT_TRUE(hop.Build().ok());
  EXPECT_STREQ(hop.Received()->command_line, "generation=2");
}

TEST(BuildParameters, DropsReservationsOfWhatIsUsedUp) {
  TestTree tree = QemuTree();
  tree.Reserve(0x43000000, 0x1000);   // firmware's: stays
  tree.Reserve(0x48000000, 0x10000);  // the initrd's
  tree.Reserve(0x47fff000, 0x2000);   // overlaps the initrd, yet more than that: stays
  tree.Reserve(reinterpret_cast<uint64_t>(tree.blob()), 0x400);  // the tree's own
  Hop hop(tree);
  ASSERT_TRUE(hop.Build().ok());
  const auto info = hop.Received();
  ASSERT_EQ(info->region_count, 3u);
  // RAM comes first, then what is reserved of it.
  EXPECT_EQ(info->regions[0].type, MemoryType::kRam);
  EXPECT_EQ(info->regions[1].range, Range(0x43000000, 0x1000));
  EXPECT_EQ(info->regions[2].range, Range(0x47fff000, 0x2000));
}

TEST(BuildParameters, DropsTheReservationOfThePagesOfAnInitrd) {
  TestTree tree = QemuTree();
  tree.Cells("/chosen", "linux,initrd-start", {0x48000800});
  tree.Cells("/chosen", "linux,initrd-end", {0x48010234});
  tree.Reserve(0x48000000, 0x11000);
  Hop hop(tree);
  ASSERT_TRUE(hop.Build().ok());
  EXPECT_EQ(hop.Received()->region_count, 1u);
}

TEST(BuildParameters, WritesOneCellAddresses) {
  TestTree tree(1, 1);
  Hop hop(tree);
  ASSERT_TRUE(hop.Build().ok());
  EXPECT_EQ(hop.Received()->kho_root, Range(0x12345000, khocore::kPageSize));
}

TEST(BuildParameters, RefusesAnAddressThatDoesNotFitItsCells) {
  TestTree tree(1, 1);
  Hop hop(tree);
  hop.next.kho_root = PhysAddr::FromRaw(0x100000000);
  const Status status = hop.Build();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kFdtStructure);
}

TEST(BuildParameters, RefusesForeignCells) {
  TestTree tree(3, 2);
  Hop hop(tree);
  ASSERT_FALSE(hop.Build().ok());
  EXPECT_EQ(hop.Build().error().code, ErrorCode::kFdtStructure);
}

TEST(BuildParameters, RefusesABrokenOrMissingTree) {
  TestTree tree = QemuTree();
  Hop hop(tree);
  fdt_set_magic(tree.blob(), 0);
  ASSERT_FALSE(hop.Build().ok());
  EXPECT_EQ(hop.Build().error().code, ErrorCode::kFdtStructure);
  BootInfo nothing{};
  hop.next.info = &nothing;
  ASSERT_FALSE(hop.Build().ok());
  EXPECT_EQ(hop.Build().error().code, ErrorCode::kFdtStructure);
}

TEST(BuildParameters, FitsTheLongestCommandLine) {
  const TestTree tree = QemuTree();
  Hop hop(tree);
  const std::string line(BootInfo::kMaxCommandLine - 1, 'x');
  hop.next.command_line = line.c_str();
  ASSERT_TRUE(hop.Build().ok());
  EXPECT_EQ(hop.Received()->command_line, line);
}

TEST(BuildParameters, FailsInEveryBufferThatIsTooSmall) {
  const TestTree tree = QemuTree();
  Hop hop(tree);
  const uint64_t enough = ParametersSize(hop.next);
  bool built = false;
  for (uint64_t size = 0; size <= enough; ++size) {
    const Status status = hop.Build(size);
    if (status.ok()) {
      built = true;
    } else {
      EXPECT_EQ(status.error().code, ErrorCode::kNoSpace) << size;
      EXPECT_FALSE(built) << size;
    }
  }
  EXPECT_TRUE(built);
}

TEST(BuildParameters, KeepsTheTreeWithinOneBlock) {
  EXPECT_EQ(kParametersAlignment, uint64_t{2} << 20);
  TestTree tree(2, 2, DeviceTree::kMaxSize);
  tree.Bytes("/", "padding", std::string(DeviceTree::kMaxSize - 1024, 'x'));
  Hop hop(tree);
  hop.next.command_line = "";
  const Status status = hop.Build(2 * DeviceTree::kMaxSize);
  ASSERT_TRUE(status.ok());
  EXPECT_LE(hop.Received()->kho_scratch.end(), kDestination + DeviceTree::kMaxSize);
  const std::string line(BootInfo::kMaxCommandLine - 1, 'x');
  hop.next.command_line = line.c_str();
  ASSERT_FALSE(hop.Build(2 * DeviceTree::kMaxSize).ok());
  EXPECT_EQ(hop.Build(2 * DeviceTree::kMaxSize).error().code, ErrorCode::kNoSpace);
}

}  // namespace
}  // namespace boot
