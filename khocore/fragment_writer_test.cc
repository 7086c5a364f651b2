// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/fragment_writer.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "khocore/fragment_reader.h"
#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kFree = TestMachine::kFree;

Span<const uint8_t> Bytes(const std::vector<uint8_t>& bytes) {
  return {bytes.data(), bytes.size()};
}

class FragmentWriterTest : public testing::Test {
 protected:
  FragmentWriterTest() : tracker_(Tracker::Create(machine_.memory, machine_.pages).value()) {
    // So that closing needs no more nodes, except where a test wants it to.
    EXPECT_TRUE(tracker_.Preserve(BlockAt(TestMachine::kPages, 0)).ok());
    idle_ = machine_.pages.out();
  }
  std::optional<FragmentWriter>& Open(const char* compatible = "x-v1") {
    writer_.emplace(machine_.memory, machine_.pages, tracker_, compatible);
    return writer_;
  }
  FragmentReader Read(PageFrame page) {
    const Result<FragmentReader> reader =
        FragmentReader::Open(machine_.memory, {page.address(), kPageSize});
    EXPECT_TRUE(reader.ok()) << Describe(reader);
    return reader.value();
  }

  TestMachine machine_;
  Tracker tracker_;
  std::optional<FragmentWriter> writer_;
  std::set<uint64_t> idle_;  ///< pages that are out when no fragment is
};

TEST_F(FragmentWriterTest, WritesWhatAReaderReads) {
  auto& writer = Open("khorig-v1");
  ASSERT_OK(writer->Property("bytes", Bytes({1, 2, 3})));
  ASSERT_OK(writer->BeginNode("outer"));
  ASSERT_OK(writer->PropertyU64("number", 0x1122334455667788));
  ASSERT_OK(writer->BeginNode("inner"));
  ASSERT_OK(writer->PropertyString("text", "hello"));
  ASSERT_OK(writer->EndNode());
  ASSERT_OK(writer->EndNode());
  ASSERT_OK(writer->Link("blob", Addr(0x12345000), 0x678));
  const Result<PageFrame> page = writer->Close();
  ASSERT_OK(page);
  EXPECT_TRUE(tracker_.IsPreserved({page.value(), Order::FromLog2(0)}));

  const FragmentReader reader = Read(page.value());
  EXPECT_STREQ(reader.PropertyString(reader.root(), "compatible").value(), "khorig-v1");
  EXPECT_EQ(reader.Property(reader.root(), "bytes").value().size, 3u);
  const FragmentNode outer = reader.Subnode(reader.root(), "outer").value();
  EXPECT_EQ(reader.PropertyU64(outer, "number").value(), 0x1122334455667788u);
  const FragmentNode inner = reader.Subnode(outer, "inner").value();
  EXPECT_STREQ(reader.PropertyString(inner, "text").value(), "hello");
  const PhysRange link = reader.Link(reader.Subnode(reader.root(), "blob").value()).value();
  EXPECT_EQ(link, (PhysRange{Addr(0x12345000), 0x678}));
}

/// The same calls to libfdt's sequential writer.
class LibfdtWriter {
 public:
  explicit LibfdtWriter(const char* compatible) {
    Check(fdt_create(bytes_, kPageSize));
    Check(fdt_finish_reservemap(bytes_));
    Check(fdt_begin_node(bytes_, ""));
    Check(fdt_property_string(bytes_, "compatible", compatible));
  }
  void BeginNode(const char* name) { Check(fdt_begin_node(bytes_, name)); }
  void EndNode() { Check(fdt_end_node(bytes_)); }
  void Property(const char* name, Span<const uint8_t> value) {
    Check(fdt_property(bytes_, name, value.data, static_cast<int>(value.size)));
  }
  void Link(const char* name, PhysAddr data, uint64_t size) {
    const uint64_t address = data.raw();
    BeginNode(name);
    Check(fdt_property(bytes_, "preserved-data", &address, sizeof(address)));
    Check(fdt_property(bytes_, "blob-size", &size, sizeof(size)));
    EndNode();
  }
  std::string Close() {
    EndNode();
    Check(fdt_finish(bytes_));
    return std::string(bytes_, fdt_totalsize(bytes_));
  }

 private:
  void Check(int error) { EXPECT_EQ(error, 0); }
  alignas(8) char bytes_[kPageSize];
};

