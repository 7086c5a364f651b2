// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/kho_test.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>
#include <vector>

#include "kernel/base/direct_map.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"
#include "khocore/vmalloc.h"

namespace clients {
namespace {

using handover::CodeOf;
using handover::Count;
using handover::Printed;
using handover::TestKernel;
using handover::TestRam;
using khocore::Block;
using khocore::ErrorCode;
using khocore::FragmentWriter;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
namespace abi = khocore::abi;

/// What another kernel says of its folios.
struct Said {
  uint32_t count;
  abi::Vmalloc list;
  uint32_t sum;
};

template <typename T>
void Put(FragmentWriter& writer, const char* name, const T& value, size_t size = sizeof(T)) {
  (void)writer.Property(name, {reinterpret_cast<const uint8_t*>(&value), size});
}

/// Ones' complement sum of 32-bit words: csum_partial where it folds to 32 bits.
uint32_t Sum(const std::vector<Block>& folios) {
  uint64_t sum = 0;
  for (const Block folio : folios) {
    const auto* word = base::Direct<const uint32_t>(folio.begin());
    for (uint64_t i = 0; i < folio.bytes() / 4; ++i) {
      sum += word[i];
      if (sum > UINT32_MAX) sum -= UINT32_MAX;
    }
  }
  return static_cast<uint32_t>(sum);
}

class KhoTestTest : public testing::Test {
 protected:
  KhoTestTest() { first_.Begin(1); }

  Block Folio(unsigned log2, unsigned preserved_log2) {
    const auto frame = first_.memory.allocator.Allocate(Order::FromLog2(log2));
    EXPECT_TRUE(frame.ok());
    EXPECT_TRUE(
        first_.outgoing.tracker().Preserve({frame.value(), Order::FromLog2(preserved_log2)}).ok());
    const Block folio{frame.value(), Order::FromLog2(log2)};
    auto* word = base::Direct<uint64_t>(folio.begin());
    for (uint64_t i = 0; i < folio.bytes() / 8; ++i) word[i] = i * 0x9e3779b97f4a7c15;
    return folio;
  }

  /// A list of one page with these entries.
  abi::Vmalloc List(const std::vector<uint64_t>& entries) {
    uint8_t* const page = first_.PreservePage();
    memcpy(page, entries.data(), entries.size() * sizeof(uint64_t));
    return ListOf(PageFrame::Containing(PhysAddr::FromRaw(reinterpret_cast<uint64_t>(page))),
                  Order());
  }

  abi::Vmalloc ListOf(PageFrame block, Order order) {
    const auto list =
        khocore::WriteVmalloc(first_.memory.physical, first_.memory.allocator, {&block, 1}, order);
    EXPECT_TRUE(list.ok());
    const PageFrame chunk = PageFrame::Containing(PhysAddr::FromRaw(list.value().first));
    EXPECT_TRUE(first_.outgoing.tracker().Preserve({chunk, Order()}).ok());
    return list.value();
  }

  std::string Check(const Said& said) {
    return CheckFragment([&](FragmentWriter& writer) {
      Put(writer, "magic", abi::kKhoTestMagic);
      (void)writer.BeginNode(abi::kKhoTestData);
      Put(writer, "nr_folios", said.count);
      Put(writer, "folios_info", said.list);
      Put(writer, "csum", said.sum);
      (void)writer.EndNode();
    });
  }

  template <typename Fill>
  std::string CheckFragment(Fill fill) {
    const PhysRange fragment = first_.WriteFragment(abi::kKhoTestCompatible, fill);
    EXPECT_TRUE(first_.outgoing.AddClient(abi::kKhoTestClient, fragment).ok());
    TestKernel second(ram_, 2, first_.Close());
    return Printed([&] { code_ = CodeOf(KhoTest::Check(second.incoming)); });
  }

  TestRam ram_{uint64_t{64} << 20};
  TestKernel first_{ram_};
  ErrorCode code_ = ErrorCode::kCount;
};

TEST_F(KhoTestTest, ItsOwnFoliosComeBack) {
  KhoTest made;
  ASSERT_OK(made.Create(first_.generation));
  ASSERT_OK(made.Preserve(first_.outgoing));
  ASSERT_OK(made.Serialize(first_.outgoing));
  TestKernel second(ram_, 2, first_.Close());
  const std::string printed = Printed([&] { ASSERT_OK(KhoTest::Check(second.incoming)); });
  EXPECT_EQ(Count(printed, "\"bytes\":8388608,\"ok\":true"), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"ev\":\"fail\""), 0u) << printed;
}

TEST_F(KhoTestTest, MakesAsManyMegabytesAsTheListCanName) {
  const auto create = [&](uint64_t megabytes) {
    first_.options.megabytes = megabytes;
    KhoTest made;
    return CodeOf(made.Create(first_.generation));
  };
  EXPECT_EQ(create(1), ErrorCode::kCount);
  EXPECT_EQ(create(32), ErrorCode::kCount);
  EXPECT_EQ(create(33), ErrorCode::kNoSpace);
}

TEST_F(KhoTestTest, ASumIsLinuxs) {
  const Block one = Folio(0, 0);
  const Block two = Folio(3, 3);
  const uint32_t sum = Sum({one, two});
  const std::string printed = Check({2, List({one.begin().raw(), two.begin().raw() | 3}), sum});
  EXPECT_EQ(code_, ErrorCode::kCount);
  EXPECT_EQ(Count(printed, "\"folios\":2,\"bytes\":36864,\"ok\":true"), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"ev\":\"fail\""), 0u) << printed;
}

