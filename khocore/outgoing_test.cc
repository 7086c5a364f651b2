// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/outgoing.h"

#include <gtest/gtest.h>
#include <libfdt.h>
#include <string.h>

#include <string>

#include "khocore/fragment_reader.h"
#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr PhysRange kBlob{PhysAddr::FromRaw(TestMachine::kFree), 73};

class OutgoingTest : public testing::Test {
 protected:
  OutgoingTest()
      : tracker_(Tracker::Create(machine_.memory, machine_.pages).value()),
        outgoing_(Outgoing::Create(machine_.memory, machine_.pages, tracker_).value()) {}
  uint64_t root() { return outgoing_.root().address().raw(); }
  FragmentReader Read() {
    return FragmentReader::Open(machine_.memory, {Addr(root()), kPageSize}).value();
  }
  const void* fdt() { return machine_.At(root()); }

  TestMachine machine_;
  Tracker tracker_;
  Outgoing outgoing_;
};

TEST_F(OutgoingTest, EmptyRootIsCompleteAndPreserved) {
  const FragmentReader reader = Read();
  EXPECT_TRUE(tracker_.IsPreserved(BlockAt(root(), 0)));
  const Span<const uint8_t> compatible = reader.Property(reader.root(), "compatible").value();
  EXPECT_EQ(std::string(compatible.begin(), compatible.end()), std::string("kho-v4\0", 7));
  EXPECT_EQ(reader.PropertyU64(reader.root(), "preserved-memory-map").value(),
            tracker_.root().address().raw());
  ASSERT_OK(reader.ForEachSubnode(reader.root(), [](FragmentNode, const char*) -> Status {
    return Error{ErrorCode::kOverlap, PhysAddr()};
  }));
  EXPECT_EQ(fdt_check_full(fdt(), kPageSize), 0);
  EXPECT_EQ(fdt_totalsize(fdt()), kPageSize);
  EXPECT_EQ(fdt_version(fdt()), 17u);
  EXPECT_EQ(fdt_num_mem_rsv(fdt()), 0);
}

TEST_F(OutgoingTest, ClientIsTwoRawNumbers) {
  ASSERT_OK(outgoing_.AddClient("kexec-metadata", {Addr(0x1122334455667788), 0x49}));
  const FragmentReader reader = Read();
  const FragmentNode node = reader.Subnode(reader.root(), "kexec-metadata").value();
  const auto data = reader.Property(node, "preserved-data").value();
  EXPECT_EQ(std::string(data.begin(), data.end()), "\x88\x77\x66\x55\x44\x33\x22\x11");
  const auto size = reader.Property(node, "blob-size").value();
  EXPECT_EQ(std::string(size.begin(), size.end()), std::string("\x49\0\0\0\0\0\0\0", 8));
  // And nothing else.
  int count = 0;
  for (int p = fdt_first_property_offset(fdt(), fdt_path_offset(fdt(), "/kexec-metadata")); p >= 0;
       p = fdt_next_property_offset(fdt(), p)) {
    ++count;
  }
  EXPECT_EQ(count, 2);
}

/// What libfdt's read-write functions make of the same clients, as Linux does.
TEST_F(OutgoingTest, RootIsWhatLibfdtWrites) {
  alignas(8) char want[kPageSize];
  const uint64_t map = tracker_.root().address().raw();
  ASSERT_EQ(fdt_create_empty_tree(want, kPageSize), 0);
  ASSERT_EQ(fdt_setprop_string(want, 0, "compatible", "kho-v4"), 0);
  ASSERT_EQ(fdt_setprop(want, 0, "preserved-memory-map", &map, sizeof(map)), 0);
  uint64_t data = 0x1000;
  for (const char* name : {"a", "kexec-metadata", "", "abc", "a-name-that-is-long"}) {
    const uint64_t size = data / 2;
    const int node = fdt_add_subnode(want, 0, name);
    ASSERT_GT(node, 0);
    ASSERT_EQ(fdt_setprop(want, node, "preserved-data", &data, sizeof(data)), 0);
    ASSERT_EQ(fdt_setprop(want, node, "blob-size", &size, sizeof(size)), 0);
    ASSERT_OK(outgoing_.AddClient(name, {Addr(data), size}));
    ASSERT_EQ(memcmp(fdt(), want, kPageSize), 0) << name;
    data += 0x1000;
  }
}

