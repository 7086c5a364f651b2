// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/log_ring.h"

#include <gtest/gtest.h>
#include <string.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/direct_map.h"
#include "kernel/console/log.h"
#include "kernel/console/print.h"
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
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::abi::kLogMagic;
using khocore::abi::LogHeader;

/// Where the log goes on when the ring of a test goes away.
void LeaveRing() {
  struct Ring {
    LogHeader header = {kLogMagic, sizeof(bytes), 0, 0};
    char bytes[64] = {};
  };
  static std::vector<std::unique_ptr<Ring>> rings;
  rings.push_back(std::make_unique<Ring>());
  console::UseLogRing(&rings.back()->header);
}

class LogRingTest : public testing::Test {
 protected:
  LogRingTest() { first_.Begin(); }
  ~LogRingTest() override { LeaveRing(); }

  PhysAddr HandOver(const LogRing& ring) {
    EXPECT_TRUE(ring.Preserve(first_.outgoing).ok());
    EXPECT_TRUE(ring.Serialize(first_.outgoing).ok());
    return first_.Close();
  }

  /// Another kernel's ring of one page, of which `size` bytes are linked.
  ErrorCode Restore(const LogHeader& header, const std::string& text, uint64_t size = kPageSize) {
    uint8_t* const page = first_.PreservePage();
    memcpy(page, &header, sizeof(header));
    memcpy(page + sizeof(header), text.data(), text.size());
    const PhysRange range{PhysAddr::FromRaw(reinterpret_cast<uint64_t>(page)), size};
    EXPECT_TRUE(first_.outgoing.AddLink("log", range).ok());
    second_.emplace(ram_, 2, first_.Close());
    return CodeOf(restored_.Restore(second_->incoming));
  }

  static constexpr uint64_t kCapacity = kPageSize - sizeof(LogHeader);
  TestRam ram_;
  TestKernel first_{ram_};
  std::optional<TestKernel> second_;
  LogRing restored_;
};

TEST_F(LogRingTest, ShowsTheLastTwoLines) {
  LogRing ring;
  ASSERT_OK(ring.Create(first_.generation));
  Printed([] { console::Print("first\nsecond\nthird %d\n", 3); });
  TestKernel second(ram_, 2, HandOver(ring));
  ASSERT_OK(restored_.Restore(second.incoming));
  LeaveRing();
  EXPECT_EQ(Printed([&] { restored_.Adopt(); }),
            "the previous generation's last lines:\n> second\n> third 3\n");
}

TEST_F(LogRingTest, ALineIsNoEvent) {
  const std::string text = "a\n@khorig {\"ev\":\"done\"}\r@khorig \x1b[2J\xff\n";
  ASSERT_EQ(Restore({kLogMagic, kCapacity, text.size(), 0}, text), ErrorCode::kCount);
  EXPECT_EQ(Printed([&] { restored_.Adopt(); }),
            "the previous generation's last lines:\n> a\n"
            "> @khorig {\"ev\":\"done\"}\\x0d@khorig \\x1b[2J\\xff\n");
}

TEST_F(LogRingTest, ShowsNoMoreThanItHas) {
  const std::string text(kCapacity, 'x');
  for (const uint64_t written : {kCapacity, kCapacity * 5 + 7, ~uint64_t{0}}) {
    TestKernel first(ram_);
    first.Begin();
    auto* page = first.PreservePage();
    const LogHeader header{kLogMagic, kCapacity, written, 0};
    memcpy(page, &header, sizeof(header));
    memcpy(page + sizeof(header), text.data(), text.size());
    ASSERT_OK(first.outgoing.AddLink(
        "log", {PhysAddr::FromRaw(reinterpret_cast<uint64_t>(page)), kPageSize}));
    TestKernel second(ram_, 2, first.Close());
    LogRing ring;
    ASSERT_OK(ring.Restore(second.incoming));
    EXPECT_EQ(Count(Printed([&] { ring.Adopt(); }), "x"), kCapacity) << written;
    LeaveRing();
  }
}

TEST_F(LogRingTest, AnEmptyRingIsNoLine) {
  ASSERT_EQ(Restore({kLogMagic, kCapacity, 0, 0}, ""), ErrorCode::kCount);
  EXPECT_EQ(Printed([&] { restored_.Adopt(); }), "the previous generation's last lines:\n> \n");
}

TEST_F(LogRingTest, RefusesAnotherMagic) {
  EXPECT_EQ(Restore({kLogMagic + 1, kCapacity, 0, 0}, ""), ErrorCode::kMagic);
}

TEST_F(LogRingTest, RefusesACapacityThatIsNotTheBlobs) {
  EXPECT_EQ(Restore({kLogMagic, kCapacity + 1, 0, 0}, ""), ErrorCode::kBlobSizeRange);
}

TEST_F(LogRingTest, RefusesACapacityBelowTheBlobs) {
  EXPECT_EQ(Restore({kLogMagic, kCapacity - 1, 0, 0}, ""), ErrorCode::kBlobSizeRange);
}

TEST_F(LogRingTest, RefusesARingWithoutRoom) {
  EXPECT_EQ(Restore({kLogMagic, 0, 0, 0}, "", sizeof(LogHeader)), ErrorCode::kBlobSizeRange);
}

TEST_F(LogRingTest, RefusesOneThatIsNotThere) {
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_EQ(CodeOf(restored_.Restore(second.incoming)), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace clients