TEST_F(FragmentWriterTest, BytesAreThoseOfLibfdt) {
  // Names that end in one another, more names than have their sizes kept, values of each padding.
  constexpr const char* kNames[] = {"size", "blob-size", "e", "", "data", "x-preserved-data"};
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    auto& writer = Open("x-v1");
    LibfdtWriter want("x-v1");
    unsigned depth = 0;
    bool may_put = true;
    const std::vector<uint8_t> bytes(40, static_cast<uint8_t>(round + 1));
    for (unsigned step = random() % 30; step > 0; --step) {
      const std::string number = std::to_string(random() % 30);
      switch (random() % 6) {
        case 0:
          (void)writer->BeginNode(number.c_str());
          want.BeginNode(number.c_str());
          ++depth;
          may_put = true;
          break;
        case 1:
          if (depth == 0) break;
          (void)writer->EndNode();
          want.EndNode();
          --depth;
          may_put = false;
          break;
        case 2:
          (void)writer->Link(number.c_str(), Addr(step), round);
          want.Link(number.c_str(), Addr(step), round);
          may_put = false;
          break;
        default: {
          if (!may_put) break;
          const char* name = step % 2 == 0 ? kNames[random() % 6] : number.c_str();
          const Span<const uint8_t> value{bytes.data(), random() % bytes.size()};
          if (random() % 2 == 0) {
            (void)writer->Property(name, value);
          } else {
            const Result<Span<uint8_t>> place = writer->PropertyInPlace(name, value.size);
            ASSERT_OK(place);
            ASSERT_EQ(place.value().size, value.size);
            std::copy(value.begin(), value.end(), place.value().data);
          }
          want.Property(name, value);
        }
      }
    }
    for (; depth > 0; --depth) {
      (void)writer->EndNode();
      want.EndNode();
    }
    const Result<PageFrame> page = writer->Close();
    ASSERT_OK(page);
    const std::string tree = want.Close();
    ASSERT_EQ(machine_.Page(page.value().address().raw()).substr(0, tree.size()), tree) << round;
    ASSERT_OK(tracker_.Unpreserve({page.value(), Order()}));
    machine_.pages.FreePage(page.value());
  }
}

TEST_F(FragmentWriterTest, NumbersAreCpuNative) {
  auto& writer = Open();
  ASSERT_OK(writer->PropertyU64("n", 0x0102030405060708));
  const Result<PageFrame> page = writer->Close();
  ASSERT_OK(page);
  const Span<const uint8_t> bytes =
      Read(page.value()).Property(FragmentReader::root(), "n").value();
  const uint64_t value = 0x0102030405060708;
  EXPECT_EQ(memcmp(bytes.data, &value, 8), 0);
  EXPECT_EQ(bytes[0], 8);  // the machines khorig knows are little-endian
}

TEST_F(FragmentWriterTest, FindsEachOfManyNamesAgain) {
  constexpr int kNames = 40;  // more than those whose sizes are kept
  auto& writer = Open();
  const auto name = [](int i) { return "name-" + std::to_string(i * i); };
  for (const char* node : {"a", "b"}) {
    ASSERT_OK(writer->BeginNode(node));
    for (int i = 0; i < kNames; ++i) ASSERT_OK(writer->PropertyU64(name(i).c_str(), i + 1u));
    ASSERT_OK(writer->EndNode());
  }
  const Result<PageFrame> page = writer->Close();
  ASSERT_OK(page);
  size_t strings = sizeof("compatible");
  for (int i = 0; i < kNames; ++i) strings += name(i).size() + 1;
  EXPECT_EQ(fdt_size_dt_strings(machine_.At(page.value().address().raw())), strings);
  const FragmentReader reader = Read(page.value());
  for (const char* node : {"a", "b"}) {
    const FragmentNode at = reader.Subnode(reader.root(), node).value();
    for (int i = 0; i < kNames; ++i) {
      const auto value = reader.PropertyU64(at, name(i).c_str());
      ASSERT_OK(value);
      EXPECT_EQ(value.value(), i + 1u);
    }
  }
}