TEST_F(KhoTestTest, AnotherSumIsAFailure) {
  const Block folio = Folio(1, 1);
  const std::string printed = Check({1, List({folio.begin().raw() | 1}), Sum({folio}) ^ 1});
  EXPECT_EQ(Count(printed, "\"ok\":false"), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"ev\":\"fail\""), 1u) << printed;
}

TEST_F(KhoTestTest, FewerFoliosThanTheCountAreAFailure) {
  const Block folio = Folio(0, 0);
  const std::vector<uint64_t> entries(kPageSize / sizeof(uint64_t), folio.begin().raw());
  const std::string printed =
      Check({513, List(entries), Sum(std::vector<Block>(entries.size(), folio))});
  EXPECT_EQ(Count(printed, "\"folios\":512"), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"ev\":\"fail\""), 1u) << printed;
}

TEST_F(KhoTestTest, ComparesTheOrderOfAFolio) {
  const Block folio = Folio(3, 2);
  Check({1, List({folio.begin().raw() | 3}), 0});
  EXPECT_EQ(code_, ErrorCode::kNotPreserved);
}

TEST_F(KhoTestTest, AnOrderHasMoreThanEightBits) {
  const Block folio = Folio(0, 0);
  Check({1, List({folio.begin().raw() | 256}), Sum({folio})});
  EXPECT_EQ(code_, ErrorCode::kOrderRange) << "256 is not 0";
}

TEST_F(KhoTestTest, AnOrderBeyondAnyMachineIsRefused) {
  const Block folio = Folio(0, 0);
  Check({1, List({folio.begin().raw() | (khocore::kMaxOrder + 1)}), 0});
  EXPECT_EQ(code_, ErrorCode::kOrderRange);
}

TEST_F(KhoTestTest, AFolioThatIsNotPreservedIsNotRead) {
  const auto frame = first_.memory.allocator.AllocatePage();
  Check({1, List({frame.value().address().raw()}), 0});
  EXPECT_EQ(code_, ErrorCode::kNotPreserved);
}

TEST_F(KhoTestTest, AFolioOutsideRamIsNotRead) {
  Check({1, List({(uint64_t{1} << 51) - kPageSize}), 0});
  EXPECT_EQ(code_, ErrorCode::kNotPreserved);
}

TEST_F(KhoTestTest, ComparesTheOrderOfTheList) {
  const Block block = Folio(1, 0);
  Check({0, ListOf(block.frame, Order::FromLog2(1)), 0});
  EXPECT_EQ(code_, ErrorCode::kNotPreserved);
}

TEST_F(KhoTestTest, RefusesPropertiesOfOtherLengths) {
  CheckFragment([&](FragmentWriter& writer) {
    (void)writer.BeginNode(abi::kKhoTestData);
    Put(writer, "nr_folios", uint64_t{1});
    (void)writer.EndNode();
  });
  EXPECT_EQ(code_, ErrorCode::kPropertySize);
}

TEST_F(KhoTestTest, RefusesAShortList) {
  CheckFragment([&](FragmentWriter& writer) {
    (void)writer.BeginNode(abi::kKhoTestData);
    Put(writer, "nr_folios", uint32_t{1});
    Put(writer, "folios_info", abi::Vmalloc{}, sizeof(abi::Vmalloc) - 4);
    (void)writer.EndNode();
  });
  EXPECT_EQ(code_, ErrorCode::kPropertySize);
}

TEST_F(KhoTestTest, RefusesAFragmentWithoutData) {
  CheckFragment([](FragmentWriter&) {});
  EXPECT_EQ(code_, ErrorCode::kNotFound);
}

TEST_F(KhoTestTest, RefusesAnotherFormat) {
  const PhysRange fragment = first_.WriteFragment("kho-test-v2", [](FragmentWriter&) {});
  ASSERT_OK(first_.outgoing.AddClient(abi::kKhoTestClient, fragment));
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_EQ(CodeOf(KhoTest::Check(second.incoming)), ErrorCode::kCompatibleMismatch);
}

TEST_F(KhoTestTest, NothingIsHandedOverThatWasNotMade) {
  const KhoTest none;
  EXPECT_TRUE(none.Preserve(first_.outgoing).ok());
  EXPECT_TRUE(none.Serialize(first_.outgoing).ok());
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_EQ(Printed([&] { EXPECT_TRUE(KhoTest::Check(second.incoming).ok()); }), "");
}

}  // namespace
}  // namespace clients
