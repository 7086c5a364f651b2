// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/reserved_memory.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>

#include "kernel/arch/exit.h"
#include "kernel/base/direct_map.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"

namespace clients {
namespace {

using handover::CodeOf;
using handover::Count;
using handover::Printed;
using handover::TestKernel;
using handover::TestRam;
using khocore::ErrorCode;
using khocore::FragmentWriter;
using khocore::kPageSize;
using khocore::Order;
using khocore::PhysAddr;
using khocore::PhysRange;
namespace abi = khocore::abi;

class ReservedMemoryTest : public testing::Test {
 protected:
  void Ask(const char* name, uint64_t size, uint64_t alignment) {
    auto& reserved = first_.options.reserved[first_.options.reserved_count++];
    reserved.size = size;
    reserved.alignment = alignment;
    strcpy(reserved.name, name);  // NOLINT
  }

  PhysAddr HandOver(const ReservedMemory& memory) {
    first_.Begin(1);
    EXPECT_TRUE(memory.Preserve(first_.outgoing).ok());
    EXPECT_TRUE(memory.Serialize(first_.outgoing).ok());
    return first_.Close();
  }

  /// What restoring another kernel's list says, which `fill` writes.
  template <typename Fill>
  ErrorCode RestoreOf(Fill fill) {
    TestKernel first(ram_);
    first.Begin();
    const PhysRange list = first.WriteFragment(
        abi::kMemblockCompatible, [&](FragmentWriter& writer) { fill(first, writer); });
    EXPECT_TRUE(first.outgoing.AddClient(abi::kMemblockClient, list).ok());
    TestKernel second(ram_, 2, first.Close());
    ErrorCode code = ErrorCode::kCount;
    printed_ = Printed([&] {
      ReservedMemory restored;
      code = CodeOf(restored.Restore(second.incoming));
    });
    return code;
  }

  static void Area(FragmentWriter& writer, const std::string& name, PhysRange range) {
    (void)writer.BeginNode(name.c_str());
    (void)writer.PropertyString("compatible", abi::kReserveMemCompatible);
    (void)writer.PropertyU64("start", range.begin.raw());
    (void)writer.PropertyU64("size", range.size);
    (void)writer.EndNode();
  }

  static PhysRange Preserved(TestKernel& kernel, unsigned log2 = 0) {
    const Order order = Order::FromLog2(log2);
    const auto block = kernel.memory.allocator.Allocate(order);
    EXPECT_TRUE(block.ok());
    EXPECT_TRUE(kernel.outgoing.tracker().Preserve({block.value(), order}).ok());
    return {block.value().address(), order.bytes()};
  }

  TestRam ram_;
  TestKernel first_{ram_};
  std::string printed_;
};

TEST_F(ReservedMemoryTest, StaysAtItsAddressWithItsContent) {
  Ask("one", 3 * kPageSize, kPageSize);
  Ask("two", uint64_t{1} << 20, uint64_t{1} << 20);
  ReservedMemory made;
  ASSERT_OK(made.Create(first_.generation));
  const PhysAddr root = HandOver(made);
  TestKernel second(ram_, 2, root);
  ReservedMemory restored;
  const std::string printed = Printed([&] {
    ASSERT_OK(restored.Restore(second.incoming));
    restored.Verify(second.incoming);
  });
  EXPECT_EQ(Count(printed, "revived reserved memory 'one' at 0x"), 1u) << printed;
  EXPECT_EQ(Count(printed, "revived reserved memory 'two' at 0x"), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"ev\":\"fail\""), 0u) << printed;
  EXPECT_EQ(second.incoming.restored().pages, 3 + 256 + 1u);
}

/// In `relay` there is no ledger to find it.
TEST_F(ReservedMemoryTest, AWordInTheMiddleOfAPageIsLookedAt) {
  Ask("one", 2 * kPageSize, kPageSize);
  ReservedMemory made;
  ASSERT_OK(made.Create(first_.generation));
  const PhysAddr root = HandOver(made);
  TestKernel second(ram_, 2, root);
  ReservedMemory restored;
  Printed([&] { ASSERT_OK(restored.Restore(second.incoming)); });
  const auto list = second.incoming.Find(abi::kMemblockClient);
  ASSERT_OK(list);
  const auto fragment = khocore::FragmentReader::Open(second.memory.physical, list.value());
  ASSERT_OK(fragment);
  const auto node = fragment.value().Subnode(fragment.value().root(), "one");
  ASSERT_OK(node);
  const auto start = fragment.value().PropertyU64(node.value(), "start");
  ASSERT_OK(start);
  for (const uint64_t at : {uint64_t{8}, kPageSize / 2, 2 * kPageSize - 9}) {
    auto* byte = base::Direct<uint8_t>(PhysAddr::FromRaw(start.value() + at));
    *byte ^= 0x80;
    const std::string printed = Printed([&] { restored.Verify(second.incoming); });
    EXPECT_EQ(Count(printed, "lost its content"), 1u) << "byte " << at;
    *byte ^= 0x80;
  }
  EXPECT_EQ(Printed([&] { restored.Verify(second.incoming); }), "");
}

TEST_F(ReservedMemoryTest, NothingAskedForIsNothingHandedOver) {
  ReservedMemory none;
  ASSERT_OK(none.Create(first_.generation));
  TestKernel second(ram_, 2, HandOver(none));
  EXPECT_FALSE(second.incoming.Find(abi::kMemblockClient).ok());
  ReservedMemory restored;
  EXPECT_TRUE(restored.Restore(second.incoming).ok());
}

TEST_F(ReservedMemoryTest, TooMuchEndsTheMachine) {
  Ask("much", ram_.all.size, kPageSize);
  ReservedMemory made;
  EXPECT_MACHINE_END((void)made.Create(first_.generation), arch::ExitStatus::kNoMemory,
                     "reserve_mem=much");
}

TEST_F(ReservedMemoryTest, RefusesAreasThatAreNoPages) {
  const auto with = [&](uint64_t start_offset, uint64_t size) {
    return RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
      Area(writer, "a", {Preserved(kernel).begin + start_offset, size});
    });
  };
  EXPECT_EQ(with(0, kPageSize), ErrorCode::kCount);
  EXPECT_EQ(with(8, kPageSize), ErrorCode::kPropertySize);
  EXPECT_EQ(with(0, kPageSize - 8), ErrorCode::kPropertySize);
  EXPECT_EQ(with(0, 0), ErrorCode::kPropertySize);
  EXPECT_EQ(with(0, 0 - kPageSize), ErrorCode::kPropertySize) << "wraps";
}