TEST_F(FragmentWriterTest, ManyAreWrittenAtOnce) {
  FragmentWriter a(machine_.memory, machine_.pages, tracker_, "a-v1");
  FragmentWriter b(machine_.memory, machine_.pages, tracker_, "b-v1");
  ASSERT_OK(a.PropertyU64("n", 1));
  ASSERT_OK(b.PropertyU64("n", 2));
  const Result<PageFrame> page_a = a.Close();
  ASSERT_OK(page_a);
  ASSERT_OK(b.Link("a", page_a.value().address(), kPageSize));
  const Result<PageFrame> page_b = b.Close();
  ASSERT_OK(page_b);
  EXPECT_EQ(Read(page_a.value()).PropertyU64(FragmentReader::root(), "n").value(), 1u);
  EXPECT_EQ(Read(page_b.value()).PropertyU64(FragmentReader::root(), "n").value(), 2u);
}

// Header 48 (with padding), reservations 16, root 8, compatible "x-v1" 12 + 8, "fill" 12 + n, ends
// 8, strings "compatible" 11 and "fill" 5: 128 + n bytes.
constexpr size_t kFill = kPageSize - 128;

TEST_F(FragmentWriterTest, FillsAPageToTheLastByte) {
  auto& writer = Open();
  ASSERT_OK(writer->Property("fill", Bytes(std::vector<uint8_t>(kFill, 0xaa))));
  const Result<PageFrame> page = writer->Close();
  ASSERT_OK(page);
  const FragmentReader reader = Read(page.value());
  EXPECT_EQ(fdt_totalsize(machine_.At(page.value().address().raw())), kPageSize);
  EXPECT_EQ(reader.Property(reader.root(), "fill").value().size, kFill);
  const FragmentReader again = Read(page.value());
  EXPECT_STREQ(again.PropertyString(again.root(), "compatible").value(), "x-v1");
}

TEST_F(FragmentWriterTest, OneByteMoreIsNoSpace) {
  for (const size_t size : {kFill + 1, size_t{kPageSize}, size_t{kPageSize} + 1, ~size_t{0}}) {
    auto& writer = Open();
    const std::vector<uint8_t> bytes(kPageSize + 1);
    const uint64_t page = *machine_.pages.out().rbegin();
    (void)writer->Property("fill", {bytes.data(), size});
    EXPECT_ERROR(writer->Close(), ErrorCode::kNoSpace, page * kPageSize);
    EXPECT_EQ(machine_.pages.out(), idle_);
    Open();
    // One byte more still finds the room of what ends the tree.
    EXPECT_EQ(writer->PropertyInPlace("fill", size).ok(), size == kFill + 1);
    EXPECT_ERROR(writer->Close(), ErrorCode::kNoSpace, page * kPageSize);
    EXPECT_EQ(machine_.pages.out(), idle_);
  }
}

TEST_F(FragmentWriterTest, EveryCallReportsNoSpace) {
  const auto fill = [](FragmentWriter& writer) {
    const std::vector<uint8_t> bytes(kFill, 0xaa);
    ASSERT_OK(writer.Property("fill", Bytes(bytes)));
  };
  const std::vector<std::function<Status(FragmentWriter&)>> calls = {
      [](FragmentWriter& w) { return w.BeginNode("n"); },
      [](FragmentWriter& w) { return w.Property("p", {}); },
      [](FragmentWriter& w) { return w.PropertyU64("p", 1); },
      [](FragmentWriter& w) -> Status {
        const Result<Span<uint8_t>> place = w.PropertyInPlace("p", 0);
        return place.ok() ? Status(Ok{}) : place.error();
      },
      [](FragmentWriter& w) { return w.PropertyString("p", ""); },
      [](FragmentWriter& w) { return w.Link("l", Addr(kFree), 1); },
  };
  for (const auto& call : calls) {
    auto& writer = Open();
    fill(*writer);
    Status status = call(*writer);
    // A tag or two may still find the room that closing needs.
    while (status.ok()) status = call(*writer);
    EXPECT_EQ(status.error().code, ErrorCode::kNoSpace);
    // Every later call says so again, and the fragment cannot be closed by accident.
    EXPECT_EQ(writer->EndNode().error().code, ErrorCode::kNoSpace);
    EXPECT_EQ(writer->PropertyU64("q", 1).error().code, ErrorCode::kNoSpace);
    EXPECT_EQ(writer->status().error().code, ErrorCode::kNoSpace);
    EXPECT_EQ(writer->Close().error().code, ErrorCode::kNoSpace);
    writer.reset();
    EXPECT_EQ(machine_.pages.out(), idle_);
  }
}

