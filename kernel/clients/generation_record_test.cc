// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/generation_record.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>

#include "kernel/base/version.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"
#include "khocore/abi/clients.h"

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
namespace abi = khocore::abi;

class GenerationRecordTest : public testing::Test {
 protected:
  /// Another kernel's record of `size` bytes, restored in `generation`.
  std::string Restore(const abi::KexecMetadata& record, uint64_t size, uint32_t generation = 2) {
    first_.Begin();
    uint8_t* const page = first_.PreservePage();
    memcpy(page, &record, sizeof(record));
    EXPECT_TRUE(first_.outgoing
                    .AddClient(abi::kMetadataClient,
                               {PhysAddr::FromRaw(reinterpret_cast<uint64_t>(page)), size})
                    .ok());
    TestKernel later(ram_, generation, first_.Close());
    return Printed([&] { code_ = CodeOf(RestoreGenerationRecord(later.incoming)); });
  }

  static abi::KexecMetadata Record(const std::string& release, uint32_t count) {
    abi::KexecMetadata record = {
        .version = abi::kMetadataVersion, .previous_release = {}, .kexec_count = count};
    memcpy(record.previous_release, release.data(),
           std::min(release.size(), sizeof(record.previous_release)));
    return record;
  }

  TestRam ram_;
  TestKernel first_{ram_};
  ErrorCode code_ = ErrorCode::kCount;
};

TEST_F(GenerationRecordTest, CountsTheJumps) {
  first_.Begin(1);
  ASSERT_OK(SerializeGenerationRecord(first_.outgoing));
  TestKernel second(ram_, 2, first_.Close());
  const std::string printed = Printed([&] { ASSERT_OK(RestoreGenerationRecord(second.incoming)); });
  EXPECT_EQ(printed, std::string("exec from: ") + base::kRelease + " (count 1)\n");
  // Its page is free after the release.
  const uint64_t free = second.memory.allocator.free_pages();
  second.incoming.Release();
  EXPECT_EQ(second.memory.allocator.free_pages(), free + 1);
}

TEST_F(GenerationRecordTest, AWrongCountIsAFailure) {
  for (const uint32_t count : {0u, 1u, 3u, ~0u}) {
    TestKernel first(ram_);
    first.Begin();
    auto* page = reinterpret_cast<abi::KexecMetadata*>(first.PreservePage());
    *page = Record("6.6", count);
    ASSERT_OK(first.outgoing.AddClient(
        abi::kMetadataClient,
        {PhysAddr::FromRaw(reinterpret_cast<uint64_t>(page)), sizeof(*page)}));
    TestKernel third(ram_, 3, first.Close());
    const std::string printed =
        Printed([&] { ASSERT_OK(RestoreGenerationRecord(third.incoming)); });
    EXPECT_EQ(Count(printed, "\"ev\":\"fail\""), 1u) << count;
  }
}

TEST_F(GenerationRecordTest, NoRecordIsNoJump) {
  const auto restore = [&](uint32_t generation) {
    TestKernel first(ram_);
    first.Begin();
    TestKernel later(ram_, generation, first.Close());
    return Printed([&] { ASSERT_OK(RestoreGenerationRecord(later.incoming)); });
  };
  EXPECT_EQ(restore(1), "");
  EXPECT_EQ(Count(restore(2), "0 jumps recorded, this is generation 2"), 1u);
}

TEST_F(GenerationRecordTest, RefusesAShortOne) {
  Restore(Record("7.3", 1), sizeof(abi::KexecMetadata) - 1);
  EXPECT_EQ(code_, ErrorCode::kBlobSizeRange);
}

TEST_F(GenerationRecordTest, TakesALongerOne) {
  Restore(Record("7.3", 1), kPageSize);
  EXPECT_EQ(code_, ErrorCode::kCount);
}

TEST_F(GenerationRecordTest, RefusesAnotherVersion) {
  abi::KexecMetadata record = Record("7.3", 1);
  record.version = abi::kMetadataVersion + 1;
  Restore(record, sizeof(record));
  EXPECT_EQ(code_, ErrorCode::kVersion);
}

TEST_F(GenerationRecordTest, AReleaseEndsAndIsNoEvent) {
  const std::string printed =
      Restore(Record("6.6\n@khorig {\"ev\":\"done\"}\x1b[2J" + std::string(100, 'y'), 1),
              sizeof(abi::KexecMetadata));
  EXPECT_EQ(code_, ErrorCode::kCount);
  EXPECT_EQ(Count(printed, "\n"), 1u) << printed;
  EXPECT_EQ(printed.substr(0, 35), "exec from: 6.6\\x0a@khorig {\"ev\":\"do");
  EXPECT_EQ(Count(printed, "\\x1b[2J"), 1u);
  EXPECT_EQ(Count(printed, "y (count 1)"), 1u) << "64 bytes and no more";
}

}  // namespace
}  // namespace clients
