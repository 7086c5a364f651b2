// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/page_tables.h"

#include <gtest/gtest.h>
#include <string.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernel/arch/arm64/image_base.h"
#include "kernel/arch/cpu_stacks.h"

namespace arch {
namespace {

using khocore::AlignDown;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;

constexpr uint64_t kImage = 0x40200000;
constexpr uint64_t kImageBytes = 0x20 * kPageSize;
constexpr uint64_t kDeviceTree = 0x4a000000;
constexpr uint64_t kConsole = 0x09000000;
constexpr ImageParts kParts{.text_end = 5 * kPageSize,
                            .rodata_end = 8 * kPageSize,
                            .image_end = kImageBytes,
                            .stack_guard = 0x18 * kPageSize};
constexpr uint64_t kCpuStacks = 0x50000000;  ///< aligned to `kCpuMemory`

struct Memory {
  KernelMap map;
  RunningTables running;
};

/// What tables looked like each time the kernel made them visible to the walkers.
struct Moment {
  bool invalidates;
  std::unique_ptr<Memory> memory;
};
Memory* watched = nullptr;
std::vector<Moment> moments;

void Record(bool invalidates) {
  if (watched == nullptr) return;
  moments.push_back({invalidates, std::make_unique<Memory>(*watched)});
}

class PageTablesTest : public testing::TestWithParam<Regime> {
 protected:
  PageTablesTest() {
    // The memory of tables holds those of the generation before.
    memset(static_cast<void*>(memory_.get()), 0x5f, sizeof(Memory));
    watched = memory_.get();
    moments.clear();
    root_ = BuildEarlyMap(&map(), &memory_->running, kImage, kImageBytes, kDeviceTree, GetParam());
  }
  ~PageTablesTest() override { watched = nullptr; }

  KernelMap& map() { return memory_->map; }
  uint64_t Rw() const { return Attributes(GetParam(), kNormal, Rights::kReadWrite); }
  Status MapRam(uint64_t begin, uint64_t size) {
    return map().MapIdentity({PhysAddr::FromRaw(begin), size}, kNormal, Rights::kReadWrite);
  }
  Status MapDevice(uint64_t begin, uint64_t size) {
    return map().MapIdentity({PhysAddr::FromRaw(begin), size}, kDevice, Rights::kReadWrite);
  }

  /// As the hardware walks the tables: the descriptor that maps `address`, 0 for none.
  uint64_t Walk(const uint64_t* table, uint64_t address) const {
    constexpr unsigned kBits = khocore::kPageShift - 3;
    constexpr unsigned kRootShift = khocore::kPageShift == 16 ? 29 : kLastShift + 2 * kBits;
    for (unsigned shift = kRootShift;; shift -= kBits) {
      const uint64_t entry = table[address >> shift & (kPageSize / 8 - 1)];
      if ((entry & 1) == 0) return 0;
      if ((entry & kTypeMask) == kBlock || shift == kLastShift) return entry;
      table = reinterpret_cast<uint64_t*>(entry & kAddressMask);
    }
  }
  uint64_t Walk(uint64_t address) const { return Walk(memory_->map.root.entries, address); }
  /// What maps the grain, or the largest block, at `address` to itself.
  static uint64_t Grain(uint64_t address, uint64_t attributes) {
    return AlignDown(address, kGrainSize) | attributes | (kGrainSize == kPageSize ? kPage : kBlock);
  }
  static uint64_t Large(uint64_t address, uint64_t attributes) {
    constexpr uint64_t kLarge = khocore::kPageShift == 12   ? kGigabyte
                                : khocore::kPageShift == 14 ? 32 << 20
                                                            : 512 << 20;
    return AlignDown(address, kLarge) | attributes | kBlock;
  }
  static constexpr unsigned kLastShift = khocore::kPageShift;
  uint64_t ImageAt(uint64_t offset) const { return Walk(IMAGE_BASE + offset); }

  // Tables by their number in `Memory`.
  size_t NumberOf(uint64_t table) const {
    return (table - reinterpret_cast<uint64_t>(memory_.get())) / kPageSize;
  }
  const uint64_t* TableOf(const Memory& memory, size_t number) const {
    return reinterpret_cast<const uint64_t*>(&memory) + number * kEntries;
  }
  void Reach(const Memory& memory, size_t number, unsigned level, std::set<size_t>* reached) const {
    reached->insert(number);
    for (size_t i = 0; i < kEntries && level < kLevels; ++i) {
      const uint64_t entry = TableOf(memory, number)[i];
      if ((entry & kTypeMask) == kTable) {
        Reach(memory, NumberOf(entry & kAddressMask), level + 1, reached);
      }
    }
  }
  std::set<size_t> Reached(const Memory& memory) const {
    std::set<size_t> reached;
    Reach(memory, NumberOf(root_), 1, &reached);
    return reached;
  }

