// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/virtio.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernel/arch/cpu.h"

namespace drivers {
namespace {

using khocore::Error;
using khocore::ErrorCode;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::Result;

constexpr uint32_t kEntropy = 4, kNetwork = 1;

/// A device that takes its time to reset.
struct Device final : VirtioTransport {
  uint32_t type = kEntropy;
  bool is_legacy = false;
  bool has_queue = true;
  unsigned reads_until_reset = 0;

  std::vector<uint32_t> statuses;
  PhysAddr queue;
  uint32_t status_at_queue = 0;
  uint16_t index_at_start = 99;
  bool notified = false;

  uint32_t DeviceType() override { return type; }
  uint32_t Status() override {
    if (statuses.empty()) return 0;
    if (statuses.back() == 0 && reads_until_reset != 0) {
      --reads_until_reset;
      return 1;
    }
    return statuses.back();
  }
  void SetStatus(uint32_t status) override {
    statuses.push_back(status);
    if ((status & 4) != 0 && !queue.is_null()) index_at_start = Index();
  }
  uint16_t Index() const { return reinterpret_cast<const uint16_t*>(queue.raw())[33]; }
  bool AcceptFeatures() override { return !is_legacy; }
  bool EnableQueue(const VirtioQueue& given) override {
    queue = given.page;
    status_at_queue = Status();
    return has_queue;
  }
  void Notify() override {
    notified = true;
    EXPECT_EQ(Index(), 2u);
  }
};

struct Pages final : khocore::PageSource {
  alignas(4096) uint8_t page[4096] = {};
  unsigned left = 1;

  PhysAddr address() { return PhysAddr::FromRaw(reinterpret_cast<uint64_t>(page)); }
  Result<PageFrame> AllocatePage() override {
    if (left == 0) return Error{ErrorCode::kOutOfMemory};
    --left;
    return PageFrame::Containing(address());
  }
  void FreePage(PageFrame) override {}

  template <typename T>
  T At(size_t offset) const {
    T value;
    memcpy(&value, page + offset, sizeof(value));
    return value;
  }
};

using Statuses = std::vector<uint32_t>;

TEST(Virtio, ResetsADeviceInUseAndWaitsForIt) {
  Device device;
  EXPECT_FALSE(ResetVirtio(device));
  EXPECT_EQ(device.statuses, Statuses{});
  device.statuses = {1};
  device.reads_until_reset = 3;
  EXPECT_TRUE(ResetVirtio(device));
  EXPECT_EQ(device.statuses, (Statuses{1, 0}));
  EXPECT_EQ(device.reads_until_reset, 0u);
}

TEST(Virtio, PostsTwoBuffersToASourceOfEntropy) {
  Device device;
  Pages pages;
  StartVirtio(device, {.pages = pages, .second = PhysAddr::FromRaw(0x1234000)});
  EXPECT_EQ(device.statuses, (Statuses{3, 11, 15}));
  EXPECT_EQ(device.queue, pages.address());
  EXPECT_EQ(device.status_at_queue, 11u) << "a queue is set up after the features, before the rest";
  EXPECT_TRUE(device.notified);
  EXPECT_EQ(device.index_at_start, 0u) << "buffers are posted to a device that has started";
  const uint64_t page = pages.address().raw();
  EXPECT_EQ(pages.At<uint64_t>(0), page + 2048);
  EXPECT_EQ(pages.At<uint64_t>(16), 0x1234000u);
  for (const size_t descriptor : {0u, 16u}) {
    EXPECT_EQ(pages.At<uint32_t>(descriptor + 8), 64u);
    EXPECT_EQ(pages.At<uint16_t>(descriptor + 12), 2u) << "the device writes";
  }
  EXPECT_EQ(pages.At<uint16_t>(66), 2u) << "the index of the available ring";
  EXPECT_EQ(pages.At<uint16_t>(68), 0u);
  EXPECT_EQ(pages.At<uint16_t>(70), 1u);
}

TEST(Virtio, PostsBothBuffersInItsOwnPageUnlessToldWhere) {
  Device device;
  Pages pages;
  StartVirtio(device, {.pages = pages, .second = {}});
  EXPECT_EQ(pages.At<uint64_t>(16), pages.address().raw() + 3072);
}

TEST(Virtio, StartsOthersWithoutAQueue) {
  Pages pages;
  Device network, old, without, poor;
  network.type = kNetwork;
  old.is_legacy = true;
  without.has_queue = false;
  StartVirtio(network, {.pages = pages, .second = {}});
  EXPECT_EQ(network.statuses, (Statuses{3, 11, 15}));
  StartVirtio(old, {.pages = pages, .second = {}});
  EXPECT_EQ(old.statuses, (Statuses{3, 7})) << "no FEATURES_OK before 1.0";
  EXPECT_TRUE(old.notified);
  StartVirtio(poor, {.pages = pages, .second = {}});
  EXPECT_EQ(poor.statuses, (Statuses{3, 11, 15})) << "there is no memory";
  pages.left = 1;
  StartVirtio(without, {.pages = pages, .second = {}});
  for (const Device* device : {&network, &without, &poor}) EXPECT_FALSE(device->notified);
}

}  // namespace
}  // namespace drivers

namespace arch {
void Pause() {}
}  // namespace arch
