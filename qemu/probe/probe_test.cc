// SPDX-License-Identifier: BSD-3-Clause
// The plugin as QEMU loads it, with a fake QEMU around it.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "qemu/probe/control_block.h"
#include "qemu/probe/fake_qemu.h"
#include "qemu/probe/qemu_api.h"
#include "qemu/probe/ram.h"

namespace probe {
namespace {

constexpr uint64_t kRam = 1 << 20;
constexpr uint64_t kLow = 0x8'0000;  // the rest lies at 4 GiB
constexpr uint64_t kHigh = uint64_t{4} << 30;
constexpr uint64_t kKernel = 0xffff'ffff'8100'0000;

class ProbeTest : public testing::Test {
 protected:
  void SetUp() override { Install("stores=on", "fetches=on"); }

  void Install(std::string stores, std::string fetches) {
    control_ = memfd_create("control", 0);
    ASSERT_EQ(ftruncate(control_, sizeof(ControlBlock)), 0);
    block_ = static_cast<ControlBlock*>(
        mmap(nullptr, sizeof(ControlBlock), PROT_READ | PROT_WRITE, MAP_SHARED, control_, 0));
    ram_file_ = memfd_create("ram", 0);
    ASSERT_EQ(ftruncate(ram_file_, kRam), 0);
    ram_ = static_cast<uint8_t*>(
        mmap(nullptr, kRam, PROT_READ | PROT_WRITE, MAP_SHARED, ram_file_, 0));
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets_), 0);
    block_->magic = kMagic;
    block_->size = sizeof(ControlBlock);
    block_->region_count = 2;
    block_->regions[0] = {0, kLow, 0, 0};
    block_->regions[1] = {kHigh, kRam - kLow, kLow, kLow};
    std::vector<std::string> words = {"control=" + std::to_string(control_),
                                      "socket=" + std::to_string(sockets_[1]),
                                      "ram=" + std::to_string(ram_file_), stores, fetches};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    ASSERT_EQ(qemu_plugin_install(1, nullptr, static_cast<int>(argv.size()), argv.data()), 0);
    ASSERT_EQ(block_->state, kReady);
  }

  void TearDown() override {
    munmap(block_, sizeof(ControlBlock));
    munmap(ram_, kRam);
    for (const int descriptor : {control_, ram_file_, sockets_[0], sockets_[1]}) close(descriptor);
  }

  void ArmFetch(uint64_t begin, uint64_t end) {
    block_->fetch[0] = {begin, end};
    block_->fetch_count = 1;
    block_->fetch_armed = 1;
  }

  // Executes a block; the records of the stops in it, each answered at once.
  std::vector<StopRecord> Run(qemu_plugin_tb& tb, unsigned cpu = 0) {
    const std::string answers(8, 'g');
    EXPECT_EQ(write(sockets_[0], answers.data(), answers.size()), 8);
    Execute(tb, cpu);
    std::vector<StopRecord> stops(8);
    const ssize_t got = recv(sockets_[0], stops.data(), 8 * sizeof(StopRecord), MSG_DONTWAIT);
    stops.resize(got > 0 ? static_cast<size_t>(got) / sizeof(StopRecord) : 0);
    char rest[8];
    EXPECT_EQ(recv(sockets_[1], rest, sizeof(rest), MSG_DONTWAIT),
              static_cast<ssize_t>(8 - stops.size()));
    return stops;
  }

  void Watch(uint64_t offset) {
    block_->pages[0] = offset;
    block_->page_count = 1;
    std::memcpy(block_->shadow[0], ram_ + offset, kPageSize);
    block_->watch_armed = 1;
  }