  /// A table that the walkers find was zeroed before an earlier moment: a walker that follows the
  /// link at once finds no entry of the generation before.
  void ExpectZerosBeforeLinks(size_t from) const {
    ASSERT_GE(moments.size(), from);
    for (size_t i = from; i <= moments.size(); ++i) {
      const Memory& now = i < moments.size() ? *moments[i].memory : *memory_;
      const std::set<size_t> before = Reached(*moments[i - 1].memory);
      for (const size_t number : Reached(now)) {
        if (before.count(number) != 0) continue;
        const uint64_t* const table = TableOf(*moments[i - 1].memory, number);
        for (size_t k = 0; k < kEntries; ++k) {
          ASSERT_EQ(table[k], 0u) << "table " << number << " entry " << k
                                  << " is stale when the link to the table becomes visible";
        }
      }
    }
  }
  /// Nothing was written after the last moment, which `invalidates` or not.
  void ExpectPublished(bool invalidates) const {
    ASSERT_FALSE(moments.empty());
    EXPECT_EQ(memcmp(moments.back().memory.get(), memory_.get(), sizeof(Memory)), 0)
        << "an entry was written after the last barrier";
    EXPECT_EQ(moments.back().invalidates, invalidates);
  }

  std::unique_ptr<Memory> memory_ = std::make_unique<Memory>();
  uint64_t root_;
};

TEST_P(PageTablesTest, TheEarlyMapIsAllThatTheMmuNeeds) {
  EXPECT_EQ(root_, reinterpret_cast<uint64_t>(&map().root));
  const uint64_t all = Attributes(GetParam(), kNormal, Rights::kAll);
  for (uint64_t at = 0; at < kImageBytes; at += kPageSize) {
    ASSERT_EQ(ImageAt(at), (kImage + at) | all | kPage);
  }
  EXPECT_EQ(ImageAt(kImageBytes), 0u);
  EXPECT_EQ(Walk(kImage), Grain(kImage, all));
  EXPECT_EQ(Walk(kDeviceTree), Grain(kDeviceTree, Rw()));
  EXPECT_EQ(Walk(kDeviceTree + (2 << 20) - 1), Grain(kDeviceTree + (2 << 20) - 1, Rw()));
  EXPECT_EQ(Walk(kConsole), Grain(kConsole, Attributes(GetParam(), kDevice, Rights::kReadWrite)));
  EXPECT_EQ(Walk(0), 0u);
  EXPECT_EQ(Walk(kImage - 1), 0u);
  EXPECT_LT(map().pool_used, KernelMap::kEarlyTables);
}

TEST_P(PageTablesTest, EachPartOfTheImageHasItsRights) {
  map().ProtectImage(PhysAddr::FromRaw(kImage), kParts);
  for (uint64_t at = 0; at < kImageBytes; at += kPageSize) {
    const Rights rights = at < kParts.text_end     ? Rights::kReadExecute
                          : at < kParts.rodata_end ? Rights::kRead
                                                   : Rights::kReadWrite;
    const uint64_t entry = (kImage + at) | Attributes(GetParam(), kNormal, rights) | kPage;
    ASSERT_EQ(ImageAt(at), at == kParts.stack_guard ? 0 : entry) << std::hex << at;
  }
  for (uint64_t at = kImage; at < kImage + kImageBytes; at += kPageSize) {
    ASSERT_EQ(Walk(at), Grain(at, Rw())) << "the image is executable one to one";
  }
  ExpectPublished(true);
}

TEST_P(PageTablesTest, RightsAreThoseOfTheRegime) {
  const auto bits = [](Rights rights) { return Attributes(GetParam(), kNormal, rights); };
  const bool el2 = GetParam() == Regime::kEl2;
  const uint64_t never = el2 ? kNever : kPrivilegedNever;
  for (const Rights rights :
       {Rights::kRead, Rights::kReadWrite, Rights::kReadExecute, Rights::kAll}) {
    const bool writable = rights == Rights::kReadWrite || rights == Rights::kAll;
    const bool executable = rights == Rights::kReadExecute || rights == Rights::kAll;
    EXPECT_EQ((bits(rights) & kReadOnly) == 0, writable);
    EXPECT_EQ((bits(rights) & never) == 0, executable);
    EXPECT_NE(bits(rights) & kAccessed, 0u) << "every access would be a fault";
    // AP[1] is RES1 at EL2; at EL1 EL0 would have the rights, too, and make RAM never executable.
    EXPECT_EQ((bits(rights) & kEl0) != 0, el2);
    EXPECT_EQ(bits(rights) & kPrivilegedNever, el2 || executable ? 0 : kPrivilegedNever);
  }
}

TEST_P(PageTablesTest, RamIsReadAndWrittenAndNeverExecuted) {
  ASSERT_TRUE(MapRam(6 * kGigabyte + kPageSize, 2 * kGigabyte).ok());
  EXPECT_EQ(Walk(6 * kGigabyte + kPageSize), Grain(6 * kGigabyte + kPageSize, Rw()));
  EXPECT_EQ(Walk(7 * kGigabyte), Large(7 * kGigabyte, Rw())) << "RAM throughout takes an entry";
  EXPECT_EQ(Walk(8 * kGigabyte - 1), Large(8 * kGigabyte - 1, Rw()));
  EXPECT_EQ(Walk(8 * kGigabyte), Grain(8 * kGigabyte, Rw()));
  EXPECT_EQ(Walk(8 * kGigabyte + kGrainSize), 0u);
  EXPECT_EQ(Walk(6 * kGigabyte - 1), 0u);
  ExpectPublished(false);
}

TEST_P(PageTablesTest, WhatIsMappedStaysAsItIs) {
  ASSERT_TRUE(MapRam(kGigabyte, 2 * kGigabyte).ok());
  EXPECT_EQ(Walk(kImage), Grain(kImage, Attributes(GetParam(), kNormal, Rights::kAll)));
  const uint64_t behind = khocore::AlignUp(kImage + kImageBytes, kGrainSize);
  EXPECT_EQ(Walk(behind), Grain(behind, Rw()));
  const uint64_t used = map().pool_used;
  ASSERT_TRUE(MapRam(2 * kGigabyte + kPageSize, kPageSize).ok());
  EXPECT_EQ(map().pool_used, used);
}

TEST_P(PageTablesTest, RamAndDevicesShareNoGrain) {
  ASSERT_TRUE(MapDevice(0x8000000, kPageSize).ok());
  const Status grain = MapRam(0x8000000 + kGrainSize - kPageSize, kPageSize);
  ASSERT_FALSE(grain.ok());
  EXPECT_EQ(grain.error().code, ErrorCode::kOverlap);
  EXPECT_EQ(grain.error().where.raw(), 0x8000000u);
  ASSERT_TRUE(MapRam(4 * kGigabyte, kGigabyte).ok());
  const Status gigabyte = MapDevice(4 * kGigabyte + kGrainSize, kPageSize);
  ASSERT_FALSE(gigabyte.ok());
  EXPECT_EQ(gigabyte.error().code, ErrorCode::kOverlap);
  EXPECT_EQ(Walk(4 * kGigabyte), Large(4 * kGigabyte, Rw()));
}

TEST_P(PageTablesTest, MapsWhatLiesBelowTheLimitAndSaysTheRest) {
  constexpr uint64_t kLimit = KernelMap::kAddressLimit;
  static_assert(kLimit == 510 * kGigabyte);
  const Status across = MapRam(kLimit - kGigabyte, 2 * kGigabyte);
  ASSERT_FALSE(across.ok());
  EXPECT_EQ(across.error().code, ErrorCode::kOutsideRam);
  EXPECT_EQ(across.error().where.raw(), kLimit);
  EXPECT_EQ(Walk(kLimit - 1), Large(kLimit - 1, Rw()));
  EXPECT_EQ(Walk(IMAGE_BASE) & kAddressMask, kImage) << "the image stays";
  const Status behind = MapRam(kLimit + kGigabyte, ~uint64_t{0});
  ASSERT_FALSE(behind.ok());
  EXPECT_EQ(behind.error().where.raw(), kLimit + kGigabyte);
  EXPECT_EQ(map().FindLeaf(PhysAddr::FromRaw(IMAGE_BASE)), nullptr);
}

TEST_P(PageTablesTest, MapsAsFarAsThereAreTables) {
  constexpr uint64_t kAll = KernelMap::kEarlyTables + RunningTables::kRunningTables;
  uint64_t gigabyte = 8;
  while (map().pool_used < kAll) ASSERT_TRUE(MapRam(gigabyte++ * kGigabyte, kPageSize).ok());
  // The root's entries of 64 GiB take tables, too.
  while (gigabyte % 64 == 0) ++gigabyte;
  const Status status = MapRam(gigabyte * kGigabyte, kPageSize);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(status.error().where.raw(), gigabyte * kGigabyte);
  for (uint64_t i = 8; i < gigabyte; ++i) {
    ASSERT_EQ(Walk(i * kGigabyte), Grain(i * kGigabyte, Rw()));
    ASSERT_EQ(Walk(i * kGigabyte + kGrainSize), 0u) << "a table is used twice, or was not zeroed";
  }
  EXPECT_TRUE(MapRam((gigabyte + 1) * kGigabyte, kGigabyte).ok()) << "which takes no table";
}

TEST_P(PageTablesTest, AFreshTableIsZeroBeforeTheLinkToIt) {
  const size_t early = moments.size();
  ASSERT_TRUE(MapRam(8 * kGigabyte + kPageSize, 3 * kGigabyte).ok());
  ASSERT_TRUE(MapDevice(0xa0000000, kPageSize).ok());
  while (map().pool_used < KernelMap::kEarlyTables + 2) {
    ASSERT_TRUE(MapRam((16 + map().pool_used) * kGigabyte, kPageSize).ok());
  }
  map().MapCpuStack(1, PhysAddr::FromRaw(kCpuStacks));
  map().MapCpuStack(kMaxCpus - 1, PhysAddr::FromRaw(kCpuStacks + kCpuMemory));
  ExpectZerosBeforeLinks(early);
  ExpectPublished(false);
}

TEST_P(PageTablesTest, AStackOfACpuHasNothingAroundIt) {
  for (const size_t number : {size_t{1}, size_t{31}, size_t{32}, kMaxCpus - 1}) {
    const uint64_t memory = kCpuStacks + number * kCpuMemory;
    map().MapCpuStack(number, PhysAddr::FromRaw(memory));
    const PhysRange stack = CpuStack(IMAGE_BASE, number);
    for (uint64_t at = 0; at < stack.size; at += kPageSize) {
      EXPECT_EQ(Walk(stack.begin.raw() + at), (memory + at) | Rw() | kPage) << number;
    }
    EXPECT_EQ(Walk(stack.begin.raw() - 1), 0u) << number;
    EXPECT_EQ(Walk(stack.end().raw()), 0u) << number;
    ExpectPublished(false);
  }
}

TEST_P(PageTablesTest, StacksNeedNoTableOfThePool) {
  map().pool_used = KernelMap::kEarlyTables + RunningTables::kRunningTables;
  for (size_t number = 1; number < kMaxCpus; ++number) {
    map().MapCpuStack(number, PhysAddr::FromRaw(kCpuStacks + number * kCpuMemory));
  }
  for (size_t number = 1; number < kMaxCpus; ++number) {
    EXPECT_EQ(Walk(CpuStack(IMAGE_BASE, number).begin.raw()),
              (kCpuStacks + number * kCpuMemory) | Rw() | kPage);
  }
}

TEST_P(PageTablesTest, ExecutableRamStaysWritableAndEveryCpuHearsOfIt) {
  ASSERT_TRUE(MapRam(4 * kGigabyte, kGigabyte + kGrainSize).ok());
  const uint64_t all = Attributes(GetParam(), kNormal, Rights::kAll);
  ASSERT_TRUE(map().MakeExecutable(PhysAddr::FromRaw(4 * kGigabyte + 5 * kPageSize)));
  EXPECT_EQ(Walk(4 * kGigabyte), Large(4 * kGigabyte, all));
  ExpectPublished(true);
  ASSERT_TRUE(map().MakeExecutable(PhysAddr::FromRaw(5 * kGigabyte + kGrainSize - 1)));
  EXPECT_EQ(Walk(5 * kGigabyte), Grain(5 * kGigabyte, all));
  ExpectPublished(true);
  EXPECT_FALSE(map().MakeExecutable(PhysAddr::FromRaw(7 * kGigabyte)));
  EXPECT_FALSE(map().MakeExecutable(PhysAddr::FromRaw(5 * kGigabyte + kGrainSize)));
}

/// Tables as the two functions below take them.
struct Tables {
  std::vector<std::unique_ptr<Table>> more;
  std::unique_ptr<Table> root = std::make_unique<Table>();
  size_t room = 8;

