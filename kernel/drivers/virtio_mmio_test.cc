// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/virtio_mmio.h"

#include <gtest/gtest.h>

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
  unsigned reads_until_reset = 0;  // a device takes its time
  bool resetting = false;
  bool touched = false;
};

std::vector<Transport> transports;

TEST(VirtioMmio, ResetsEveryDeviceInUse) {
  transports = {{}, {.device = 0}, {.magic = 0}, {.version = 2}, {.reads_until_reset = 3}};
  EXPECT_EQ(drivers::StopVirtioDevices(), 0u);
  EXPECT_EQ(drivers::StartVirtioDevices(), 3u);
  EXPECT_EQ(transports[0].status, 7u);
  EXPECT_EQ(transports[3].status, 15u);
  EXPECT_EQ(transports[3].features, uint64_t{1} << 32);
  EXPECT_EQ(transports[4].status, 7u);
  EXPECT_EQ(drivers::StopVirtioDevices(), 3u);
  for (const Transport& transport : transports) EXPECT_EQ(transport.status, 0u);
  EXPECT_FALSE(transports[1].touched);
  EXPECT_FALSE(transports[2].touched);
}

TEST(VirtioMmio, ResetsADeviceThatWasOnlyAcknowledged) {
  transports = {{.status = 1}};
  EXPECT_EQ(drivers::StopVirtioDevices(), 1u);
  EXPECT_EQ(transports[0].status, 0u);
}

}  // namespace

// The machine that the driver runs on.
namespace arch {

void Pause() {}

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
    case 0x70:
      if (transport.resetting && transport.reads_until_reset-- == 0) {
        transport.resetting = false;
        transport.status = 0;
      }
      return transport.status;
  }
  ADD_FAILURE() << "read at " << address.raw();
  return 0;
}

void WriteDevice(khocore::PhysAddr address, uint32_t value) {
  Transport& transport = transports[address.raw() >> 9];
  transport.touched = true;
  switch (address.raw() & 0x1ff) {
    case 0x20:
      transport.features |= uint64_t{value} << (32 * transport.selected);
      break;
    case 0x24:
      transport.selected = value;
      break;
    case 0x70:
      if (value == 0 && transport.reads_until_reset != 0) {
        transport.resetting = true;
      } else {
        transport.status = value;
      }
      break;
    default:
      ADD_FAILURE() << "write at " << address.raw();
  }
}

}  // namespace arch