TEST_F(ReservedMemoryTest, RefusesAreasThatAreNotWhatWasPreserved) {
  EXPECT_EQ(RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
              const PhysRange block = Preserved(kernel, 1);
              Area(writer, "a", {block.begin, kPageSize});
            }),
            ErrorCode::kOverlap);
  EXPECT_EQ(RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
              const PhysRange block = Preserved(kernel, 1);
              Area(writer, "a", {block.begin + kPageSize, kPageSize});
            }),
            ErrorCode::kNotPreserved);
  EXPECT_EQ(RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
              const PhysRange block = Preserved(kernel, 1);
              Area(writer, "a", block);
              Area(writer, "b", block);
            }),
            ErrorCode::kNotPreserved);
}

TEST_F(ReservedMemoryTest, RefusesPropertiesThatAreNotThere) {
  EXPECT_EQ(RestoreOf([](TestKernel&, FragmentWriter& writer) {
              (void)writer.BeginNode("a");
              (void)writer.PropertyU64("start", 0);
              (void)writer.EndNode();
            }),
            ErrorCode::kNotFound);
  EXPECT_EQ(RestoreOf([](TestKernel&, FragmentWriter& writer) {
              (void)writer.BeginNode("a");
              (void)writer.PropertyString("start", "0x1000");
              (void)writer.EndNode();
            }),
            ErrorCode::kPropertySize);
}

TEST_F(ReservedMemoryTest, HasRoomForNamesAndAreas) {
  const auto with_name = [&](size_t length) {
    return RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
      Area(writer, std::string(length, 'n'), Preserved(kernel));
    });
  };
  EXPECT_EQ(with_name(31), ErrorCode::kCount);
  EXPECT_EQ(with_name(32), ErrorCode::kNoSpace);
  const auto with_areas = [&](size_t count) {
    return RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
      for (size_t i = 0; i < count; ++i) {
        Area(writer, "area-" + std::to_string(i), Preserved(kernel));
      }
    });
  };
  EXPECT_EQ(with_areas(rig::Options::kMaxReserved), ErrorCode::kCount);
  EXPECT_EQ(with_areas(rig::Options::kMaxReserved + 1), ErrorCode::kNoSpace);
}

TEST_F(ReservedMemoryTest, ANameIsNoEvent) {
  EXPECT_EQ(RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
              Area(writer, "x\n@khorig {\"ev\":\"done\"}", Preserved(kernel));
            }),
            ErrorCode::kCount);
  EXPECT_EQ(Count(printed_, "\n"), 1u) << printed_;
  EXPECT_EQ(printed_.substr(0, 40), "revived reserved memory 'x\\x0a@khorig {\"");
}

}  // namespace
}  // namespace clients
