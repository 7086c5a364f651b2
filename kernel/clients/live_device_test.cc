// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/live_device.h"

#include <gtest/gtest.h>
#include <string.h>

#include "kernel/handover/testing/test_kernel.h"
#include "khocore/abi/clients.h"

namespace clients {
namespace {

using handover::CodeOf;
using handover::TestKernel;
using handover::TestRam;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::PhysAddr;
namespace abi = khocore::abi;

// The host has no PCI, so everything but the device itself is looked at here.

uint64_t Address(const void* at) { return reinterpret_cast<uint64_t>(at); }

/// A description of a device that would write to `page`.
abi::LiveDevice Description(uint64_t page) {
  return {.kind = "edu",
          .function = 0x18,
          .bytes = sizeof(abi::LiveRecord),
          .registers = 0xf0000000,
          .page = page,
          .bus_address = page,
          .offset = 0x400,
          .count = 3};
}

/// What restoring a description ends with after `change(state, size)`.
template <typename Change>
ErrorCode Restore(Change change) {
  TestRam ram;
  TestKernel first(ram);
  first.Begin();
  abi::LiveDevice state = Description(Address(first.PreservePage()));
  uint64_t size = sizeof(state);
  change(&state, &size);
  uint8_t* const blob = first.PreservePage();
  memcpy(blob, &state, sizeof(state));
  EXPECT_TRUE(
      first.outgoing.AddLink(abi::kLiveDeviceNode, {PhysAddr::FromRaw(Address(blob)), size}).ok());
  TestKernel second(ram, 2, first.Close());
  LiveDevice device;
  return CodeOf(device.Restore(second.incoming));
}

using State = abi::LiveDevice;

TEST(LiveDeviceTest, AMachineWithoutOneCannotPlay) {
  TestRam ram;
  TestKernel first(ram);
  LiveDevice device;
  EXPECT_EQ(CodeOf(device.Create(first.generation)), ErrorCode::kNotFound);
}

TEST(LiveDeviceTest, ADeviceThatIsNotThereIsNotTakenOver) {
  EXPECT_EQ(Restore([](State*, uint64_t*) {}), ErrorCode::kNotFound);
}

TEST(LiveDeviceTest, ItsPageMustBePreserved) {
  EXPECT_EQ(Restore([](State* state, uint64_t*) { state->page += 64 * kPageSize; }),
            ErrorCode::kNotPreserved);
}

TEST(LiveDeviceTest, RefusesWhatCannotBeFollowed) {
  EXPECT_EQ(Restore([](State* state, uint64_t*) { *state = {}; }), ErrorCode::kMagic);
  EXPECT_EQ(Restore([](State*, uint64_t* size) { --*size; }), ErrorCode::kBlobSizeRange);
  EXPECT_EQ(Restore([](State* state, uint64_t*) { state->kind[0] = 'E'; }), ErrorCode::kMagic);
  EXPECT_EQ(Restore([](State* state, uint64_t*) { state->page += 8; }), ErrorCode::kUnaligned);
  EXPECT_EQ(Restore([](State* state, uint64_t*) { state->bus_address += 8; }),
            ErrorCode::kUnaligned);
  EXPECT_EQ(Restore([](State* state, uint64_t*) { state->offset = 0xff8; }),
            ErrorCode::kBlobSizeRange);
  EXPECT_EQ(Restore([](State* state, uint64_t*) { state->bytes = 4096; }),
            ErrorCode::kBlobSizeRange);
}

TEST(LiveDeviceTest, NoDescriptionIsAnError) {
  TestRam ram;
  TestKernel first(ram);
  first.Begin();
  TestKernel second(ram, 2, first.Close());
  LiveDevice device;
  EXPECT_EQ(CodeOf(device.Restore(second.incoming)), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace clients
