// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/virtio_mmio.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "kernel/arch/devices.h"

namespace {

/// A transport as virtio 1.2, 4.2.2 has it.
struct Transport {
  uint32_t magic = 0x74726976;
  uint32_t version = 1;
  uint32_t device = 4;
  uint32_t status = 0;
  uint32_t selected = 0;
  uint64_t features = 0;
  uint32_t maximum = 1024;                 // descriptors of a queue
  std::map<uint64_t, uint32_t> written{};  // of the registers of a queue
  bool touched = false;
};

std::vector<Transport> transports;

/// Does to each device what `visit` does; returns how many there are.
unsigned ForEach(khocore::FunctionRef<void(drivers::VirtioTransport&)> visit) {
  unsigned count = 0;
  drivers::ForEachVirtioMmio([&](drivers::VirtioTransport& device) {
    visit(device);
    ++count;
  });
  return count;
}

TEST(VirtioMmio, FindsDevicesAndNoEmptyTransports) {
  transports = {{}, {.device = 0}, {.magic = 0}, {.version = 2, .device = 1}};
  std::vector<uint32_t> types;
  const auto look = [&](drivers::VirtioTransport& device) { types.push_back(device.DeviceType()); };
  EXPECT_EQ(ForEach(look), 2u);
  EXPECT_EQ(types, (std::vector<uint32_t>{4, 1}));
  EXPECT_FALSE(transports[1].touched);
  EXPECT_FALSE(transports[2].touched);
}

TEST(VirtioMmio, AcceptsVersion1WhereThereIsOne) {
  transports = {{}, {.version = 2}};
  std::vector<bool> accepted;
  ForEach([&](drivers::VirtioTransport& device) {
    accepted.push_back(device.AcceptFeatures());
    device.SetStatus(5);
    EXPECT_EQ(device.Status(), 5u);
  });
  EXPECT_EQ(accepted, (std::vector<bool>{false, true}));
  EXPECT_EQ(transports[0].features, 0u);
  EXPECT_EQ(transports[1].features, uint64_t{1} << 32);
}

TEST(VirtioMmio, HandsAQueueOverInBothFormats) {
  const auto page = khocore::PhysAddr::FromRaw(0x1'2345'6000);
  transports = {{}, {.version = 2}, {.maximum = 2}};
  std::vector<bool> enabled;
  ForEach([&](drivers::VirtioTransport& device) {
    enabled.push_back(device.EnableQueue({page}));
    if (enabled.back()) device.Notify();
  });
  EXPECT_EQ(enabled, (std::vector<bool>{true, true, false}));
  using Registers = std::map<uint64_t, uint32_t>;
  EXPECT_EQ(
      transports[0].written,
      (Registers{{0x28, 4096}, {0x30, 0}, {0x38, 4}, {0x3c, 1024}, {0x40, 0x123456}, {0x50, 0}}));
  EXPECT_EQ(transports[1].written, (Registers{{0x30, 0},
                                              {0x38, 4},
                                              {0x44, 1},
                                              {0x50, 0},
                                              {0x80, 0x23456000},
                                              {0x84, 1},
                                              {0x90, 0x23456040},
                                              {0x94, 1},
                                              {0xa0, 0x23456400},
                                              {0xa4, 1}}));
}

}  // namespace

// The machine that the driver runs on.
namespace arch {

void ForEachVirtioTransport(khocore::FunctionRef<void(khocore::PhysAddr)> visit) {
  for (size_t i = 0; i < transports.size(); ++i) visit(khocore::PhysAddr::FromRaw(i << 9));
}

uint32_t ReadDevice(khocore::PhysAddr address) {
  Transport& transport = transports[address.raw() >> 9];
  switch (address.raw() & 0x1ff) {
    case 0x00:
      return transport.magic;
    case 0x04:
      return transport.version;
    case 0x08:
      return transport.device;
    case 0x34:
      return transport.maximum;
    case 0x70:
      return transport.status;
  }
  ADD_FAILURE() << "read at " << address.raw();
  return 0;
}

void WriteDevice(khocore::PhysAddr address, uint32_t value) {
  Transport& transport = transports[address.raw() >> 9];
  const uint64_t at = address.raw() & 0x1ff;
  transport.touched = true;
  switch (at) {
    case 0x20:
      transport.features |= uint64_t{value} << (32 * transport.selected);
      break;
    case 0x24:
      transport.selected = value;
      break;
    case 0x70:
      transport.status = value;
      break;
    default:
      EXPECT_TRUE((at >= 0x28 && at <= 0x50) || (at >= 0x80 && at <= 0xa4)) << "write at " << at;
      transport.written[at] = value;
  }
}

}  // namespace arch