  uint64_t* Take() {
    if (more.size() == room) return nullptr;
    more.push_back(std::make_unique<Table>());
    return more.back()->entries;
  }
};

TEST_P(PageTablesTest, TheCopyOfTheNextKernelHasAllRam) {
  khocore::PhysicalMemory ram;
  const PhysRange ranges[] = {{PhysAddr::FromRaw(kGigabyte + kPageSize), kGigabyte},
                              {PhysAddr::FromRaw(9 * kGigabyte), kGigabyte},
                              {PhysAddr::FromRaw(80 * kGigabyte), kGigabyte}};
  for (const PhysRange& range : ranges) ASSERT_TRUE(ram.AddWindow(range, nullptr).ok());
  Tables tables;
  const auto take = [&tables]() { return tables.Take(); };
  uint64_t* const root = tables.root->entries;
  ASSERT_TRUE(FillTransitionTable(map(), ram, root, take).ok());
  const uint64_t all = Attributes(GetParam(), kNormal, Rights::kAll);
  for (uint64_t at = 0; at < 512 * kGigabyte; at += kLargestBlock) {
    bool mapped = false;
    for (const PhysRange& range : ranges) {
      mapped = mapped || range.Overlaps({PhysAddr::FromRaw(at), kLargestBlock});
    }
    ASSERT_EQ(Walk(root, at), mapped ? Large(at, all) : 0) << std::hex << at;
    uint64_t* const entry = FindTransitionEntry(root, PhysAddr::FromRaw(at));
    if (mapped) ASSERT_EQ(*entry, Walk(root, at));
    if (!mapped) ASSERT_TRUE(entry == nullptr || *entry == 0);
  }
  EXPECT_EQ(tables.more.size(), khocore::kPageShift == 14 ? 2u : 0u);
  Tables few;
  few.room = 1;
  const auto take_few = [&few]() { return few.Take(); };
  EXPECT_EQ(FillTransitionTable(map(), ram, few.root->entries, take_few).ok(),
            khocore::kPageShift != 14);
}

TEST_P(PageTablesTest, AStartedCpuFindsTheImageItsDataAndTheLinkedAddress) {
  map().MapCpuStack(1, PhysAddr::FromRaw(kCpuStacks));
  Tables tables;
  tables.room = kStartTables - 1;
  const auto take = [&tables]() { return tables.Take(); };
  uint64_t* const root = tables.root->entries;
  // Nothing lies in more pieces of 64 GiB than these.
  const PhysRange data{PhysAddr::FromRaw(64 * kGigabyte - kPageSize), kCpuMemory};
  const PhysRange image{PhysAddr::FromRaw(kImage), kImageBytes};
  ASSERT_TRUE(FillStartTable(map(), image, data, root, take).ok());
  const uint64_t all = Attributes(GetParam(), kNormal, Rights::kAll);
  for (const uint64_t at : {kImage, data.begin.raw(), data.end().raw() - 1}) {
    EXPECT_EQ(Walk(root, at), Large(at, all)) << std::hex << at;
  }
  EXPECT_EQ(Walk(root, IMAGE_BASE), Walk(IMAGE_BASE));
  const uint64_t stack = CpuStack(IMAGE_BASE, 1).begin.raw();
  EXPECT_EQ(Walk(root, stack), Walk(stack));
  EXPECT_EQ(Walk(root, 0), 0u);
  Tables others;
  const auto take_others = [&others]() { return others.Take(); };
  const PhysRange there{PhysAddr::FromRaw(IMAGE_BASE), kCpuMemory};
  const Status status = FillStartTable(map(), image, there, others.root->entries, take_others);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kOverlap);
}

INSTANTIATE_TEST_SUITE_P(Regimes, PageTablesTest, testing::Values(Regime::kEl1, Regime::kEl2),
                         [](const auto& info) {
                           return std::string(info.param == Regime::kEl1 ? "El1" : "El2");
                         });

}  // namespace

void PublishTables() { Record(false); }
void InvalidateTranslations() { Record(true); }

}  // namespace arch