TEST_F(FragmentWriterTest, RefusesUnbalancedNodes) {
  EXPECT_EQ(Open()->EndNode().error().code, ErrorCode::kFdtStructure);
  ASSERT_OK(Open()->BeginNode("n"));
  EXPECT_EQ(writer_->Close().error().code, ErrorCode::kFdtStructure);
  ASSERT_OK(Open()->Link("l", Addr(0), 1));
  EXPECT_EQ(writer_->PropertyU64("late", 1).error().code, ErrorCode::kFdtStructure);
  ASSERT_OK(Open()->Link("l", Addr(0), 1));
  EXPECT_EQ(writer_->PropertyInPlace("late", 1).error().code, ErrorCode::kFdtStructure);
  writer_.reset();
  EXPECT_EQ(machine_.pages.out(), idle_);
}

TEST_F(FragmentWriterTest, IsOverAfterClose) {
  auto& writer = Open();
  const Result<PageFrame> page = writer->Close();
  ASSERT_OK(page);
  EXPECT_ERROR(writer->Close(), ErrorCode::kFdtStructure, page.value().address().raw());
  EXPECT_EQ(writer->BeginNode("n").error().code, ErrorCode::kFdtStructure);
  writer.reset();
  EXPECT_EQ(machine_.pages.out().count(page.value().number()), 1u);
  EXPECT_STREQ(Read(page.value()).PropertyString(FragmentReader::root(), "compatible").value(),
               "x-v1");
}

TEST_F(FragmentWriterTest, DroppedWriterGivesItsPageBack) {
  ASSERT_OK(Open()->BeginNode("n"));
  EXPECT_EQ(machine_.pages.out().size(), idle_.size() + 1);
  writer_.reset();
  EXPECT_EQ(machine_.pages.out(), idle_);
}

TEST_F(FragmentWriterTest, LongNamesAreNoSpace) {
  const std::string name(kPageSize, 'n');
  EXPECT_EQ(Open(name.c_str())->status().error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(Open()->BeginNode(name.c_str()).error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(Open()->PropertyU64(name.c_str(), 1).error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(Open()->Link(name.c_str(), Addr(0), 1).error().code, ErrorCode::kNoSpace);
}

TEST_F(FragmentWriterTest, PageOutsideRam) {
  TestPages outside(machine_.memory, {Addr(0x7000), kPageSize});
  FragmentWriter writer(machine_.memory, outside, tracker_, "x-v1");
  EXPECT_ERROR(writer.status(), ErrorCode::kOutsideRam, 0x7000u);
  EXPECT_ERROR(writer.Link("l", Addr(0), 1), ErrorCode::kOutsideRam, 0x7000u);
  EXPECT_ERROR(writer.Close(), ErrorCode::kOutsideRam, 0x7000u);
  EXPECT_TRUE(outside.out().empty());
}

TEST_F(FragmentWriterTest, PageThatIsPreservedAlready) {
  auto& writer = Open();
  const uint64_t page = *machine_.pages.out().rbegin() * kPageSize;
  ASSERT_OK(tracker_.Preserve(BlockAt(page, 0)));
  EXPECT_ERROR(writer->Close(), ErrorCode::kAlreadyPreserved, page);
  EXPECT_EQ(machine_.pages.out(), idle_);
}

TEST(FragmentWriterAllocationTest, EveryFailureGivesEverythingBack) {
  for (uint64_t call = 0;; ++call) {
    TestMachine machine;
    Tracker tracker = Tracker::Create(machine.memory, machine.pages).value();
    const auto pages_before = TreePages(machine, tracker.root());
    machine.pages.FailAt(call);
    FragmentWriter writer(machine.memory, machine.pages, tracker, "x-v1");
    (void)writer.Link("l", Addr(kFree), 1);
    const Result<PageFrame> page = writer.Close();
    if (page.ok()) {
      EXPECT_EQ(call, 6u);  // the fragment and five nodes
      return;
    }
    EXPECT_ERROR(page, ErrorCode::kOutOfMemory, 0u);
    EXPECT_EQ(machine.pages.out().size(), 1u);
    EXPECT_EQ(TreePages(machine, tracker.root()), pages_before);
  }
}

}  // namespace
}  // namespace khocore