  // A store of 8 bytes that QEMU reports at `reported`: already done, as QEMU's callbacks find it.
  void StoreWord(uint64_t offset, uint64_t value, uint64_t reported, uint64_t pc = kKernel) {
    std::memcpy(ram_ + offset, &value, sizeof(value));
    qemu_plugin_tb tb = Translate(pc, ram_);
    const FakeAccess access{.reported = reported};
    Execute(tb, 3, &access, 0xffff'8880'0000'0000 + offset);
  }

  int control_ = -1, ram_file_ = -1, sockets_[2] = {-1, -1};
  ControlBlock* block_ = nullptr;
  uint8_t* ram_ = nullptr;
};

TEST_F(ProbeTest, StopsOnceAtTheFirstFetchWhereVirtualIsPhysical) {
  ArmFetch(0x4000, 0x8000);
  qemu_plugin_tb tb = Translate(0x5000, ram_ + 0x5000, 3);
  ASSERT_EQ(block_->state, kMapped);
  const auto stops = Run(tb, 2);
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(stops[0].kind, kFetchStop);
  EXPECT_EQ(stops[0].cpu, 2u);
  EXPECT_EQ(stops[0].pc, 0x5000u);
  EXPECT_EQ(stops[0].physical, 0x5000u);
  EXPECT_EQ(block_->fetch_armed, 0u);
  EXPECT_TRUE(Run(tb).empty());
  block_->fetch_armed = 1;  // the host wants another one
  EXPECT_EQ(Run(tb).size(), 1u);
}

TEST_F(ProbeTest, TextOfUserSpaceInTheSameMemoryDoesNotStop) {
  ArmFetch(0x4000, 0x8000);
  qemu_plugin_tb mapped = Translate(0x40'0000, ram_ + 0x5000, 3);
  qemu_plugin_tb elsewhere = Translate(0x9000, ram_ + 0x9000, 3);
  qemu_plugin_tb rom = Translate(0x5000, nullptr, 3);
  for (qemu_plugin_tb* tb : {&mapped, &elsewhere, &rom}) {
    EXPECT_TRUE(tb->instructions[0].before.empty());
    EXPECT_TRUE(Run(*tb).empty());
  }
}

TEST_F(ProbeTest, ABlockThatCrossesIntoTheRangeStopsInside) {
  ArmFetch(0x5000, 0x6000);
  qemu_plugin_tb tb = Translate(0x4ff8, ram_ + 0x4ff8, 4);
  const auto stops = Run(tb);
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(stops[0].pc, 0x5000u);
}

TEST_F(ProbeTest, MemoryAboveFourGibibytesIsFoundByItsOffset) {
  ArmFetch(kHigh, kHigh + 0x1000);
  qemu_plugin_tb tb = Translate(kHigh + 0x10, ram_ + kLow + 0x10);
  ASSERT_EQ(Run(tb).size(), 1u);
}

TEST_F(ProbeTest, WithoutAnArmedStopABlockGetsNoCallback) {
  TearDown();
  Install("stores=off", "fetches=off");
  qemu_plugin_tb tb = Translate(0x5000, ram_ + 0x5000, 3);
  EXPECT_TRUE(tb.before.empty());
  for (const qemu_plugin_insn& insn : tb.instructions) {
    EXPECT_TRUE(insn.before.empty() && insn.memory.empty());
  }
}

TEST_F(ProbeTest, AnAddressStopsWhereverItLies) {
  block_->addresses[0] = kKernel + 4;
  block_->address_count = 1;
  block_->address_armed = 1;
  qemu_plugin_tb tb = Translate(kKernel, ram_ + 0x5000, 3);
  const auto stops = Run(tb, 1);
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(stops[0].kind, kAddressStop);
  EXPECT_EQ(stops[0].pc, kKernel + 4);
  EXPECT_EQ(stops[0].physical, kNoPhysical);
  EXPECT_TRUE(Run(tb).empty());
}

TEST_F(ProbeTest, OfSeveralCpusOneStops) {
  ArmFetch(0x4000, 0x8000);
  qemu_plugin_tb tb = Translate(0x5000, ram_ + 0x5000);
  std::vector<std::thread> cpus;
  for (unsigned cpu = 0; cpu < 4; ++cpu) cpus.emplace_back([&, cpu] { Execute(tb, cpu); });
  StopRecord stop;
  ASSERT_EQ(read(sockets_[0], &stop, sizeof(stop)), static_cast<ssize_t>(sizeof(stop)));
  ASSERT_EQ(write(sockets_[0], "g", 1), 1);
  for (std::thread& cpu : cpus) cpu.join();
  EXPECT_LT(recv(sockets_[0], &stop, sizeof(stop), MSG_DONTWAIT), 0);
}

TEST_F(ProbeTest, AHostThatIsGoneHoldsUpNobody) {
  ArmFetch(0x4000, 0x8000);
  qemu_plugin_tb tb = Translate(0x5000, ram_ + 0x5000);
  shutdown(sockets_[0], SHUT_RDWR);
  signal(SIGPIPE, SIG_IGN);
  Execute(tb);
  EXPECT_EQ(block_->fetch_armed, 0u);
}

TEST_F(ProbeTest, AStoreIsRecordedWithWhatWasThere) {
  ram_[0x2008] = 0x11;
  Watch(0x2000);
  StoreWord(0x2008, 0x22, 0x2008);
  ASSERT_EQ(block_->stores, 1u);
  const Store& store = block_->ring[0];
  EXPECT_EQ(store.sequence, 1u);
  EXPECT_EQ(store.access.cpu, 3u);
  EXPECT_EQ(store.access.pc, kKernel);
  EXPECT_EQ(store.access.virtual_address, 0xffff'8880'0000'2008u);
  EXPECT_EQ(store.access.physical, 0x2008u);
  EXPECT_EQ(store.size, 8u);
  EXPECT_EQ(store.before[0], 0x11);
  EXPECT_EQ(store.after[0], 0x22);
  EXPECT_GT(store.access.instruction, 0u);
  StoreWord(0x2008, 0x33, 0x2008);
  EXPECT_EQ(block_->ring[1].before[0], 0x22);
}

TEST_F(ProbeTest, StoresElsewhereAndLoadsAreNotRecorded) {
  Watch(0x2000);
  StoreWord(0x3000, 1, 0x3000);
  StoreWord(0x1ff0, 1, 0x1ff0);
  qemu_plugin_tb tb = Translate(kKernel, ram_);
  for (const FakeAccess& access :
       {FakeAccess{.is_store = false, .reported = 0x2000},
        FakeAccess{.is_io = true, .reported = 0x2000},
        FakeAccess{.is_known = false, .reported = 0x2000}, FakeAccess{.reported = kRam},
        FakeAccess{.size_shift = 7, .reported = 0x2000}}) {
    Execute(tb, 0, &access, 0x2000);
  }
  EXPECT_EQ(block_->stores, 0u);
  block_->watch_armed = 0;
  StoreWord(0x2000, 1, 0x2000);
  EXPECT_EQ(block_->stores, 0u);
}

TEST_F(ProbeTest, AStoreInHighMemoryHasItsPhysicalAddress) {
  Watch(kLow + 0x1000);
  StoreWord(kLow + 0x1010, 5, kLow + 0x1010);
  ASSERT_EQ(block_->stores, 1u);
  EXPECT_EQ(block_->ring[0].access.physical, kHigh + 0x1010);
}

TEST_F(ProbeTest, AStoreAcrossTwoPagesIsOneOfEach) {
  Watch(0x2000);
  std::memset(ram_ + 0x1ffc, 0x44, 8);
  qemu_plugin_tb tb = Translate(kKernel, ram_);
  const FakeAccess access{.reported = 0x1ffc};
  Execute(tb, 0, &access, 0x1ffc);
  ASSERT_EQ(block_->stores, 1u);
  EXPECT_EQ(block_->ring[0].access.physical, 0x2000u);
  EXPECT_EQ(block_->ring[0].size, 4u);
}

TEST_F(ProbeTest, AReadModifyWriteIsRecordedOnce) {
  Watch(0x2000);
  ram_[0x2000] = 7;
  qemu_plugin_tb tb = Translate(kKernel, ram_);
  tb.instructions[0].memory.push_back(tb.instructions[0].memory[0]);  // as QEMU 7.2 does
  const FakeAccess access{.reported = 0x2000};
  Execute(tb, 0, &access, 0x2000);
  EXPECT_EQ(block_->stores, 1u);
  Execute(tb, 0, &access, 0x2000);  // the same value once more is a store of its own
  EXPECT_EQ(block_->stores, 2u);
}

TEST_F(ProbeTest, TheRingKeepsTheNewest) {
  Watch(0x2000);
  for (uint64_t i = 0; i < kRingRecords + 2; ++i) StoreWord(0x2000, i + 1, 0x2000);
  EXPECT_EQ(block_->stores, kRingRecords + 2);
  EXPECT_EQ(block_->ring[1].sequence, kRingRecords + 2);
  EXPECT_EQ(block_->ring[2].sequence, 3u);
}

TEST_F(ProbeTest, StoresOutsideAreCountedForTheCpuThatIsAskedFor) {
  block_->stores_outside.ranges[0] = {0x2000, 0x3000};
  block_->stores_outside.range_count = 1;
  block_->stores_outside.cpu = 3;
  block_->stores_outside.armed = 1;
  StoreWord(0x2000, 1, 0x2000);
  EXPECT_EQ(block_->stores_outside.count, 0u);
  StoreWord(0x4000, 1, 0x4000);
  StoreWord(0x5000, 1, 0x5000);
  EXPECT_EQ(block_->stores_outside.count, 2u);
  EXPECT_EQ(block_->stores_outside.first.physical, 0x4000u);
  block_->stores_outside.cpu = 2;
  StoreWord(0x4000, 1, 0x4000);
  EXPECT_EQ(block_->stores_outside.count, 2u);
}

TEST_F(ProbeTest, FetchesOutsideAreCountedWithTheirAddress) {
  qemu_plugin_tb inside = Translate(kKernel, ram_ + 0x2000);
  qemu_plugin_tb outside = Translate(kKernel + 0x8000, ram_ + 0x6000);
  block_->fetches_outside.ranges[0] = {0x2000, 0x3000};
  block_->fetches_outside.range_count = 1;
  block_->fetches_outside.cpu = kAllCpus;
  block_->fetches_outside.armed = 1;
  Execute(inside, 1);
  EXPECT_EQ(block_->fetches_outside.count, 0u);
  Execute(outside, 1);
  EXPECT_EQ(block_->fetches_outside.count, 1u);
  EXPECT_EQ(block_->fetches_outside.first.pc, kKernel + 0x8000);
  EXPECT_EQ(block_->fetches_outside.first.physical, 0x6000u);
}

TEST_F(ProbeTest, AFlushStartsTheTableOfBlocksAnew) {
  const qemu_plugin_tb first = Translate(kKernel, ram_);
  TheQemu().flush();
  const qemu_plugin_tb again = Translate(kKernel, ram_);
  EXPECT_EQ(first.before[0].second, again.before[0].second);
}

TEST_F(ProbeTest, CountsBeyondTheArraysAreNotFollowed) {
  block_->region_count = block_->fetch_count = block_->address_count = 0xffff'ffff;
  block_->page_count = 0xffff'ffff;
  block_->fetch_armed = block_->address_armed = block_->watch_armed = 1;
  block_->stores_outside = {1, kAllCpus, uint64_t{1} << 40, 0, {}, {}};
  StoreWord(0x2000, 1, 0x2000);
  EXPECT_EQ(block_->stores_outside.count, 1u);
}

TEST_F(ProbeTest, RamThatIsNotMappedIsSaid) {
  munmap(ram_, kRam);
  Translate(0x5000, nullptr);
  EXPECT_EQ(block_->state, kNoRam);
  ram_ =
      static_cast<uint8_t*>(mmap(nullptr, kRam, PROT_READ | PROT_WRITE, MAP_SHARED, ram_file_, 0));
}

TEST(RamTest, FilesFollowEachOtherWhereverTheyAreMapped) {
  static ControlBlock block;
  block.region_count = 2;
  block.regions[0] = {0x40000000, 0x3000, 0, 0};
  block.regions[1] = {0x40003000, 0x5000, 0x3000, 0x43000};  // as QEMU 7.2 reports a second node
  static struct {
    uint8_t second[0x5000], hole[0x1000], first[0x3000];
  } mapped;
  auto& [second, hole, first] = mapped;
  Ram ram(block);
  ram.Map(first, sizeof(first));
  ram.Map(second, sizeof(second));
  EXPECT_EQ(ram.size(), 0x8000u);
  EXPECT_EQ(ram.OffsetOf(first + 0x2fff), 0x2fffu);
  EXPECT_EQ(ram.OffsetOf(second + 0x10), 0x3010u);
  EXPECT_EQ(ram.OffsetOf(hole), std::nullopt);
  EXPECT_EQ(ram.At(0x2fff), first + 0x2fff);
  EXPECT_EQ(ram.At(0x3000), second);
  EXPECT_EQ(ram.OffsetOfReported(0x43010), 0x3010u);
  EXPECT_EQ(ram.PhysicalOf(0x3010), 0x40003010u);
}

TEST(InstallTest, WhatItCannotUseIsRefused) {
  const int empty = memfd_create("empty", 0);
  std::string control = "control=" + std::to_string(empty);
  for (std::vector<std::string> words :
       std::vector<std::vector<std::string>>{{},
                                             {"control=3"},
                                             {"control"},
                                             {"colour=red"},
                                             {control, "socket=0", "ram=0"},
                                             {"control=12345", "socket=0", "ram=0"}}) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    EXPECT_NE(qemu_plugin_install(1, nullptr, static_cast<int>(argv.size()), argv.data()), 0);
  }
  close(empty);
}

}  // namespace
}  // namespace probe
