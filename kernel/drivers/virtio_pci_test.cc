// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/virtio_pci.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>
#include <vector>

namespace {

using arch::PciFunction;
using drivers::VirtioPci;

constexpr PciFunction kThere{1, 2, 3};
constexpr uint32_t kCommonOffset = 0x1000, kNotifyOffset = 0x3000;
constexpr unsigned kAccess = 0x70;

/// A function whose capabilities are as QEMU's are: notify, common, another vendor's, access.
struct Function {
  std::map<unsigned, uint32_t> config{
      {0x00, 0x10441af4},
      {0x04, 1 << 20},
      {0x2c, 0x00041af4},
      {0x34, 0x84},
      // notify: next 0x60, type 2
      {0x84, 0x02146009},
      {0x88, 0x00000004},
      {0x8c, kNotifyOffset},
      {0x94, 4},
      // common: next 0x50, type 1
      {0x60, 0x01105009},
      {0x64, 0x00000004},
      {0x68, kCommonOffset},
      // MSI-X: next 0x70
      {0x50, 0x00017011},
      // access: the last, type 5
      {kAccess, 0x05140009},
  };
  /// What was written into the BAR: offset, bytes, value.
  std::vector<std::tuple<uint32_t, uint32_t, uint32_t>> writes;
  std::map<uint32_t, uint32_t> bar{{kCommonOffset + 0x18, 1024}, {kCommonOffset + 0x1e, 3}};

  uint32_t at() { return config[kAccess + 8]; }
  uint32_t bytes() { return config[kAccess + 12]; }
};
Function* function = nullptr;

class VirtioPciTest : public testing::Test {
 protected:
  VirtioPciTest() { function = &function_; }
  ~VirtioPciTest() override { function = nullptr; }
  Function function_;
};

TEST_F(VirtioPciTest, IsToldByIdAndCapabilities) {
  VirtioPci device;
  EXPECT_TRUE(device.Open(kThere));
  EXPECT_EQ(device.DeviceType(), 4u);
  function_.config[0] = 0x10051af4;  // a transitional one has its type elsewhere
  function_.config[0x2c] = 0x00011af4;
  VirtioPci transitional;
  EXPECT_TRUE(transitional.Open(kThere));
  EXPECT_EQ(transitional.DeviceType(), 1u);
}

TEST_F(VirtioPciTest, IsNoOtherFunction) {
  for (const uint32_t id : {0x10445af4u, 0x0fff1af4u, 0x10801af4u}) {
    function_.config[0] = id;
    EXPECT_FALSE(VirtioPci().Open(kThere)) << id;
  }
  function_.config[0] = 0x107f1af4;
  EXPECT_TRUE(VirtioPci().Open(kThere));
}

TEST_F(VirtioPciTest, NeedsItsCapabilities) {
  const Function whole = function_;
  for (const unsigned capability : {0x84u, 0x60u, kAccess}) {
    function_ = whole;
    function_.config[capability] ^= 0x08000000;  // another type
    EXPECT_FALSE(VirtioPci().Open(kThere)) << capability;
  }
  function_ = whole;
  function_.config[4] = 0;
  EXPECT_FALSE(VirtioPci().Open(kThere)) << "no list";
  function_ = whole;
  function_.config[0x60] = 0x01106009;  // which refers to itself
  EXPECT_FALSE(VirtioPci().Open(kThere)) << "a loop";
}

TEST_F(VirtioPciTest, AccessesRegistersWithTheirSize) {
  VirtioPci device;
  ASSERT_TRUE(device.Open(kThere));
  device.SetStatus(0xf);
  function_.bar[kCommonOffset + 0x14] = 0xaaaaaa0b;
  EXPECT_EQ(device.Status(), 0xbu);
  EXPECT_EQ(function_.config[kAccess + 4], 4u) << "the BAR";
  EXPECT_TRUE(device.AcceptFeatures());
  const std::vector<std::tuple<uint32_t, uint32_t, uint32_t>> expected{
      {kCommonOffset + 0x14, 1, 0xf},
      {kCommonOffset + 0x08, 4, 0},
      {kCommonOffset + 0x0c, 4, 0},
      {kCommonOffset + 0x08, 4, 1},
      {kCommonOffset + 0x0c, 4, 1}};
  EXPECT_EQ(function_.writes, expected);
}

TEST_F(VirtioPciTest, HandsAQueueOverAndNotifies) {
  VirtioPci device;
  ASSERT_TRUE(device.Open(kThere));
  EXPECT_TRUE(device.EnableQueue({khocore::PhysAddr::FromRaw(0x1'2345'6000)}));
  device.Notify();
  const std::vector<std::tuple<uint32_t, uint32_t, uint32_t>> expected{
      {kCommonOffset + 0x16, 2, 0},
      {kCommonOffset + 0x18, 2, 4},
      {kCommonOffset + 0x20, 4, 0x23456000},
      {kCommonOffset + 0x24, 4, 1},
      {kCommonOffset + 0x28, 4, 0x23456040},
      {kCommonOffset + 0x2c, 4, 1},
      {kCommonOffset + 0x30, 4, 0x23456400},
      {kCommonOffset + 0x34, 4, 1},
      {kCommonOffset + 0x1c, 2, 1},
      {kCommonOffset + 0x16, 2, 0},
      {kNotifyOffset + 12, 2, 0}};
  EXPECT_EQ(function_.writes, expected);
}

TEST_F(VirtioPciTest, RefusesAQueueThatIsTooShort) {
  VirtioPci device;
  ASSERT_TRUE(device.Open(kThere));
  function_.bar[kCommonOffset + 0x18] = 2;
  EXPECT_FALSE(device.EnableQueue({khocore::PhysAddr::FromRaw(0x1000)}));
  EXPECT_EQ(function_.writes.size(), 1u);
}

}  // namespace

// The machine that the driver runs on.
namespace arch {

uint32_t ReadPciConfig(PciFunction at, unsigned offset) {
  EXPECT_EQ(std::make_tuple(at.bus, at.device, at.function), std::make_tuple(1u, 2u, 3u));
  if (offset == kAccess + 16) return function->bar[function->at()];
  return function->config[offset];
}

void WritePciConfig(PciFunction, unsigned offset, uint32_t value) {
  EXPECT_TRUE(offset >= kAccess + 4 && offset <= kAccess + 16) << offset;
  if (offset == kAccess + 16) {
    function->writes.emplace_back(function->at(), function->bytes(), value);
  } else {
    function->config[offset] = value;
  }
}

}  // namespace arch