TEST_F(OutgoingTest, NamesMatchWhole) {
  ASSERT_OK(outgoing_.AddClient("khorig@1", kBlob));
  EXPECT_ERROR(Read().Subnode(Read().root(), "khorig"), ErrorCode::kNotFound,
               Read().NodeAddress(Read().root()).raw());
  ASSERT_OK(outgoing_.AddClient("khorig", {Addr(0x5000), 1}));
  ASSERT_OK(outgoing_.AddClient("khori", {Addr(0x6000), 2}));
  const auto link = [&](const char* name) {
    return Read().Link(Read().Subnode(Read().root(), name).value()).value();
  };
  EXPECT_EQ(link("khorig@1"), kBlob);
  EXPECT_EQ(link("khorig"), (PhysRange{Addr(0x5000), 1}));
  EXPECT_EQ(link("khori"), (PhysRange{Addr(0x6000), 2}));
  EXPECT_ERROR(outgoing_.AddClient("khorig@1", kBlob), ErrorCode::kAlreadyPreserved, root());
}

TEST_F(OutgoingTest, RefusesARootThatWasOverwritten) {
  memset(machine_.At(root()) + 64, 0xff, 4);
  EXPECT_ERROR(outgoing_.AddClient("a", kBlob), ErrorCode::kFdtStructure, root());
}

TEST_F(OutgoingTest, RefusalsLeaveTheRootAsItWas) {
  ASSERT_OK(outgoing_.AddClient("a", kBlob));
  const std::string before = machine_.Page(root());
  EXPECT_ERROR(outgoing_.AddClient("a", {Addr(0x5000), 1}), ErrorCode::kAlreadyPreserved, root());
  EXPECT_ERROR(outgoing_.AddClient("b", {Addr(0x5000), 0}), ErrorCode::kBlobSizeRange, 0x5000u);
  EXPECT_ERROR(outgoing_.AddClient(std::string(kPageSize, 'n').c_str(), kBlob), ErrorCode::kNoSpace,
               root());
  EXPECT_EQ(machine_.Page(root()), before);
}

/// Names of each length, so that the page ends with each number of bytes left.
class FullRootTest : public OutgoingTest, public testing::WithParamInterface<size_t> {};

TEST_P(FullRootTest, IsAsBeforeWhenNoMoreFits) {
  uint64_t count = 0;
  const auto name = [&](uint64_t i) {
    std::string text = std::to_string(i);
    return text + std::string(GetParam() > text.size() ? GetParam() - text.size() : 0, 'x');
  };
  std::string before = machine_.Page(root());
  for (;; ++count) {
    const Status status = outgoing_.AddClient(name(count).c_str(), kBlob);
    if (!status.ok()) {
      EXPECT_ERROR(status, ErrorCode::kNoSpace, root());
      break;
    }
    before = machine_.Page(root());
  }
  EXPECT_EQ(machine_.Page(root()), before);
  const FragmentReader reader = Read();
  for (uint64_t i = 0; i < count; ++i) {
    EXPECT_EQ(reader.Link(reader.Subnode(reader.root(), name(i).c_str()).value()).value(), kBlob);
  }
  // The refusal was right: what is left is less than a client takes (a tag, the name, two
  // properties of 12 + 8 bytes, a tag).
  const uint64_t used = fdt_off_dt_strings(fdt()) + fdt_size_dt_strings(fdt());
  const uint64_t needed = 4 + AlignUp(name(count).size() + 1, 4) + 2 * 20 + 4;
  EXPECT_GT(used + needed, kPageSize);
}

INSTANTIATE_TEST_SUITE_P(NameLengths, FullRootTest,
                         testing::Values(1, 2, 3, 4, 7, 11, 15, 19, 23, 31, 100, 1000, 1900, 3867,
                                         3868, 3871, 3872, 3873, 3876, 3880));

TEST(OutgoingAllocationTest, EveryFailureGivesEverythingBack) {
  for (uint64_t call = 0;; ++call) {
    TestMachine machine;
    Tracker tracker = Tracker::Create(machine.memory, machine.pages).value();
    const auto before = TreePages(machine, tracker.root());
    machine.pages.FailAt(call);
    const auto outgoing = Outgoing::Create(machine.memory, machine.pages, tracker);
    if (outgoing.ok()) {
      EXPECT_EQ(call, 6u);  // the root and five nodes
      return;
    }
    EXPECT_ERROR(outgoing, ErrorCode::kOutOfMemory, 0u);
    EXPECT_EQ(machine.pages.out().size(), 1u);
    EXPECT_EQ(TreePages(machine, tracker.root()), before);
  }
}

TEST_F(OutgoingTest, PageOutsideRam) {
  TestPages outside(machine_.memory, {Addr(0x7000), kPageSize});
  EXPECT_ERROR(Outgoing::Create(machine_.memory, outside, tracker_), ErrorCode::kOutsideRam,
               0x7000u);
  EXPECT_TRUE(outside.out().empty());
}

}  // namespace
}  // namespace khocore
